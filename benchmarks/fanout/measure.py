"""The run itself: one daemon with few or many HAProxies, then with two of them hurt."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet import BACKEND, Fleet, Recovery
from scale.rig import (
    running_daemon,
    running_engine,
    running_haproxies,
    temporary_folder,
)
from steps import Latencies, Steps


SLOTS = 16
CONTAINERS = 4
"""That always run."""

WARM_UP = 5
"""Pairs that do not count, after each start of a daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done."""

    sizes: Sequence[int]
    """How many HAProxies; two of the most are hurt."""
    rounds: int
    pairs: int
    """Starts and stops of each part of a round."""
    version: str

    @property
    def most(self) -> int:
        """The largest size."""
        return max(self.sizes)

    def hurt(self, number: int) -> tuple[int, int]:
        """Return who is stalled and who is killed in a round: first, middle, last in turn."""
        first = (0, self.most // 2 - 1, self.most - 2)[number % 3]
        return first, first + 1

    def others(self, number: int) -> list[int]:
        """Return who is well in both halves of a round."""
        hurt = self.hurt(number)
        return [one for one in range(self.most) if one not in hurt]


@dataclass(slots=True, kw_only=True)
class Found:
    """What came of it."""

    plan: Plan
    by_size: dict[int, list[Latencies]] = field(default_factory=dict)
    """One for each round."""
    well: list[Latencies] = field(default_factory=list)
    hurt: list[Latencies] = field(default_factory=list)
    alone: list[Latencies] = field(default_factory=list)
    """A daemon that knows only of those that stay well."""
    recoveries: list[Recovery] = field(default_factory=list)
    bad_lines: list[dict[str, Any]] = field(default_factory=list)
    """What the log says that is no information, while everybody was well."""
    hurt_lines: list[dict[str, Any]] = field(default_factory=list)
    """The same while two were hurt: there has to be something."""
    load: list[float] = field(default_factory=list)


async def measured(plan: Plan) -> Found:
    """Put everything up, run, take everything down. Raises RigError or OSError."""
    found = Found(plan=plan, by_size={size: [] for size in plan.sizes})
    with (
        temporary_folder() as folder,
        running_haproxies(plan.version, {BACKEND: SLOTS}, plan.most) as haproxies,
    ):
        async with running_engine(folder) as engine:
            fleet = Fleet(haproxies, engine)
            await engine.order("run", count=CONTAINERS, services=[BACKEND])
            for number in range(plan.rounds):
                # Another size begins each time.
                turn = number % len(plan.sizes)
                for size in (*plan.sizes[turn:], *plan.sizes[:turn]):
                    print(f"  round {number + 1}: {size} well", flush=True)
                    await _of_size(folder, fleet, size, found)
            for number in range(plan.rounds):
                stalled, killed = plan.hurt(number)
                print(
                    f"  round {number + 1}: {stalled} stalled, {killed} killed",
                    flush=True,
                )
                await _hurting(folder, fleet, number, found)
    return found


async def _of_size(folder: Path, fleet: Fleet, size: int, found: Found) -> None:
    """Measure with the first so many."""
    found.by_size[size].append(await _all_well(folder, fleet, range(size), found))


async def _all_well(
    folder: Path, fleet: Fleet, numbers: Sequence[int], found: Found
) -> Latencies:
    """Measure a daemon that knows of these only."""
    urls = _urls(fleet, numbers)
    async with running_daemon(folder, fleet.engine, list(urls)) as daemon:
        await fleet.until_right(numbers)
        steps = Steps(fleet.engine, daemon, urls)
        await steps.take(WARM_UP, numbers)
        found.load.append(os.getloadavg()[0])
        latencies = await steps.take(found.plan.pairs, numbers)
        await fleet.until_right(numbers)
        found.bad_lines += steps.bad_lines()
    return latencies


async def _hurting(folder: Path, fleet: Fleet, number: int, found: Found) -> None:
    """Measure with all well, with two hurt, and without those two, one after the other."""
    plan = found.plan
    everybody, others = range(plan.most), plan.others(number)
    stalled, killed = plan.hurt(number)
    urls = _urls(fleet, everybody)
    async with running_daemon(folder, fleet.engine, list(urls)) as daemon:
        await fleet.until_right(everybody)
        steps = Steps(fleet.engine, daemon, urls)
        await steps.take(WARM_UP, everybody)
        found.load.append(os.getloadavg()[0])
        found.well.append(await steps.take(plan.pairs, everybody))
        found.bad_lines += steps.bad_lines()
        async with fleet.hurt(stalled, killed):
            found.hurt.append(await steps.take(plan.pairs, others))
        found.recoveries.append(await fleet.recover(stalled, killed))
        await daemon.wait_ready()
        found.hurt_lines += steps.bad_lines()
    found.alone.append(await _all_well(folder, fleet, others, found))


def _urls(fleet: Fleet, numbers: Sequence[int]) -> Mapping[str, int]:
    return {fleet.haproxies[number].url: number for number in numbers}
