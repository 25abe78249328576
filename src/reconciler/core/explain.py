"""Why a container is where it is, or why it is nowhere: every rule, in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reconciler.core.model import (
    Container,
    Endpoint,
    Observed,
    Plan,
    Rotation,
    Server,
)
from reconciler.core.placement import (
    BACKEND,
    Context,
    Found,
    Refused,
    address_of,
    backends_of,
    drain_of,
    is_enabled,
    port_of,
    rotation_of,
    shuts_down,
    weight_of,
)
from reconciler.core.plan import slots_of
from reconciler.core.view import is_held, state_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule: its question, whether the container passes, and the evidence."""

    rule: str
    passes: bool
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPart:
    """What explaining needs of one HAProxy."""

    name: str
    observed: Observed
    endpoints: tuple[Endpoint, ...]
    plan: Plan
    slot_prefix: str


def explained(
    container: Container, context: Context, proxies: Iterable[ProxyPart]
) -> list[Step]:
    """Return every rule that decides on a container, with its evidence."""
    steps = list(_own_steps(container))
    backends = backends_of(container, context)
    if isinstance(backends, Refused):
        return [*steps, Step(rule="backend", passes=False, evidence=backends.reason)]
    listed = ", ".join(backends.value)
    steps.append(
        Step(rule="backend", passes=True, evidence=f"{listed} ({backends.how})")
    )
    parts = list(proxies)
    if parts and not any(_is_anywhere(name, parts) for name in backends.value):
        return [*steps, _missing_step(listed, parts)]
    steps.append(_step("address", address_of(container, context)))
    for backend in backends.value:
        steps.append(_step(f"port in {backend}", port_of(container, backend, context)))
        steps.append(_step(f"weight in {backend}", weight_of(container, backend)))
    steps += _drain_steps(container)
    steps.append(_step("rotation", rotation_of(container)))
    if all(step.passes for step in steps):
        for proxy in parts:
            steps += [_slot_step(container, name, proxy) for name in backends.value]
    return steps


def _drain_steps(container: Container) -> Iterator[Step]:
    seconds, shutdown = drain_of(container), shuts_down(container)
    if isinstance(seconds, Found) and seconds.value is not None:
        evidence = f"{seconds.value:g} s ({seconds.how})"
        yield Step(rule="drain time", passes=True, evidence=evidence)
    else:
        yield _step("drain time", seconds)
    if isinstance(shutdown, Found):
        evidence = f"{'yes' if shutdown.value else 'no'} ({shutdown.how})"
        yield Step(rule="drain shutdown", passes=True, evidence=evidence)
    else:
        yield _step("drain shutdown", shutdown)


def _is_anywhere(backend: str, proxies: Iterable[ProxyPart]) -> bool:
    return any(
        slots_of(proxy.observed.backends.get(backend, {}).values(), proxy.slot_prefix)
        for proxy in proxies
    )


def _missing_step(backends: str, proxies: Iterable[ProxyPart]) -> Step:
    asked = ", ".join(proxy.name for proxy in proxies)
    return Step(
        rule="slots",
        passes=False,
        evidence=f"no backend {backends} with slots in {asked}: give label {BACKEND}, or "
        "add a server-template line to that backend",
    )


def _own_steps(container: Container) -> Iterator[Step]:
    if not container.is_running:
        yield Step(rule="running", passes=False, evidence="it is not running: start it")
    elif container.is_paused:
        yield Step(rule="running", passes=False, evidence="it is paused: unpause it")
    else:
        yield Step(rule="running", passes=True, evidence="it is running")
    enabled = is_enabled(container)
    if isinstance(enabled, Found) and not enabled.value:
        evidence = f"{enabled.how} says no: remove it to have the container placed"
        yield Step(rule="enabled", passes=False, evidence=evidence)
    else:
        yield _step("enabled", enabled)


def _step(
    rule: str,
    answer: Found[bool]
    | Found[str]
    | Found[int]
    | Found[int | None]
    | Found[float | None]
    | Found[Rotation]
    | Refused,
) -> Step:
    if isinstance(answer, Refused):
        return Step(rule=rule, passes=False, evidence=answer.reason)
    value = answer.value
    if isinstance(value, bool) or value is None:
        return Step(rule=rule, passes=True, evidence=answer.how)
    shown = value.value if isinstance(value, Rotation) else value
    return Step(rule=rule, passes=True, evidence=f"{shown} ({answer.how})")


def _slot_step(container: Container, backend: str, proxy: ProxyPart) -> Step:
    rule = f"slot in {proxy.name}"
    servers = proxy.observed.backends.get(backend, {})
    slots = slots_of(servers.values(), proxy.slot_prefix)
    if not slots:
        evidence = f"it has no backend {backend} with slots: add a server-template line"
        return Step(rule=rule, passes=False, evidence=evidence)
    for one in proxy.plan.unplaced:
        if one.tenant.container_id == container.id and one.backend == backend:
            return Step(rule=rule, passes=False, evidence=one.reason)
    for endpoint in proxy.endpoints:
        if endpoint.tenant.container_id == container.id and endpoint.backend == backend:
            return _home_step(rule, endpoint, slots)
    return Step(rule=rule, passes=False, evidence="it is not desired there")


def _home_step(rule: str, endpoint: Endpoint, slots: list[Server]) -> Step:
    for slot in slots:
        if (slot.address, slot.port) == (endpoint.address, endpoint.port):
            return Step(rule=rule, passes=True, evidence=_home(slot, endpoint))
    evidence = "it has no slot yet: the next pass gives it one (is the daemon running?)"
    return Step(rule=rule, passes=False, evidence=evidence)


def _home(slot: Server, endpoint: Endpoint) -> str:
    state = state_of(slot)
    text = f"{slot.ref} is {state}, weight {slot.weight}"
    if state == "down":
        return f"{text}: HAProxy's own check does not pass, look at its check's result"
    if is_held(slot):
        return f"{text}: an operator put it there (its weight was kept)"
    if endpoint.rotation is Rotation.STOP:
        return f"{text}: it keeps its slot for its sessions until it ends"
    if endpoint.rotation is Rotation.DRAIN:
        return f"{text}: it keeps its slot and gets no new sessions while unhealthy"
    return text
