"""Why a container is where it is, or why it is nowhere: every rule, in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.core.homes import ProxyPart, kept_steps, slot_step, slots_in
from reconciler.core.model import Cause, Container, Rotation
from reconciler.core.placement import (
    BACKEND,
    ONE_OFF_HOW,
    ONE_OFF_MEND,
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
from reconciler.core.tried import (
    Step,
    Tried,
    address_tries,
    backend_tries,
    drain_tries,
    enabled_tries,
    failed,
    port_tries,
    rotation_tries,
    shutdown_tries,
    weight_tries,
)


def explained(
    container: Container, context: Context, proxies: Iterable[ProxyPart]
) -> list[Step]:
    """Return every rule that decides on a container, with its evidence.

    Where it has a slot the slot is named, also where a rule fails and it only keeps it.
    """
    parts = list(proxies)
    steps = _rules(container, context, parts)
    if all(step.passes for step in steps):
        named = backends_of(container, context)
        names = named.value if isinstance(named, Found) else []
        for proxy in parts:
            steps += [slot_step(container, name, proxy, parts) for name in names]
    else:
        steps += [step for proxy in parts for step in kept_steps(container, proxy)]
    return steps


def _rules(
    container: Container, context: Context, parts: Sequence[ProxyPart]
) -> list[Step]:
    steps = list(_own_steps(container))
    backends = backends_of(container, context)
    tried = backend_tries(container, context)
    if isinstance(backends, Refused):
        return [*steps, _step("backend", backends, tried)]
    listed = ", ".join(backends.value)
    evidence = f"{listed} ({backends.how})"
    steps.append(Step(rule="backend", passes=True, evidence=evidence, tried=tried))
    if parts and not any(
        slots_in(name, one) for name in backends.value for one in parts
    ):
        return [*steps, _missing_step(listed, parts)]
    steps += _place_steps(container, backends.value, context)
    steps += _drain_steps(container)
    steps.append(_step("rotation", rotation_of(container), rotation_tries(container)))
    return steps


def is_placed(steps: Sequence[Step]) -> bool:
    """Whether a container has a slot wherever it should have one."""
    in_each = [step for step in steps if step.haproxy is not None]
    return any(step.slot for step in steps) and all(step.passes for step in in_each)


def verdict(steps: Sequence[Step]) -> str:
    """Return the answer in one line: where the container is, or why not and the mend."""
    placed = [f"{one.evidence} ({one.haproxy})" for one in steps if one.slot]
    failing = [one for one in steps if not one.passes]
    told = [f"placed: {'; '.join(placed)}"] if placed else []
    if failing:
        first = failing[0]
        where = f" in {first.haproxy}" if first.haproxy and placed else ""
        mend = f" → {first.mend}" if first.mend else ""
        more = f" (and {len(failing) - 1} more below)" if len(failing) > 1 else ""
        keeps = "a newcomer would not be placed" if placed and not where else ""
        told.append(f"{keeps or f'not placed{where}'}: {first.why}{mend}{more}")
    return (
        "; ".join(told) or "not known: no haproxy could be read, the rules below pass"
    )


def _own_steps(container: Container) -> Iterator[Step]:
    if not container.is_running:
        yield failed("running", "it is not running", "start it")
    elif container.is_paused:
        yield failed("running", "it is paused", "unpause it")
    else:
        yield Step(rule="running", passes=True, evidence="it is running")
    enabled, tried = is_enabled(container), enabled_tries(container)
    if container.identity.is_one_off:
        why = f"it is {ONE_OFF_HOW}, which gets no traffic whatever its labels say"
        yield failed("enabled", why, ONE_OFF_MEND, tried)
    elif isinstance(enabled, Found) and not enabled.value:
        mend = "remove it to have the container placed"
        yield failed("enabled", f"{enabled.how} says no", mend, tried)
    else:
        yield _step("enabled", enabled, tried)


def _place_steps(
    container: Container, backends: Iterable[str], context: Context
) -> Iterator[Step]:
    address = address_of(container, context)
    tried = address_tries(container, context)
    yield _place_step(container, "address", address, tried)
    for backend in backends:
        port = port_of(container, backend, context)
        tried = port_tries(container, backend, context)
        yield _place_step(container, f"port in {backend}", port, tried)
        weight = weight_of(container, backend)
        yield _step(f"weight in {backend}", weight, weight_tries(container, backend))


def _place_step(
    container: Container,
    rule: str,
    answer: Found[str] | Found[int] | Refused,
    tried: tuple[Tried, ...],
) -> Step:
    """Return a step; what Docker only tells of running containers is no fault of others."""
    is_told_later = isinstance(answer, Refused) and answer.cause in _TOLD_WHILE_RUNNING
    if is_told_later and not container.is_running:
        evidence = "not known while it does not run"
        return Step(rule=rule, passes=True, evidence=evidence, tried=tried)
    return _step(rule, answer, tried)


_TOLD_WHILE_RUNNING = frozenset({Cause.NO_ADDRESS, Cause.NO_PORT})


def _drain_steps(container: Container) -> Iterator[Step]:
    seconds, tried = drain_of(container), drain_tries(container)
    if isinstance(seconds, Found) and seconds.value is not None:
        evidence = f"{seconds.value:g} s ({seconds.how})"
        yield Step(rule="drain time", passes=True, evidence=evidence, tried=tried)
    else:
        yield _step("drain time", seconds, tried)
    shutdown, tried = shuts_down(container), shutdown_tries(container)
    if isinstance(shutdown, Found):
        evidence = f"{'yes' if shutdown.value else 'no'} ({shutdown.how})"
        yield Step(rule="drain shutdown", passes=True, evidence=evidence, tried=tried)
    else:
        yield _step("drain shutdown", shutdown, tried)


def _step(
    rule: str,
    answer: Found[bool]
    | Found[str]
    | Found[int]
    | Found[int | None]
    | Found[float | None]
    | Found[Rotation]
    | Refused,
    tried: tuple[Tried, ...],
) -> Step:
    if isinstance(answer, Refused):
        return failed(rule, answer.why, answer.mend, tried)
    value = answer.value
    if isinstance(value, bool) or value is None:
        return Step(rule=rule, passes=True, evidence=answer.how, tried=tried)
    shown = value.value if isinstance(value, Rotation) else value
    evidence = f"{shown} ({answer.how})"
    return Step(rule=rule, passes=True, evidence=evidence, tried=tried)


def _missing_step(backends: str, proxies: Iterable[ProxyPart]) -> Step:
    asked = ", ".join(proxy.name for proxy in proxies)
    return failed(
        "slots",
        f"no backend {backends} with slots in {asked}",
        f"give label {BACKEND}, or add a server-template line to that backend",
    )
