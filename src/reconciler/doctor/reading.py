"""Read everything that ``check`` judges, side by side, and give up early on who is silent."""

from __future__ import annotations

import asyncio
import dataclasses

from reconciler.config import Settings
from reconciler.core.cfg_sections import sections
from reconciler.core.model import Health
from reconciler.discovery.own import own_container, own_container_id
from reconciler.doctor.evidence import Evidence
from reconciler.doctor.probes import read_daemon, read_docker, read_proxy
from reconciler.errors import ConfigError
from reconciler.inquiry import read_world


PATIENCE_SECONDS = 5.0
"""How long one answer is waited for, at most: somebody sits in front of it."""


async def read_evidence(settings: Settings, *, patience_seconds: float) -> Evidence:
    """Return all that can be read. Changes nothing. Raises ConfigError for wrong settings,
    but not for a ``--base-cfg`` that cannot be read.
    """
    base_cfg, error = _base_cfg(settings)
    if error:
        settings = dataclasses.replace(settings, base_cfg=None)
    patience = min(settings.haproxy_timeout_seconds, patience_seconds)
    settings = dataclasses.replace(settings, haproxy_timeout_seconds=patience)
    world, daemon = await asyncio.gather(
        read_world(settings, docker_timeout_seconds=patience_seconds),
        read_daemon(settings.listen),
    )
    containers = world.claims.containers
    waiting = [one for one in containers.values() if one.health is Health.STARTING]
    docker, proxies = await asyncio.gather(
        read_docker(settings, waiting, timeout_seconds=patience_seconds),
        asyncio.gather(
            *(
                read_proxy(one, settings.tls, timeout_seconds=patience)
                for one in world.proxies
            )
        ),
    )
    own_id = own_container_id()
    evidence = Evidence(
        settings=settings,
        world=world,
        docker=docker,
        proxies=tuple(proxies),
        base_cfg=base_cfg,
        base_cfg_error=error,
        daemon=daemon,
        own_id=own_id,
        own=own_container(containers, own_id),
    )
    release = next(iter(evidence.releases), None)
    return dataclasses.replace(
        evidence, sections=tuple(sections(base_cfg or "", release))
    )


def _base_cfg(settings: Settings) -> tuple[str | None, str]:
    """Return the text of ``--base-cfg``, and why there is none."""
    if settings.base_cfg is None:
        return None, ""
    try:
        settings.file_ports()
        return settings.base_cfg.read_text(encoding="utf-8", errors="replace"), ""
    except (ConfigError, OSError) as error:
        return None, str(error)
