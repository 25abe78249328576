"""Read everything that ``check`` judges, side by side, and give up early on who is silent."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable

from reconciler.config import Settings, read_base_cfg
from reconciler.core.cfg_facts import Facts
from reconciler.core.cfg_sections import (
    NO_FACTS,
    Cfg,
    CfgFile,
    variables_in,
    ways_to_read,
)
from reconciler.core.model import Health
from reconciler.discovery.own import own_container, own_container_id
from reconciler.doctor.evidence import Evidence, ProxyReading
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
        settings = dataclasses.replace(settings, base_cfg=())
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
                read_proxy(
                    one,
                    settings.tls,
                    timeout_seconds=patience,
                    variables=variables_in(base_cfg),
                )
                for one in world.proxies
            )
        ),
    )
    own_id = own_container_id()
    return Evidence(
        settings=settings,
        world=world,
        docker=docker,
        proxies=tuple(proxies),
        base_cfg=base_cfg,
        base_cfg_error=error,
        ways=_ways(base_cfg, proxies),
        daemon=daemon,
        own_id=own_id,
        own=own_container(containers, own_id),
    )


def _base_cfg(settings: Settings) -> tuple[tuple[CfgFile, ...], str]:
    """Return the files of ``--base-cfg``, and why there are none."""
    try:
        return read_base_cfg(settings.base_cfg), ""
    except ConfigError as error:
        return (), str(error)


def _ways(
    files: tuple[CfgFile, ...], proxies: Iterable[ProxyReading]
) -> tuple[Cfg, ...]:
    """Return each way in which one of these HAProxies may read the files."""
    told: list[Facts] = []
    for proxy in proxies:
        if proxy.world.observed is not None and proxy.facts not in told:
            told.append(proxy.facts)
    return tuple(
        way for facts in told or [NO_FACTS] for way in ways_to_read(files, facts)
    )
