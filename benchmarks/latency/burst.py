"""Many containers at once: started by several hands, told to stop in one instant."""

from __future__ import annotations

import random
import sys
import time

from latency.measure import Bench
from latency.sighting import Role


STANDING = 10
"""So many containers stand in slots already: with a burst of 50, 60 of 64 slots are used."""

CALM_SECONDS = 2.0
"""After a burst the engine works on for a while."""


def run_bursts(bench: Bench, size: int, count: int) -> None:
    """Do so many bursts of each kind, ours and the floor's, in random order."""
    bench.fill(STANDING)
    shuffled = random.Random(2)
    for number in range(count):
        kinds = [Role.OURS, Role.FLOOR]
        shuffled.shuffle(kinds)
        for kind in kinds:
            say(f"burst {number + 1} of {count}, {kind}")
            time.sleep(CALM_SECONDS)
            _burst(bench, kind, size)


def _burst(bench: Bench, kind: Role, size: int) -> None:
    containers = bench.containers
    is_placed = kind is Role.OURS
    ids = [containers.create(is_placed=is_placed) for _ in range(size)]
    time.sleep(CALM_SECONDS)
    if is_placed:
        _in_and_out(bench, ids, Role.OURS, Role.OUT)
    else:
        with bench.daemon.paused():
            _in_and_out(bench, ids, Role.FLOOR, Role.FLOOR_OUT)
    containers.each(containers.remove, ids)
    bench.wait_ready(STANDING)


def _in_and_out(bench: Bench, ids: list[str], way_in: Role, way_out: Role) -> None:
    bench.prober.expect(way_in, len(ids))
    bench.containers.each(bench.containers.start, ids)
    bench.burst += bench.prober.sightings()
    time.sleep(CALM_SECONDS)
    bench.prober.expect(way_out, len(ids))
    bench.containers.each(bench.containers.signal_stop, ids)
    bench.burst += bench.prober.sightings()


def say(words: str) -> None:
    """Tell how far it is."""
    print(words, file=sys.stderr, flush=True)
