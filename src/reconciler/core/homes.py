"""Where one container lives in one HAProxy, or why it has no slot there. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.core.model import (
    Container,
    Endpoint,
    Observed,
    Plan,
    Rotation,
    Server,
)
from reconciler.core.plan import slots_of
from reconciler.core.tried import Step, Tried, failed
from reconciler.core.view import is_held, state_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPart:
    """What explaining needs of one HAProxy."""

    name: str
    observed: Observed
    endpoints: tuple[Endpoint, ...]
    plan: Plan
    slot_prefix: str


def slots_in(backend: str, proxy: ProxyPart) -> list[Server]:
    """Return the slots of one backend in one HAProxy, in numeric order."""
    servers = proxy.observed.backends.get(backend, {})
    return slots_of(servers.values(), proxy.slot_prefix)


def slot_step(
    container: Container, backend: str, proxy: ProxyPart, proxies: Iterable[ProxyPart]
) -> Step:
    """Return whether a container has its slot of one backend in one HAProxy.

    ``proxies`` are all of them: a backend that one lacks and another has is no fault.
    """
    rule = f"slot in {proxy.name}"
    slots = slots_in(backend, proxy)
    if not slots:
        why = f"it has no backend {backend} with slots"
        if any(slots_in(backend, other) for other in proxies):
            evidence = f"{why}, and another haproxy has"
            return Step(rule=rule, passes=True, evidence=evidence, haproxy=proxy.name)
        return failed(rule, why, "add a server-template line", (), proxy.name)
    mine = [
        endpoint
        for endpoint in proxy.endpoints
        if (endpoint.tenant.container_id, endpoint.backend) == (container.id, backend)
    ]
    tried = _slot_tries(backend, slots, mine)
    for step in kept_steps(container, proxy, backend, tried):
        return step
    for one in proxy.plan.unplaced:
        if (one.tenant.container_id, one.backend) == (container.id, backend):
            return failed(rule, one.why, one.mend, tried, proxy.name)
    if mine:
        return _home_step(rule, mine[0], slots, tried, proxy)
    return failed(rule, "it is not desired there", "", tried, proxy.name)


def kept_steps(
    container: Container,
    proxy: ProxyPart,
    backend: str | None = None,
    tried: tuple[Tried, ...] = (),
) -> Iterator[Step]:
    """Yield the step of each slot that a container keeps though nobody asks for it.

    ``backend`` is the one that counts, None for all.
    """
    for kept in proxy.plan.kept:
        is_mine = kept.endpoint.tenant.container_id == container.id
        if not is_mine or backend not in {None, kept.ref.backend}:
            continue
        home = proxy.observed.backends[kept.ref.backend][kept.ref.server]
        said = f"{_home_text(home, kept.endpoint)}: it keeps its slot, though"
        yield Step(
            rule=f"slot in {proxy.name}",
            passes=True,
            evidence=f"{said} {kept.reason}",
            tried=tried,
            mend=kept.mend,
            haproxy=proxy.name,
            slot=str(kept.ref),
        )


def _slot_tries(
    backend: str, slots: Sequence[Server], endpoints: Sequence[Endpoint]
) -> tuple[Tried, ...]:
    states = Counter(state_of(slot) for slot in slots)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    tried = [Tried(f"backend {backend}", f"{len(slots)} slots: {counts}")]
    for endpoint in endpoints:
        place = f"{endpoint.address} port {endpoint.port}"
        home = _home_of(endpoint, slots)
        tried.append(Tried(f"a slot with {place}", str(home.ref) if home else "none"))
        if home is not None:
            return tuple(tried)
    free = [slot for slot in slots if slot.is_free]
    tried.append(Tried("a free slot", f"{len(free)} of them" if free else "none"))
    if not free:
        held = sum(map(is_held, slots))
        out = sum(slot.admin.value != "ready" for slot in slots) - held
        shown = f"{out or 'none'} ({held} held by an operator are not counted)"
        tried.append(Tried("a slot whose tenant is out of rotation", shown))
    return tuple(tried)


def _home_of(endpoint: Endpoint, slots: Iterable[Server]) -> Server | None:
    place = (endpoint.address, endpoint.port)
    return next((s for s in slots if (s.address, s.port) == place), None)


def _home_step(
    rule: str,
    endpoint: Endpoint,
    slots: Sequence[Server],
    tried: tuple[Tried, ...],
    proxy: ProxyPart,
) -> Step:
    home = _home_of(endpoint, slots)
    if home is not None:
        return Step(
            rule=rule,
            passes=True,
            evidence=_home_text(home, endpoint),
            tried=tried,
            haproxy=proxy.name,
            slot=str(home.ref),
        )
    given = [
        change.ref
        for change in proxy.plan.changes
        if change.kind == "assign" and change.tenant == endpoint.tenant
    ]
    which = str(given[0]) if given else "one"
    why = f"it has no slot yet, the next pass gives it {which}"
    return failed(rule, why, "is the daemon running?", tried, proxy.name)


def _home_text(slot: Server, endpoint: Endpoint) -> str:
    state = state_of(slot)
    text = f"{slot.ref} is {state}, weight {slot.weight}"
    if state == "down":
        return f"{text}: HAProxy's own check does not pass, look at its check's result"
    if is_held(slot):
        return f"{text}: an operator put it there (its weight was kept)"
    if endpoint.rotation is Rotation.START:
        return f"{text}: it is about to start"
    if endpoint.rotation is Rotation.STOP:
        return f"{text}: it keeps its slot for its sessions until it ends"
    if endpoint.rotation is Rotation.DRAIN:
        return f"{text}: it keeps its slot and gets no new sessions while unhealthy"
    return text
