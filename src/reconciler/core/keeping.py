"""Which tenants keep a slot that no endpoint asks for, and how the others leave theirs. Pure.

A slot is released at once where the container explains it: it has ended, is paused, left the
network. One that runs on, at the address that its slot has, is a :class:`Resident`:

*Unclear.* Where it should live became unclear (a second network, no port told any more): it
stays, all of them do, and only newcomers wait.
*Not asked for, or asked for elsewhere.* Only a change on our own side explains that: other
options, our own container's networks, a reading. At most ``max_release`` of a backend's ready
slots are released for it; the rest stay until somebody says so.

What was let go counts for as long as the limit keeps others, and that is written where everybody
finds it: in the address of the slot it had (docs/decisions/0035).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.core.model import (
    LET_GO_ADDRESS,
    MOVED_ADDRESS,
    RELEASED_ADDRESS,
    AdminState,
    Endpoint,
    Kept,
    KeptFor,
    Resident,
    Residents,
    Rotation,
    Server,
    ServerRef,
    is_placeholder,
)
from reconciler.core.openings import Opening, Terms


MAX_RELEASE = 0.5
"""The default limit: half of a backend goes on serving, whatever was changed."""

GONE = "its endpoint has gone"


_Home = tuple[Server, Resident]


class Parting(NamedTuple):
    """How a slot is released: the reason, and the address that is left behind in it."""

    why: str = GONE
    address: str = RELEASED_ADDRESS


@dataclass(slots=True, kw_only=True)
class Tenancy:
    """The slots of one backend and those who want to be in them."""

    kept: list[tuple[Server, Endpoint]]
    """Slots with the endpoints that live in them."""
    strays: list[Server]
    """Slots to release."""
    waiting: list[Endpoint]
    """Endpoints without a slot, longest waiting first."""
    partings: dict[ServerRef, Parting] = field(default_factory=dict)
    """How strays are released, where it is not because their endpoint has gone."""
    residents: list[Resident] = field(default_factory=list)
    """Who lives in a stray."""
    told: list[Kept] = field(default_factory=list)
    """Who is kept though nobody asks for it."""
    wants_whole: bool = False
    """All slots of the backend have to be known before more of them are released."""

    def keep(self, slot: Server, one: Resident, cause: KeptFor | None) -> None:
        """Let a resident stay; wherever else it should be, it gets no other slot."""
        self.kept.append((slot, one.endpoint))
        self.strays.remove(slot)
        mine = one.endpoint.tenant.container_id
        self.waiting = [e for e in self.waiting if e.tenant.container_id != mine]
        if cause is not None:
            self.told.append(
                Kept(
                    ref=slot.ref,
                    endpoint=one.endpoint,
                    cause=cause,
                    why=one.why,
                    mend=one.mend,
                )
            )

    def let_go(self, slot: Server, one: Resident) -> None:
        """Release the slot of a resident that still runs."""
        address = MOVED_ADDRESS if one.has_moved else LET_GO_ADDRESS
        self.partings[slot.ref] = Parting(one.why, address)


def keeper_rank(slot: Server) -> tuple[int, bool, int]:
    """Order the slots of one endpoint: sessions first, then in rotation, then the lowest.

    The sort is stable over slots in numeric order, which settles what is left.
    """
    return (-(slot.connections or 0), slot.is_signed, _STATE_RANK[slot.admin])


_STATE_RANK = {AdminState.READY: 0, AdminState.DRAIN: 1, AdminState.MAINT: 2}


def settle(
    tenancy: Tenancy,
    free: Sequence[Server],
    residents: Residents,
    terms: Terms,
    *,
    max_release: float,
    is_part: bool,
) -> None:
    """Say of every stray whose tenant still runs whether it stays, and how it leaves.

    ``free`` are the backend's free slots. ``is_part`` says that only some of the backend's
    slots are known here: then nobody is let go for what our own side changed.
    """
    found = _residents(tenancy.strays, residents)
    if not found:
        return
    tenancy.residents = [one for homes in found for _, one in homes]
    served = {endpoint.tenant.container_id for _, endpoint in tenancy.kept}
    begun, ready = _sorted_out(tenancy, found, served)
    for slot, one in begun:
        tenancy.let_go(slot, one)
    if is_part and ready:
        tenancy.wants_whole = True
        for slot, one in ready:
            tenancy.keep(slot, one, None)
        return
    room = _room(free, terms)
    base = _count_serving(tenancy, room) + len(ready)
    base += sum(one.endpoint.tenant.container_id not in served for _, one in begun)
    base += sum(slot.address == LET_GO_ADDRESS for slot in free)
    used = len(begun) + sum(slot.address in _MARKS for slot in free)
    _let_some_go(
        tenancy,
        sorted(ready, key=lambda home: tenancy.strays.index(home[0])),
        most=int(max_release * base + _ROUNDING) - used,
        spare=room - len(_newcomers(tenancy)) - _count_moving(begun),
    )


_MARKS = frozenset({LET_GO_ADDRESS, MOVED_ADDRESS})
_ROUNDING = 1e-9


def _sorted_out(
    tenancy: Tenancy, found: Iterable[list[_Home]], served: Collection[str]
) -> tuple[list[_Home], list[_Home]]:
    """Keep who may stay in any case; return whose release was begun, and who is to be asked.

    Of the latter the limit says who stays. Whoever has several slots has them released but
    for one. ``served`` are the containers that have a slot which is asked for.
    """
    begun: list[_Home] = []
    ready: list[_Home] = []
    for homes in found:
        (slot, one), *others = homes
        rotation = one.endpoint.rotation
        if one.endpoint.tenant.container_id in served:
            others = homes
            begun += [home for home in homes if home[1].has_moved]
        elif one.is_unclear:
            tenancy.keep(slot, one, KeptFor.UNCLEAR)
        elif _is_out_by_hand(slot) or rotation is Rotation.STOP:
            tenancy.keep(slot, one, None)
        elif rotation is not Rotation.READY:
            tenancy.partings[slot.ref] = Parting(one.why)
        elif slot.admin is AdminState.READY:
            ready.append((slot, one))
        else:
            begun.append((slot, one))
        for other, _ in others:
            tenancy.partings[other.ref] = Parting("its endpoint has another slot")
    return begun, ready


def _residents(strays: Iterable[Server], residents: Residents) -> list[list[_Home]]:
    """Return the strays whose tenants run, those of one container together, its home first."""
    found: dict[str, list[_Home]] = {}
    for slot in strays:
        if is_placeholder(slot.address):
            continue
        one = residents.at(slot.ref.backend, slot.address, slot.port)
        if one is not None:
            found.setdefault(one.endpoint.tenant.container_id, []).append((slot, one))
    for homes in found.values():
        homes.sort(key=lambda home: keeper_rank(home[0]))
    return list(found.values())


def _count_serving(tenancy: Tenancy, room: int) -> int:
    """Return how many slots of those who are asked for are in rotation after this plan."""
    serving = sum(
        endpoint.rotation is Rotation.READY and not _is_out_by_hand(slot)
        for slot, endpoint in tenancy.kept
    )
    return serving + min(len(_newcomers(tenancy)), room)


def _newcomers(tenancy: Tenancy) -> list[Endpoint]:
    """Return who comes and lives nowhere yet: not those who move."""
    moving = {one.endpoint.tenant.container_id for one in tenancy.residents}
    return [
        endpoint
        for endpoint in tenancy.waiting
        if endpoint.rotation is Rotation.READY
        and endpoint.tenant.container_id not in moving
    ]


def _is_out_by_hand(slot: Server) -> bool:
    return slot.admin is not AdminState.READY and not slot.is_signed


def _room(free: Iterable[Server], terms: Terms) -> int:
    """Return how many slots there are for others than those who were let go."""
    return sum(
        slot.address not in _MARKS and terms.opening(slot) is Opening.OPEN
        for slot in free
    )


def _count_moving(begun: Iterable[_Home]) -> int:
    """Return how many have left a slot and get another: nobody moves to nowhere."""
    moving = {one.endpoint.tenant.container_id for _, one in begun if one.has_moved}
    return len(moving)


def _let_some_go(
    tenancy: Tenancy, ready: Sequence[_Home], *, most: int, spare: int
) -> None:
    """Let so many residents go, and keep the rest."""
    for slot, one in ready:
        if most > 0 and (spare > 0 or not one.has_moved):
            most -= 1
            spare -= one.has_moved
            tenancy.let_go(slot, one)
        else:
            tenancy.keep(slot, one, KeptFor.LIMIT)
