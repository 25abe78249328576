"""The operator's hand: take a container out of rotation and put it back, past the daemon.

The commands go to HAProxy and nowhere else, so they work with no daemon, and what they do
is what socat would do. The daemon leaves it alone: a slot that is out of rotation and kept
its weight is an operator's hold, until they say ready or the container goes
(docs/decisions/0005).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from reconciler.core.model import (
    Action,
    AdminState,
    Agent,
    Endpoint,
    Server,
    ServerRef,
    SetAgent,
    SetHealthDown,
    SetState,
    SetWeight,
    Tenant,
)
from reconciler.core.plan import slot_number
from reconciler.core.view import Tenants
from reconciler.errors import HandError, TargetError
from reconciler.haproxy.proxy import RuntimeProxy
from reconciler.haproxy.tls import Tls
from reconciler.inquiry import ProxyWorld, World


POLL_SECONDS = 0.1
"""Between two looks at what is waited for: HAProxy tells nobody when a session ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One occupied slot that the operator means."""

    haproxy: str
    server: Server
    tenant: Tenant | None
    endpoint: Endpoint | None
    tls: Tls | None = None
    trusts_healthcheck: bool = False
    """Docker's HEALTHCHECK alone lets it in."""

    @property
    def ref(self) -> ServerRef:
        """``backend/slot``."""
        return self.server.ref

    def __str__(self) -> str:
        who = f"{self.tenant.container} " if self.tenant else ""
        return f"{self.ref} ({who}{self.server.address}:{self.server.port})"


class Watched(NamedTuple):
    """A place while it is waited for."""

    place: Place
    sessions: int
    is_up: bool
    has_left: bool
    """Another tenant, or none, lives there now."""


def places(world: World, target: str) -> list[Place]:
    """Return the occupied slots that TARGET names: ``BACKEND/SLOT`` or a container.

    A container is named by its name or the start of its id, and may have a slot in several
    backends and in several HAProxies. Raises TargetError.
    """
    _require_a_reading(world)
    backend, separator, slot = target.partition("/")
    if separator:
        return _places_of_slot(world, ServerRef(backend, slot))
    found = [place for place in _all_places(world) if _is_named(place.tenant, target)]
    # As docker has it: a name comes before the beginning of somebody else's id.
    found = [p for p in found if p.tenant and p.tenant.container == target] or found
    if found:
        ids = {p.tenant.container_id for p in found if p.tenant}
        if len(ids) > 1:
            names = ", ".join(sorted(str(place) for place in found))
            raise TargetError(f"{target} may mean any of {names}: give its name")
        return found
    if world.engine_error is not None:
        raise TargetError(
            f"{target} is looked for in vain while docker cannot be read: name the slot, "
            f"as BACKEND/SLOT ({world.engine_error})"
        )
    raise TargetError(
        f"no slot has a container {target}: see `reconciler slots`, or "
        f"`reconciler explain {target}` for the reason"
    )


def _require_a_reading(world: World) -> None:
    """Raise the first HAProxy's own error where none could be read, or why none was found."""
    if not world.proxies and world.problems:
        why = "" if world.engine_error is None else f" ({world.engine_error})"
        raise TargetError(f"{'; '.join(world.problems)}{why}")
    errors = [proxy.error for proxy in world.proxies if proxy.observed is None]
    if errors and errors[0] is not None and len(errors) == len(world.proxies):
        raise errors[0]


def _places_of_slot(world: World, ref: ServerRef) -> list[Place]:
    found = [place for place in _every_place(world) if place.ref == ref]
    if not found:
        asked = ", ".join(proxy.name for proxy in world.proxies if proxy.observed)
        raise TargetError(
            f"there is no server {ref} in {asked or 'any haproxy'}: see "
            "`reconciler slots --all`"
        )
    prefix = world.settings.slot_prefix
    if slot_number(ref.server, prefix) is None:
        raise TargetError(
            f"{ref} is no slot: those are named {prefix}1, {prefix}2, …; any other server "
            "is yours alone, use HAProxy's own socket"
        )
    occupied = [place for place in found if not place.server.is_free]
    if not occupied:
        raise TargetError(f"{ref} is free: nobody lives there")
    if len({(p.server.address, p.server.port) for p in occupied}) > 1:
        listed = "; ".join(f"{place} in {place.haproxy}" for place in occupied)
        raise TargetError(
            f"{ref} is not the same container everywhere ({listed}): name the container, "
            "or one --haproxy"
        )
    return occupied


def _is_named(tenant: Tenant | None, target: str) -> bool:
    if tenant is None:
        return False
    is_id = len(target) >= _SHORTEST_ID and tenant.container_id.startswith(target)
    return tenant.container == target or is_id


_SHORTEST_ID = 4


def _all_places(world: World) -> list[Place]:
    """Return every slot with a tenant."""
    prefix = world.settings.slot_prefix
    return [
        place
        for place in _every_place(world)
        if not place.server.is_free
        and slot_number(place.ref.server, prefix) is not None
    ]


def _every_place(world: World) -> Iterable[Place]:
    for proxy in world.proxies:
        if proxy.observed is not None:
            yield from _places_in(world, proxy)


def _places_in(world: World, proxy: ProxyWorld) -> Iterable[Place]:
    endpoints = {e.key: e for e in proxy.desired.all_endpoints()}
    tenants = Tenants(world.claims.containers.values(), endpoints.values())
    servers = proxy.observed.servers() if proxy.observed else []
    for server in servers:
        key = (server.ref.backend, server.address, server.port)
        yield Place(
            haproxy=proxy.name,
            server=server,
            tenant=tenants.of(server),
            endpoint=endpoints.get(key),
            tls=world.settings.tls,
            trusts_healthcheck=world.settings.trusts_healthcheck,
        )


def actions(place: Place, wanted: AdminState) -> list[Action]:
    """Return what puts a place into a state and leaves the sign of an operator on it.

    Empty where it is so already. Raises HandError where that cannot be.
    """
    server = place.server
    if wanted is AdminState.READY:
        return _made_ready(place)
    if server.agent is not Agent.NONE:
        return _held_with_agent(server, wanted)
    weight = server.weight or _own_weight(place)
    if weight == 0:
        raise HandError(
            f"{place} has weight 0 by its label, and weight 0 is the reconciler's own mark: "
            "a hold would not be told from it; it gets no traffic as it is"
        )
    steps: list[Action] = []
    if server.admin is not wanted:
        steps.append(SetState(server.ref, wanted))
    if server.weight != weight:
        steps.append(SetWeight(server.ref, weight))
    return steps


def _held_with_agent(server: Server, wanted: AdminState) -> list[Action]:
    """Return the same where an agent owns the weight: that it is asked is the operator's sign.

    It may end the hold, by the word ``ready``.
    """
    steps: list[Action] = []
    if server.admin is not wanted:
        steps.append(SetState(server.ref, wanted))
    if server.agent is Agent.SILENCED:
        steps.append(SetAgent(server.ref, is_enabled=True))
    return steps


def _own_weight(place: Place) -> int:
    label = place.endpoint.weight if place.endpoint else None
    return place.server.initial_weight if label is None else label


def _made_ready(place: Place) -> list[Action]:
    server = place.server
    if server.admin is AdminState.READY:
        return []
    if server.is_signed:
        who = place.tenant.container if place.tenant else server.ref
        raise HandError(
            f"{place} is out of rotation by the reconciler's own hand, not an operator's: "
            f"`reconciler explain {who}` says why"
        )
    if server.admin is AdminState.DRAIN:
        return [SetState(server.ref, AdminState.READY)]
    # Out of maint a checked server is up at once: let its check pass first. Weight 0 in
    # between, so that there is no gap, and so that the daemon finishes what we may not.
    is_healthy = (
        place.trusts_healthcheck
        and place.endpoint is not None
        and place.endpoint.is_healthy
    )
    check = [SetHealthDown(server.ref)] if server.has_check and not is_healthy else []
    if server.agent is not Agent.NONE:
        return [
            SetAgent(server.ref, is_enabled=False),
            SetState(server.ref, AdminState.READY),
            *check,
            SetAgent(server.ref, is_enabled=True),
        ]
    return [
        SetWeight(server.ref, 0),
        SetState(server.ref, AdminState.READY),
        *check,
        SetWeight(server.ref, server.weight),
    ]


async def change(place: Place, wanted: AdminState) -> bool:
    """Put a place into a state; return whether anything had to be done.

    Raises HandError where its tenant changed meanwhile, or RuntimeSocketError.
    """
    steps = actions(place, wanted)
    proxy = RuntimeProxy(place.haproxy, tls=place.tls)
    try:
        for error in await proxy.apply(steps):
            if error is not None:
                raise error
        await _looked_at(proxy, place)
    finally:
        await proxy.aclose()
    return bool(steps)


async def _looked_at(proxy: RuntimeProxy, place: Place) -> None:
    observed = await proxy.observe([place.ref.backend])
    now = observed.backends[place.ref.backend][place.ref.server]
    if (now.address, now.port) != (place.server.address, place.server.port):
        raise HandError(
            f"{place.ref} changed its tenant in this very moment: look at it, and try again"
        )


async def wait(
    chosen: list[Place],
    wanted: AdminState,
    seconds: float | None,
    tell: Callable[[list[Watched]], None],
) -> None:
    """Return when the last session has gone; for ready, when HAProxy calls it up.

    ``tell`` is called after every look, of which there is one at least. Raises HandError
    after ``seconds`` (None: never), or where what should be ready has gone.
    """
    clients = {
        place.haproxy: RuntimeProxy(place.haproxy, tls=place.tls) for place in chosen
    }
    now = asyncio.get_running_loop().time
    deadline = math.inf if seconds is None else now() + seconds
    try:
        while True:
            seen = [await _watched(clients[p.haproxy], p) for p in chosen]
            tell(seen)
            undone = [one for one in seen if not _is_done(one, wanted)]
            if not undone:
                return
            if now() >= deadline:
                left = "; ".join(_undone(one, wanted) for one in undone)
                raise HandError(f"not so after {seconds:g} s: {left}")
            await asyncio.sleep(min(POLL_SECONDS, deadline - now()))
    finally:
        for client in clients.values():
            await client.aclose()


async def _watched(proxy: RuntimeProxy, place: Place) -> Watched:
    backend = place.ref.backend
    observed = await proxy.observe([backend], with_connections=True)
    server = observed.backends[backend][place.ref.server]
    rows = await proxy.client.show_stat(backend)
    sessions = next(
        (row.sessions or 0 for row in rows if row.server == place.ref.server), 0
    )
    return Watched(
        place=place,
        # A request counts as a session, what a TCP client keeps open as a connection.
        sessions=max(sessions, server.connections or 0),
        is_up=server.admin is AdminState.READY and server.is_up,
        has_left=(server.address, server.port)
        != (place.server.address, place.server.port),
    )


def _is_done(one: Watched, wanted: AdminState) -> bool:
    if wanted is AdminState.READY:
        if one.has_left:
            raise HandError(f"{one.place} has gone before it was up")
        return one.is_up
    return one.has_left or one.sessions == 0


def _undone(one: Watched, wanted: AdminState) -> str:
    if wanted is AdminState.READY:
        return f"{one.place} is not up: look at its check with `reconciler slots`"
    return f"{one.place} still has {counted(one.sessions)}"


def counted(sessions: int) -> str:
    """Return a number of sessions in words."""
    return "1 session" if sessions == 1 else f"{sessions} sessions"
