"""Whose names a container has: one-offs, and names that came with an image."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.model import Container
from reconciler.core.placement import (
    ONE_OFF_HOW,
    ONE_OFF_MEND,
    Found,
    Refused,
    backends_of,
    borrowed_name,
)
from reconciler.doctor.evidence import Evidence
from reconciler.doctor.finding import Code, Finding, found


_SECTION = "containers"
_ON_PURPOSE = "nothing, if that is meant so; else"


def of_identities(evidence: Evidence) -> Iterator[Finding]:
    """Find who would have a place if it were the service's container it looks like."""
    if not evidence.knows_docker:
        return
    prefix = evidence.settings.slot_prefix
    filled = {name for proxy in evidence.proxies for name in proxy.slots(prefix)}
    told = {one.tenant.container_id for _, one in evidence.world.unplaced()}
    for container in evidence.world.claims.containers.values():
        if container.identity.is_one_off:
            if _would_join(evidence, container, filled):
                yield _one_off(container)
        elif container.id not in told and _looks_like(evidence, container, filled):
            yield from _borrowed(evidence, container)


def _would_join(evidence: Evidence, container: Container, filled: set[str]) -> bool:
    names = backends_of(container, evidence.world.claims.context)
    return isinstance(names, Found) and not filled.isdisjoint(names.value)


def _one_off(container: Container) -> Finding:
    return found(
        Code.CONTAINER_ONE_OFF,
        f"container {container.name}",
        f"it is {ONE_OFF_HOW}: no traffic for it, whatever its labels say",
        f"{_ON_PURPOSE} {ONE_OFF_MEND}",
        section=_SECTION,
    )


def _looks_like(evidence: Evidence, container: Container, filled: set[str]) -> bool:
    """Whether a container has the name of a backend with slots in labels that do not count."""
    identity, projects = container.identity, evidence.world.claims.context.projects
    is_covered = projects is None or identity.claimed_project in projects
    return identity.claimed_service in filled and is_covered


def _borrowed(evidence: Evidence, container: Container) -> Iterator[Finding]:
    refused = backends_of(container, evidence.world.claims.context)
    if isinstance(refused, Refused):
        yield found(
            Code.CONTAINER_BORROWED_NAME,
            f"container {container.name}",
            f"no traffic for it: {borrowed_name(container)}",
            f"{_ON_PURPOSE} {refused.mend}",
            section=_SECTION,
        )
