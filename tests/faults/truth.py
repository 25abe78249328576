"""What HAProxy's table must be, by the engine's containers alone; and how it differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tests.scripted_engine import ScriptedContainer, ScriptedEngine
from tests.support.slots import Row


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
    They are in rotation, or out of it at weight 0."""

    def differences(self, slots: Mapping[str, Row]) -> list[str]:
        """Return what is wrong with a table, one line for each slot or address."""
        found = []
        seen: Counter[str] = Counter()
        for name, row in slots.items():
            if row.is_free:
                if row.is_ready:
                    found.append(f"{name} is ready and has no tenant")
                continue
            seen[row.address] += 1
            if not self._is_right(row):
                found.append(f"{name} should not be {row}")
        twice = [f"{address} has {n} slots" for address, n in seen.items() if n > 1]
        missing = (self.ready | self.drained) - seen.keys()
        return found + twice + [f"{address} has no slot" for address in sorted(missing)]

    def _is_right(self, row: Row) -> bool:
        if row.address in self.ready:
            return row.is_ready
        if row.address in self.unsure:
            return row.is_ready or row.is_out
        if row.address in self.drained:
            return row.is_drained
        return row.address in self.perhaps_out and row.is_out


def expected(
    engine: ScriptedEngine,
    *,
    keepers: Collection[str] = (),
    stopping: Collection[str] = (),
    unsure: Collection[str] = (),
) -> Expected:
    """Return what the table must be.

    ``keepers`` are ids of containers that had a slot and did nothing to lose it: unhealthy,
    they keep it, out of rotation. ``stopping`` are names of containers that were told to stop and
    still run: like unhealthy ones they get nothing new. ``unsure`` are those among them of
    whom the daemon may not know.
    """
    ready, drained, perhaps, either = set(), set(), set(), set()
    for one in engine.containers:
        if one.state != "running" or not one.address or one.health == "starting":
            continue
        if one.name in unsure and one.health != "unhealthy":
            either.add(one.address)
        elif one.health != "unhealthy" and one.name not in stopping:
            ready.add(one.address)
        elif one.id in keepers:
            drained.add(one.address)
        else:
            perhaps.add(one.address)
    return Expected(
        ready=frozenset(ready),
        drained=frozenset(drained),
        perhaps_out=frozenset(perhaps),
        unsure=frozenset(either),
    )


def housed(engine: ScriptedEngine, slots: Mapping[str, Row]) -> set[str]:
    """Return the ids of the running containers that are or were in rotation in a slot."""
    rows = slots.values()
    taken = {row.address for row in rows if row.is_ready or row.is_drained}
    return {one.id for one in engine.containers if _address(one) in taken}


def _address(container: ScriptedContainer) -> str:
    return container.address if container.state == "running" else ""
