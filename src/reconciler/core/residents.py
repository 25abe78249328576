"""Who lives in a slot that no endpoint asks for: a container that runs, and why it was not asked.

A slot whose tenant has ended is released at once: that is what the container itself explains.
But a container may run on, at the address that its slot has, and not be desired any more, or
not there: since a second network left a choice of addresses, since the reconciler was started
with other options, since a reading told something else. What follows from that is the planner's
to say (docs/decisions/0035); this only tells the cases apart. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from reconciler.core.desired import endpoint_at
from reconciler.core.model import (
    Cause,
    Container,
    Endpoint,
    Place,
    Resident,
    Unplaced,
)
from reconciler.core.placement import (
    ADDRESS,
    Context,
    Found,
    Refused,
    address_of,
    backends_of,
    is_enabled,
    port_of,
    port_of_container,
)


_UNCLEAR = frozenset({Cause.NO_ADDRESS, Cause.NO_PORT})
"""Causes that say *which one?* or *none is told*: the container itself is as it was."""

_ITS_OWN = frozenset({Cause.STARTING, Cause.STOPPING, Cause.UNHEALTHY})
"""Causes that the container's own state explains."""


def named_backends(container: Container, context: Context) -> frozenset[str]:
    """Return the backends a container belongs to by its own word, whatever is covered here.

    That is by labels, or by its service's name in any project; none for one that does not
    run, is paused, or is kept out by its own labels.
    """
    if not container.is_running or container.is_paused:
        return frozenset()
    enabled = is_enabled(container)
    if isinstance(enabled, Refused) or not enabled.value:
        return frozenset()
    everywhere = dataclasses.replace(context, projects=None)
    names = backends_of(container, everywhere)
    return frozenset(names.value) if isinstance(names, Found) else frozenset()


def resident(
    container: Container,
    place: Place,
    backend: str,
    context: Context,
    outcome: Endpoint | Unplaced | None,
) -> Resident | None:
    """Return a container as the resident of a place in a backend, None where it is none.

    ``place`` has one of its addresses. ``outcome`` is its claim on the backend, None where
    it makes none.
    """
    is_its_own = isinstance(outcome, Unplaced) and outcome.cause in _ITS_OWN
    own_port = port_of_container(container, backend)
    if isinstance(own_port, Found) and own_port.value != place[1]:
        return None  # somebody else's slot, who had the address before
    if is_its_own or backend not in named_backends(container, context):
        return None
    there = endpoint_at(container, place, backend)
    is_asked_for = isinstance(outcome, Endpoint) and _place(outcome) == place
    if there is None or is_asked_for:
        return None  # its own state keeps it out; or another slot is its home
    is_unclear = isinstance(outcome, Unplaced) and outcome.cause in _UNCLEAR
    why = _why(container, backend, context, outcome)
    return Resident(
        endpoint=there,
        is_unclear=is_unclear,
        has_moved=isinstance(outcome, Endpoint),
        why=why,
        mend=outcome.mend if isinstance(outcome, Unplaced) and is_unclear else _UNDO,
    )


def _place(endpoint: Endpoint) -> Place:
    return (endpoint.address, endpoint.port)


def _why(
    container: Container,
    backend: str,
    context: Context,
    outcome: Endpoint | Unplaced | None,
) -> str:
    """Return why nobody asks for it where it is."""
    if isinstance(outcome, Endpoint):
        return f"its place is {_placed(outcome, container, backend, context)} now"
    if isinstance(outcome, Unplaced):
        return outcome.why
    names = backends_of(container, context)
    return names.why if isinstance(names, Refused) else "it is not asked for any more"


_UNDO = (
    "`--max-release 100` carries it out for all at once; or take back what was changed"
)


def _placed(
    outcome: Endpoint, container: Container, backend: str, context: Context
) -> str:
    """Return where it should live, and by which rules."""
    answers = (address_of(container, context), port_of(container, backend, context))
    how = "; ".join(a.how for a in answers if isinstance(a, Found))
    host = f"[{outcome.address}]" if ":" in outcome.address else outcome.address
    return f"{host}:{outcome.port} ({how})"


def label_address(container: Container) -> str | None:
    """Return the address that a container's label gives it, None where it has none."""
    text = container.labels.get(ADDRESS)
    if text is None:
        return None
    found = address_of(container, Context())
    return found.value if isinstance(found, Found) else None


def one_of_several(
    sharing: Iterable[Container], place: Place, backend: str, context: Context
) -> Container | None:
    """Return whose a place is, of containers that have one address by their labels.

    A lone one, whatever its port; of several the one that has the port.
    """
    mine = [one for one in sharing if backend in named_backends(one, context)]
    if len(mine) == 1:
        return mine[0]
    found = [one for one in mine if _has_port(one, place[1], backend, context)]
    return found[0] if len(found) == 1 else None


def _has_port(container: Container, port: int, backend: str, context: Context) -> bool:
    found = port_of(container, backend, context)
    return isinstance(found, Found) and found.value == port
