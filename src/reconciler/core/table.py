"""Where the slots of one backend are, so that nobody has to search thousands of them.

One event concerns one endpoint. Its slot is found by its place (address and port), a free one
is the first of those that have been free longest; neither depends on how many there are. The
index decides nothing: whatever it finds goes to the planner.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from reconciler.core.model import (
    ANY_PORT,
    UNKNOWN_PORT,
    Agent,
    Place,
    Server,
    is_placeholder,
)
from reconciler.core.openings import free_since
from reconciler.core.plan import slot_number


class SlotIndex:
    """The slots of one backend, by place, and the free ones in the planner's order."""

    def __init__(self, servers: Iterable[Server], prefix: str) -> None:
        self._prefix = prefix
        self._at: dict[Place, tuple[str, ...]] = {}
        self._free: list[tuple[float, int, str]] = []
        self._free_ports: Counter[int] = Counter()
        for server in servers:
            self.replaced(None, server)

    def replaced(self, before: Server | None, after: Server) -> None:
        """A server is different now; ``before`` is None where it was not known."""
        name = after.ref.server
        number = slot_number(name, self._prefix)
        if number is None:
            return
        if before is not None and _is_indexed_as(before, after):
            return
        old, new = _place_of(before), _place_of(after)
        if old != new:
            for place in _keys(old):
                self._leave(place, name)
            for place in _keys(new):
                self._at[place] = (*self._at.get(place, ()), name)
        self._count_port(before, after)
        if after.is_free:
            since = free_since(after)
            if before is None or not before.is_free or free_since(before) != since:
                heapq.heappush(self._free, (since, number, name))

    def _count_port(self, before: Server | None, after: Server) -> None:
        if before is not None and before.is_free:
            self._free_ports[before.port] -= 1
            if not self._free_ports[before.port]:
                del self._free_ports[before.port]
        if after.is_free:
            self._free_ports[after.port] += 1

    @property
    def free_ports(self) -> frozenset[int]:
        """The ports of the free slots, without those that have none."""
        return frozenset(self._free_ports) - {UNKNOWN_PORT}

    def _leave(self, place: Place, name: str) -> None:
        left = tuple(one for one in self._at.get(place, ()) if one != name)
        if left:
            self._at[place] = left
        else:
            self._at.pop(place, None)

    def at(self, places: Collection[Place]) -> list[str]:
        """Return the names of the slots with these addresses and ports, each once."""
        names = (name for place in places for name in self._at.get(place, ()))
        return list(dict.fromkeys(names))

    def holds(self, place: Place) -> bool:
        """Whether some slot has this address and port."""
        return place in self._at

    def longest_free(self, count: int, servers: Mapping[str, Server]) -> list[Server]:
        """Return so many free slots (fewer where there are no more), longest free first.

        ``servers`` are the backend's, as they are now.
        """
        if len(self._free) > 4 * len(servers) + 64:
            self._free = sorted(set(self._free))
        found: dict[str, Server] = {}
        taken: list[tuple[float, int, str]] = []
        while self._free and len(found) < count:
            entry = heapq.heappop(self._free)
            server = servers.get(entry[2])
            # Entries of slots that are not free any more are left behind by `replaced`.
            is_true = server is not None and server.is_free
            if server is None or not is_true or free_since(server) != entry[0]:
                continue
            if entry[2] not in found:
                found[entry[2]] = server
                taken.append(entry)
        for entry in taken:
            heapq.heappush(self._free, entry)
        return list(found.values())


def _is_indexed_as(before: Server, after: Server) -> bool:
    return (
        before.address == after.address
        and before.port == after.port
        and before.admin is after.admin
        and before.last_change == after.last_change
    )


def _keys(place: Place | None) -> tuple[Place, ...]:
    """Return by what a slot is found: its place, and its address alone."""
    return () if place is None else (place, (place[0], ANY_PORT))


def _place_of(server: Server | None) -> Place | None:
    if server is None or is_placeholder(server.address):
        return None
    return (server.address, server.port)


SAME_SECONDS = 2.0
"""HAProxy tells since when in whole seconds: two readings of one date differ by so much."""


def is_same(known: Server, fresh: Server) -> bool:
    """Whether a fresh reading says what is known already, dates within a second or two.

    ``connections`` counts only where it was read.
    """
    return (
        known.admin is fresh.admin
        and known.weight == fresh.weight
        and known.address == fresh.address
        and known.port == fresh.port
        and known.is_up is fresh.is_up
        and known.out_since == fresh.out_since
        and known.connections == fresh.connections
        and known.server_id == fresh.server_id
        and known.backend_id == fresh.backend_id
        and known.initial_weight == fresh.initial_weight
        and known.has_check is fresh.has_check
        and known.agent is fresh.agent
        and known.is_checked_elsewhere is fresh.is_checked_elsewhere
        and _is_same_date(known.last_change, fresh.last_change)
    )


def _is_same_date(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= SAME_SECONDS


def is_as_left(known: Server, fresh: Server) -> bool:
    """Whether nobody else has written to a server since; its health may move by itself.

    With an agent that is asked, weight and admin state may as well.
    """
    is_there = (known.address, known.port) == (fresh.address, fresh.port)
    if not is_there or known.agent is not fresh.agent:
        return False
    if fresh.agent is Agent.ACTIVE and not fresh.is_free:
        return True
    return known.admin is fresh.admin and known.weight == fresh.weight
