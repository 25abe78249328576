"""What HAProxy's table must be, by the engine's containers alone; and how it differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tests.scripted_engine import ScriptedContainer, ScriptedEngine
from tests.support.slots import Row


ONE_OFF = "com.docker.compose.oneoff"
OWN = "reconciler"
"""The name of the container that the daemon takes for its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Addresses, each of one container and in one slot."""

    ready: frozenset[str]
    drained: frozenset[str]
    """Must be in maint at weight 0: they had a slot and keep it."""
    perhaps_out: frozenset[str]
    """Out of rotation at weight 0, or nowhere: it depends on whether they had a slot."""
    unsure: frozenset[str] = frozenset()
    """Told to stop while something was wrong: only an event tells of it, and it may be lost.
    Or on networks that leave a choice, perhaps since they had a slot. They are in rotation, or
    out of it at weight 0, or nowhere."""
    also: Mapping[str, str] = field(default_factory=dict)
    """Other addresses of these containers, each with the one that stands above: where it is not
    clear which counts, or that was changed while they had a slot, any of them will do."""

    def differences(self, slots: Mapping[str, Row]) -> list[str]:
        """Return what is wrong with a table, one line for each slot or address."""
        found = []
        seen: Counter[str] = Counter()
        for name, row in slots.items():
            if row.is_free:
                if row.is_ready:
                    found.append(f"{name} is ready and has no tenant")
                continue
            address = self.also.get(row.address, row.address)
            seen[address] += 1
            if not self._is_right(row, address):
                found.append(f"{name} should not be {row}")
        twice = [f"{address} has {n} slots" for address, n in seen.items() if n > 1]
        missing = (self.ready | self.drained) - seen.keys()
        return found + twice + [f"{address} has no slot" for address in sorted(missing)]

    def _is_right(self, row: Row, address: str) -> bool:
        if address in self.ready:
            return row.is_ready
        if address in self.unsure:
            return row.is_ready or row.is_out
        if address in self.drained:
            return row.is_drained
        return address in self.perhaps_out and row.is_out


def expected(
    engine: ScriptedEngine,
    *,
    keepers: Collection[str] = (),
    settled: Collection[str] | None = None,
    stopping: Collection[str] = (),
    unsure: Collection[str] = (),
    own_networks: Collection[str] = (),
) -> Expected:
    """Return what the table must be.

    ``keepers`` are ids of containers that had a slot and did nothing to lose it: unhealthy,
    they keep it, out of rotation. ``settled`` are those of them who have had it so long that the
    daemon knows them there (None: all): where their place becomes unclear they keep it, and
    others may or may not; whoever is unhealthy and on several networks may have lost it by a
    change of ours. ``stopping`` are names of containers that were told to stop and
    still run: like unhealthy ones they get nothing new. ``unsure`` are those among them of
    whom the daemon may not know. ``own_networks`` are those of the reconciler's container.
    """
    staying = keepers if settled is None else settled
    ready, drained, perhaps, either = set(), set(), set(), set()
    also: dict[str, str] = {}
    for one in engine.containers:
        if one.state != "running" or not one.address or one.health == "starting":
            continue
        if one.labels.get(ONE_OFF) == "True" or one.name == OWN:
            continue  # it gets nothing
        also |= {there.ipv4: one.address for there in one.networks.values()}
        is_unclear = not is_clear(one, own_networks) and one.id not in staying
        if (one.name in unsure or is_unclear) and one.health != "unhealthy":
            either.add(one.address)
        elif one.health != "unhealthy" and one.name not in stopping:
            ready.add(one.address)
        elif one.id in keepers and (one.name in stopping or len(one.networks) == 1):
            drained.add(one.address)
        else:
            perhaps.add(one.address)
    return Expected(
        ready=frozenset(ready),
        drained=frozenset(drained),
        perhaps_out=frozenset(perhaps),
        unsure=frozenset(either),
        also=also,
    )


def is_clear(container: ScriptedContainer, own_networks: Collection[str]) -> bool:
    """Whether it is told on which network it is to be reached."""
    shared = [name for name in container.networks if name in own_networks]
    return len(shared) == 1 or (not shared and len(container.networks) == 1)


def housed(engine: ScriptedEngine, slots: Mapping[str, Row]) -> set[str]:
    """Return the ids of the running containers that are or were in rotation in a slot."""
    rows = slots.values()
    taken = {row.address for row in rows if row.is_ready or row.is_drained}
    return {
        one.id
        for one in engine.containers
        if one.state == "running"
        and any(there.ipv4 in taken for there in one.networks.values())
    }
