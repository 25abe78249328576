"""The slot map as people and programs see it. Pure: from what was read to rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from reconciler.core.desired import tenant_of
from reconciler.core.model import (
    AdminState,
    Container,
    Endpoint,
    Server,
    ServerRef,
    Tenant,
    Unplaced,
    is_placeholder,
)
from reconciler.core.plan import slots_of


FREE = "free"
DOWN = "down"
STATES = (FREE, "ready", "drain", "maint", DOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What HAProxy's statistics add for one server; None where they do not tell."""

    sessions: int | None = None
    check: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRow:
    """One slot. The fields and their order are the contract of ``slots --json``."""

    haproxy: str
    backend: str
    slot: str
    state: str
    address: str | None
    port: int | None
    weight: int
    sessions: int | None
    check: str | None
    container_id: str | None
    container: str | None
    service: str | None
    project: str | None
    held: bool = False
    """An operator took it out of rotation by hand."""


def is_held(server: Server) -> bool:
    """Whether an operator took an occupied slot out of rotation: it kept its weight."""
    is_out = server.admin is not AdminState.READY and not is_placeholder(server.address)
    return is_out and server.weight > 0


def state_of(server: Server) -> str:
    """Return a slot's state in one word: free, ready, drain, maint or down."""
    if server.is_free:
        return FREE
    if server.admin is AdminState.READY and server.has_check and not server.is_up:
        return DOWN
    return server.admin.value


def slot_rows(
    haproxy: str,
    tables: Mapping[str, Mapping[str, Server]],
    *,
    prefix: str,
    tenants: Tenants,
    readings: Mapping[ServerRef, Reading] | None = None,
) -> list[SlotRow]:
    """Return a row for every slot of one HAProxy, by backend and in numeric order."""
    rows = []
    for servers in tables.values():
        for server in slots_of(servers.values(), prefix):
            reading = (readings or {}).get(server.ref, _NO_READING)
            rows.append(_row(haproxy, server, tenants.of(server), reading))
    return rows


_NO_READING = Reading()


def _row(
    haproxy: str, server: Server, tenant: Tenant | None, reading: Reading
) -> SlotRow:
    is_free = server.is_free
    known = tenant if tenant is not None and not is_free else None
    return SlotRow(
        haproxy=haproxy,
        backend=server.ref.backend,
        slot=server.ref.server,
        state=state_of(server),
        address=None if is_free else server.address,
        port=None if is_free else server.port,
        weight=server.weight,
        sessions=reading.sessions,
        check=None if is_free else reading.check,
        container_id=known.container_id if known else None,
        container=known.container if known else None,
        service=known.service if known else None,
        project=known.project if known else None,
        held=is_held(server),
    )


class Tenants:
    """Who lives at an address: by endpoint where that is known, else by address alone."""

    def __init__(
        self, containers: Iterable[Container], endpoints: Iterable[Endpoint]
    ) -> None:
        self._by_endpoint = {e.key: e.tenant for e in endpoints}
        self._by_address = {
            address: tenant_of(container)
            for container in containers
            for attachment in container.networks
            for address in (attachment.ipv4, attachment.ipv6)
            if address
        }

    def of(self, server: Server) -> Tenant | None:
        """Return who lives in a slot, None where nobody known does."""
        key = (server.ref.backend, server.address, server.port)
        return self._by_endpoint.get(key) or self._by_address.get(server.address)


def slot_map(
    rows: Iterable[SlotRow], unplaced: Iterable[tuple[str, Unplaced]]
) -> dict[str, list[dict[str, Any]]]:
    """Return the object that ``slots --json`` and ``/api/slots`` print."""
    return {
        "slots": [asdict(row) for row in rows],
        "unplaced": [unplaced_row(haproxy, one) for haproxy, one in unplaced],
    }


def unplaced_row(haproxy: str, one: Unplaced) -> dict[str, Any]:
    """Return one unplaced endpoint, as in the contract."""
    return {
        "haproxy": haproxy,
        "backend": one.backend,
        "container_id": one.tenant.container_id,
        "container": one.tenant.container,
        "service": one.tenant.service,
        "project": one.tenant.project,
        "address": one.address,
        "port": one.port,
        "reason": one.reason,
        "cause": one.cause.value,
    }
