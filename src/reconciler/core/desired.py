"""From containers to what should be in one HAProxy.

A container makes *claims*: one for each backend it wants to be in, fulfilled (an endpoint)
or not (the reason). Claims depend on the container alone, so one event recomputes one
container; they are joined with the backends that a HAProxy reported only at the end.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Container as Membership, Iterable
from dataclasses import dataclass

from reconciler.core.model import (
    NOBODY,
    Cause,
    Container,
    Desired,
    Endpoint,
    Health,
    Place,
    Residents,
    Rotation,
    Tenant,
    Unplaced,
    with_mend,
)
from reconciler.core.placement import (
    BACKEND,
    BACKENDS,
    DUPLICATE_MEND,
    PREFIX,
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
from reconciler.errors import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One container's wish to be in one backend, fulfilled or not.

    ``is_explicit`` is False where only the service's name suggests the backend: nobody is
    told that *redis* has no backend of its own.
    """

    backend: str | None
    is_explicit: bool
    outcome: Endpoint | Unplaced


def tenant_of(container: Container) -> Tenant:
    """Return who the container is, for people."""
    return Tenant(
        container_id=container.id,
        container=container.name,
        service=container.service,
        project=container.project,
    )


def is_same_tenant(before: Container, after: Container) -> bool:
    """Whether a container that changed has the addresses, name and labels that it had.

    By identity: of one that was read anew nothing is known to be the same.
    """
    return (
        before.networks is after.networks
        and before.labels is after.labels
        and before.name == after.name
    )


def claims_of(container: Container, context: Context) -> tuple[Claim, ...]:
    """Return everything one container asks for; nothing where it asks for nothing.

    A container that is not running, paused, or disabled asks for nothing. A bad label keeps
    only this container out. One that is about to start asks for what it will have, and does
    not miss anything yet.
    """
    if container.is_starting:
        claims = _claims_of(container, context)
        return tuple(one for one in claims if isinstance(one.outcome, Endpoint))
    if not container.is_running or container.is_paused:
        return ()
    return _claims_of(container, context)


def turned(
    claims: tuple[Claim, ...], before: Container, after: Container
) -> tuple[Claim, ...] | None:
    """Return the claims of a container of which a signal, or its start, changed the rotation.

    As :func:`claims_of` does, and sooner: a drain or a newcomer waits for it. ``claims``
    are those of ``before``. None where anything else may have changed, or some claim has no
    endpoint.
    """
    is_same = (
        (_is_signalled(before, after) or _has_begun(claims, before, after))
        and before.is_paused is after.is_paused
        and before.health is after.health
        and is_same_tenant(before, after)
        and before.tcp_ports is after.tcp_ports
        and before.created == after.created
        and before.network_mode == after.network_mode
    )
    rotation = rotation_of(after)
    if not claims or not is_same or isinstance(rotation, Refused):
        return None
    found: list[Claim] = []
    for claim in claims:
        if not isinstance(claim.outcome, Endpoint):
            return None
        endpoint = dataclasses.replace(claim.outcome, rotation=rotation.value)
        found.append(dataclasses.replace(claim, outcome=endpoint))
    return tuple(found)


def _is_signalled(before: Container, after: Container) -> bool:
    is_living = before.is_running and after.is_running
    is_begun = not (before.is_starting or after.is_starting)
    return is_living and is_begun and before.is_stopping is not after.is_stopping


def _has_begun(claims: tuple[Claim, ...], before: Container, after: Container) -> bool:
    """Whether a container runs that claimed one backend before its start, and no other.

    Of several backends some may have been refused, which counts from now on.
    """
    is_begun = before.is_starting and after.is_running and not after.is_starting
    return (
        is_begun
        and len(claims) == 1
        and not (after.is_stopping or after.is_paused)
        and not any(key.startswith(BACKENDS) for key in after.labels)
    )


def _claims_of(container: Container, context: Context) -> tuple[Claim, ...]:
    enabled = is_enabled(container)
    if isinstance(enabled, Found) and not enabled.value:
        return ()
    backends = backends_of(container, context)
    is_explicit = _is_explicit(container, context)
    if isinstance(enabled, Refused):
        names = backends.value if isinstance(backends, Found) else [None]
        return tuple(
            _refusal(container, n, enabled, is_explicit=is_explicit) for n in names
        )
    if isinstance(backends, Refused):
        if backends.cause is Cause.UNKNOWN_BACKEND and not is_explicit:
            return ()
        return (_refusal(container, None, backends, is_explicit=is_explicit),)
    return tuple(
        _claim(container, backend, context, is_explicit=is_explicit)
        for backend in backends.value
    )


def _is_explicit(container: Container, context: Context) -> bool:
    """Whether somebody meant this container for us, and would miss it.

    Labels of a project that is not covered may be meant for another reconciler.
    """
    if context.projects is not None and container.project not in context.projects:
        return False
    return any(
        key.startswith(PREFIX) and key not in context.instance_labels
        for key in container.labels
    )


def _claim(
    container: Container, backend: str, context: Context, *, is_explicit: bool
) -> Claim:
    address = address_of(container, context)
    port = port_of(container, backend, context)
    weight = weight_of(container, backend)
    rotation = rotation_of(container)
    drain = drain_of(container)
    shutdown = shuts_down(container)
    for answer in (address, port, weight, drain, shutdown, rotation):
        if isinstance(answer, Refused):
            refused = _refusal(container, backend, answer, is_explicit=is_explicit)
            return _located(refused, address, port)
    assert not isinstance(address, Refused)  # noqa: S101 - narrows the types
    assert not isinstance(port, Refused)  # noqa: S101
    assert not isinstance(weight, Refused)  # noqa: S101
    assert not isinstance(rotation, Refused)  # noqa: S101
    assert not isinstance(drain, Refused)  # noqa: S101
    assert not isinstance(shutdown, Refused)  # noqa: S101
    endpoint = Endpoint(
        backend=backend,
        address=address.value,
        port=port.value,
        tenant=tenant_of(container),
        weight=weight.value,
        rotation=rotation.value,
        is_healthy=container.health is Health.HEALTHY,
        since=container.created,
        drain_seconds=drain.value,
        drain_shutdown=shutdown.value,
    )
    return Claim(backend=backend, is_explicit=is_explicit, outcome=endpoint)


def endpoint_at(container: Container, place: Place, backend: str) -> Endpoint | None:
    """Return what a container is at a place that it has a slot with, wherever it should be.

    None where its own state keeps it from being there at all. A label that cannot be read
    counts as none.
    """
    rotation = rotation_of(container)
    if isinstance(rotation, Refused):
        return None
    weight, drain = weight_of(container, backend), drain_of(container)
    shutdown = shuts_down(container)
    return Endpoint(
        backend=backend,
        address=place[0],
        port=place[1],
        tenant=tenant_of(container),
        weight=weight.value if isinstance(weight, Found) else None,
        rotation=rotation.value,
        is_healthy=container.health is Health.HEALTHY,
        since=container.created,
        drain_seconds=drain.value if isinstance(drain, Found) else None,
        drain_shutdown=isinstance(shutdown, Found) and shutdown.value,
    )


def _refusal(
    container: Container, backend: str | None, refused: Refused, *, is_explicit: bool
) -> Claim:
    unplaced = Unplaced(
        backend=backend,
        tenant=tenant_of(container),
        cause=refused.cause,
        reason=refused.reason,
        mend=refused.mend,
    )
    return Claim(backend=backend, is_explicit=is_explicit, outcome=unplaced)


def _located(
    claim: Claim, address: Found[str] | Refused, port: Found[int] | Refused
) -> Claim:
    """Add to a refusal what is known all the same: it helps whoever reads it."""
    assert isinstance(claim.outcome, Unplaced)  # noqa: S101 - narrows the type
    located = dataclasses.replace(
        claim.outcome,
        address=address.value if isinstance(address, Found) else None,
        port=port.value if isinstance(port, Found) else None,
    )
    return dataclasses.replace(claim, outcome=located)


def desired_from(
    claims: Iterable[Claim],
    backends: Membership[str],
    *,
    generation: int = 0,
    residents: Residents = NOBODY,
) -> Desired:
    """Return what a HAProxy with these backends should look like.

    ``backends`` are the names that HAProxy reported and that have slots: a claim's backend
    is only ever looked up there. Two containers with one address and port in one backend
    (host networking) get one slot; the older keeps it. ``residents`` tells who lives in
    slots that no claim is for.
    """
    endpoints: defaultdict[str, dict[tuple[str, int], Endpoint]] = defaultdict(dict)
    unplaced: list[Unplaced] = []
    ordered = sorted(claims, key=_claim_order)
    for claim in ordered:
        outcome = claim.outcome
        if claim.backend is not None and claim.backend not in backends:
            if claim.is_explicit:
                unplaced.append(_unknown_backend(claim))
        elif isinstance(outcome, Unplaced):
            unplaced.append(outcome)
        else:
            place = (outcome.address, outcome.port)
            holder = endpoints[outcome.backend].setdefault(place, outcome)
            if holder is not outcome:
                why = (
                    f"container {holder.tenant.container} has the same address and port"
                )
                mend = DUPLICATE_MEND
                unplaced.append(outcome.unplaced(Cause.DUPLICATE, why, mend=mend))
    return Desired(
        endpoints={name: tuple(found.values()) for name, found in endpoints.items()},
        unplaced=tuple(unplaced),
        generation=generation,
        residents=residents,
    )


def _claim_order(claim: Claim) -> tuple[bool, float, str, str]:
    outcome, since, is_starting = claim.outcome, 0.0, False
    if isinstance(outcome, Endpoint):
        # Whoever runs comes before whoever is about to, however old that is.
        since, is_starting = outcome.since, outcome.rotation is Rotation.START
    return (is_starting, since, outcome.tenant.container_id, claim.backend or "")


def _unknown_backend(claim: Claim) -> Unplaced:
    outcome = claim.outcome
    why = f"haproxy has no backend {quoted(claim.backend)} with slots"
    mend = f"correct label {BACKEND}, or add a server-template line to that backend"
    return Unplaced(
        backend=claim.backend,
        tenant=outcome.tenant,
        cause=Cause.UNKNOWN_BACKEND,
        reason=with_mend(why, mend),
        mend=mend,
        address=outcome.address,
        port=outcome.port,
    )
