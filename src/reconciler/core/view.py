"""The slot map as people and programs see it. Pure: from what was read to rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from reconciler.core.desired import tenant_of
from reconciler.core.model import (
    AdminState,
    Agent,
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
DRAIN = "drain"
DOWN = "down"
STATES = (FREE, "ready", DRAIN, "maint", DOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What HAProxy's statistics add for one server; None where they do not tell."""

    sessions: int | None = None
    check: str | None = None
    """The last check's result, such as ``L4OK``; the one before it while one is under way."""
    requests_per_second: int | None = None
    """In the last second; in TCP mode, connections."""
    is_up: bool | None = None
    """Whether its checks pass; None where it has none, or is in maint."""


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
    requests_per_second: int | None = None
    """In the last second; in TCP mode, connections."""
    age_seconds: int | None = None
    """Since HAProxy last changed its state; None where that is not known."""


def is_held(server: Server) -> bool:
    """Whether an operator took an occupied slot out of rotation: it kept its weight.

    Where the server has an agent, that may have been the agent: nobody can tell.
    """
    is_out = server.admin is not AdminState.READY and not is_placeholder(server.address)
    return is_out and not server.is_signed and server.agent is Agent.NONE


def is_draining(server: Server) -> bool:
    """Whether we took an occupied slot out of rotation, for its sessions to end.

    It is in maint then: in drain HAProxy sends it the clients that stick to it.
    """
    is_out = server.admin is not AdminState.READY and not is_placeholder(server.address)
    return is_out and server.is_signed


def state_of(server: Server, reading: Reading | None = None) -> str:
    """Return a slot's state in one word: free, ready, drain, maint or down.

    What we took out of rotation is in drain, whatever HAProxy calls that.

    ``reading``, where there is one, is younger than the server's own ``is_up``.
    """
    if server.is_free:
        return FREE
    if is_draining(server):
        return DRAIN
    is_up = server.is_up
    if reading is not None and reading.is_up is not None:
        is_up = reading.is_up
    if server.admin is AdminState.READY and server.has_check and not is_up:
        return DOWN
    return server.admin.value


def age_of(server: Server, now: float) -> int | None:
    """Return for how many seconds a server has been in its state, None where unknown.

    ``now`` is on the clock of the server's own dates. A drain is dated by ``out_since``:
    HAProxy since 2.8 does not date it.
    """
    since = left_at(server)
    return None if since is None else max(0, int(now - since))


def left_at(server: Server) -> float | None:
    """Return when a server came into its state, on the clock of its own dates."""
    if server.admin is AdminState.DRAIN:
        return server.out_since
    return server.last_change


def slot_rows(
    haproxy: str,
    tables: Mapping[str, Mapping[str, Server]],
    *,
    prefix: str,
    tenants: Tenants,
    readings: Mapping[ServerRef, Reading] | None = None,
    now: float | None = None,
) -> list[SlotRow]:
    """Return a row for every slot of one HAProxy, by backend and in numeric order.

    ``now`` is on the clock that dates the servers; without it no age is told.
    """
    return [
        row_of(
            haproxy,
            server,
            tenants.of(server),
            (readings or {}).get(server.ref),
            now=now,
        )
        for servers in tables.values()
        for server in slots_of(servers.values(), prefix)
    ]


_NO_READING = Reading()


def row_of(
    haproxy: str,
    server: Server,
    tenant: Tenant | None,
    reading: Reading | None = None,
    *,
    now: float | None = None,
) -> SlotRow:
    """Return the row of one slot: who lives there is ``tenant``, None where nobody knows.

    ``now`` is on the clock that dates the server; without it no age is told.
    """
    read = reading or _NO_READING
    is_free = server.is_free
    known = tenant if tenant is not None and not is_free else None
    return SlotRow(
        haproxy=haproxy,
        backend=server.ref.backend,
        slot=server.ref.server,
        state=state_of(server, reading),
        address=None if is_free else server.address,
        port=None if is_free else server.port,
        weight=server.weight,
        sessions=read.sessions,
        check=None if is_free else read.check,
        container_id=known.container_id if known else None,
        container=known.container if known else None,
        service=known.service if known else None,
        project=known.project if known else None,
        held=is_held(server),
        requests_per_second=read.requests_per_second,
        age_seconds=None if now is None else age_of(server, now),
    )


class Tenants:
    """Who lives at an address: by endpoint where that is known, else by address alone."""

    def __init__(
        self, containers: Iterable[Container], endpoints: Iterable[Endpoint]
    ) -> None:
        self._by_endpoint = {e.key: e.tenant for e in endpoints}
        self._by_address = {
            address: container
            for container in containers
            for attachment in container.networks
            for address in (attachment.ipv4, attachment.ipv6)
            if address
        }

    def of(self, server: Server) -> Tenant | None:
        """Return who lives in a slot, None where nobody known does."""
        key = (server.ref.backend, server.address, server.port)
        tenant = self._by_endpoint.get(key)
        if tenant is not None:
            return tenant
        container = self._by_address.get(server.address)
        return None if container is None else tenant_of(container)


def place(address: str, port: int | None) -> str:
    """Return address and port as one word, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


_SLOT_FIELDS = tuple(field.name for field in fields(SlotRow))


def slot_fields(row: SlotRow) -> dict[str, Any]:
    """Return one slot, as in the contract. (``asdict`` takes four times as long.)"""
    return {name: getattr(row, name) for name in _SLOT_FIELDS}


def slot_map(
    rows: Iterable[SlotRow], unplaced: Iterable[tuple[str, Unplaced]]
) -> dict[str, list[dict[str, Any]]]:
    """Return the object that ``slots --json`` and ``/api/slots`` print."""
    return {
        "slots": [slot_fields(row) for row in rows],
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
