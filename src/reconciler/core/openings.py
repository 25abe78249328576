"""Whose slot may a newcomer take? Sessions of the former tenant come first, for a while.

A slot is open when none of its connections is in use, or when its tenant has been out for the
drain time. On HAProxy versions that mix up the connections of two tenants only idle ones are
open, however long it takes (docs/decisions/0009). Where only the connections could tell and
they were not read, the answer is *unknown*: asking costs a round trip, and mostly a slot that
has been free for long is there.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.core.model import (
    RELEASED_ADDRESSES,
    AdminState,
    Endpoint,
    Rotation,
    Server,
    is_placeholder,
)


_ALWAYS = float("-inf")


class Opening(enum.Enum):
    """Whether a slot may be given to another tenant now."""

    OPEN = "open"
    BUSY = "busy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long a former tenant's sessions are waited for."""

    drain_seconds: float
    needs_idle: bool
    """Only a slot with no connection in use may be given away, whatever the time."""
    now: float | None
    """Seconds on the clock of ``Server.last_change``; None where nobody looks at one."""

    def is_over(self, slot: Server, seconds: float | None = None) -> bool:
        """Whether a slot has been out of rotation for its drain time."""
        wanted = self.drain_seconds if seconds is None else seconds
        if wanted == 0:
            return True
        since = out_since(slot)
        if since is None or self.now is None:
            return since == _ALWAYS
        return self.now - since >= wanted

    def opening(self, slot: Server, seconds: float | None = None) -> Opening:
        """Return whether a slot that is out of rotation may be given away."""
        if slot.connections == 0:
            return Opening.OPEN
        is_new = slot.connections is None and never_had_a_tenant(slot)
        if is_new and not self.needs_idle:
            return Opening.OPEN
        if not self.needs_idle and self.is_over(slot, seconds):
            return Opening.OPEN
        return Opening.UNKNOWN if slot.connections is None else Opening.BUSY


def never_had_a_tenant(slot: Server) -> bool:
    """Whether a slot has the address HAProxy was started with: nobody has sessions there.

    A slot that had a tenant was released, and has the address that is written then.
    """
    return is_placeholder(slot.address) and slot.address not in RELEASED_ADDRESSES


def out_since(slot: Server) -> float | None:
    """Return since when a slot has been out of rotation, None where that is not known.

    HAProxy dates a maint; one that never changed since it began was always out.
    """
    if slot.out_since is not None or slot.admin is not AdminState.MAINT:
        return slot.out_since
    return _ALWAYS if slot.last_change is None else slot.last_change


@dataclass(slots=True)
class Openings:
    """The slots of one backend that a newcomer may take, best first."""

    slots: list[Server]
    busy: int = 0
    """How many more will be open once their sessions have ended."""
    is_unknown: bool = False
    """Whether reading the connections in use might open more."""

    def add(self, slot: Server, opening: Opening) -> None:
        """Take in one slot behind those that are better."""
        if opening is Opening.OPEN:
            self.slots.append(slot)
        else:
            self.busy += 1
            self.is_unknown |= opening is Opening.UNKNOWN


def openings(
    free: Iterable[Server],
    strays: Iterable[Server],
    leaving: Iterable[tuple[Server, Endpoint]],
    terms: Terms,
) -> Openings:
    """Return what a backend has for newcomers.

    The longest free comes first (a slot that never had a tenant is the longest free), so
    that what clients remember of a former tenant can expire. Then ``strays``: slots that
    somebody made ready with no tenant, and those whose tenant left. Last ``leaving``: slots
    of tenants that are out of rotation: those that did not start yet, the stopping, the
    unhealthy.
    """
    found = Openings([])
    for slot in sorted(free, key=free_since):
        found.add(slot, terms.opening(slot))
    for slot in sorted(strays, key=_has_address):
        # Where connections get mixed up it has to be free, and seen idle, first.
        found.add(slot, Opening.BUSY if terms.needs_idle else terms.opening(slot))
    for slot, endpoint in sorted(leaving, key=_rank):
        if slot.admin is not AdminState.READY and not slot.is_signed:
            continue  # an operator's hold, or the agent's
        if endpoint.rotation is Rotation.START:
            # It was free, or is as good as free: nobody has had a session there since.
            found.add(slot, terms.opening(slot))
        elif not terms.needs_idle:
            found.add(slot, terms.opening(slot, endpoint.drain_seconds))
        elif endpoint.rotation is Rotation.STOP:
            # It has to be free, and seen idle, first; the unhealthy keep theirs here.
            found.add(slot, Opening.BUSY)
    return found


def free_since(slot: Server) -> float:
    """Return what free slots are taken by, the least first: who never had a tenant leads."""
    return _ALWAYS if slot.last_change is None else slot.last_change


def _has_address(slot: Server) -> bool:
    return not is_placeholder(slot.address)


_RANK = {Rotation.START: 0, Rotation.STOP: 1}


def _rank(pair: tuple[Server, Endpoint]) -> int:
    return _RANK.get(pair[1].rotation, 2)
