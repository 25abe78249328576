"""The table of checks, in the order of the report. Pure: what was read in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reconciler.doctor.evidence import Evidence
from reconciler.doctor.finding import Finding
from reconciler.doctor.on_config import of_base_cfg
from reconciler.doctor.on_containers import of_containers
from reconciler.doctor.on_daemon import of_daemon
from reconciler.doctor.on_docker import of_docker, of_settings
from reconciler.doctor.on_haproxy import of_proxy, of_sources
from reconciler.doctor.on_identity import of_identities
from reconciler.doctor.on_slots import of_backends


def _of_proxies(evidence: Evidence) -> Iterator[Finding]:
    for proxy in evidence.proxies:
        yield from of_proxy(evidence, proxy)
        yield from of_backends(evidence, proxy)


CHECKS: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    of_settings,
    of_docker,
    of_sources,
    _of_proxies,
    of_base_cfg,
    of_containers,
    of_identities,
    of_daemon,
)


def judged(evidence: Evidence) -> list[Finding]:
    """Return all findings, those of one section together."""
    found = [finding for check in CHECKS for finding in check(evidence)]
    order = {name: n for n, name in enumerate(dict.fromkeys(f.section for f in found))}
    return sorted(found, key=lambda finding: order[finding.section])
