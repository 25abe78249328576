"""One container after another, as a lone one comes in life; each measured in its role."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass, field

from latency.containers import Containers
from latency.prober import Prober
from latency.rig import Daemon, wait_until
from latency.runtime_socket import RuntimeSocket
from latency.sighting import Role, Sighting


KEPT_ALIVE = 30
"""So many containers stand in slots at a time: half of the slots are used, as in life."""

WARM_UP = 3
"""So many rounds are not counted: connections are opened, code is loaded."""

QUIET_SECONDS = 0.15
"""Between two containers: the engine still works on the last one for a while."""

UNWATCHED_SECONDS = 0.05
"""So long nobody asks HAProxy anything after a container has started."""


@dataclass(slots=True)
class Bench:
    """All parts of a run, and what was seen so far."""

    containers: Containers
    haproxy: RuntimeSocket
    daemon: Daemon
    prober: Prober
    idle: list[Sighting] = field(default_factory=list)
    burst: list[Sighting] = field(default_factory=list)

    def fill(self, count: int) -> None:
        """Have so many containers in slots; nobody measures that."""
        for _ in range(count - len(self.containers.placed)):
            self.containers.create(is_placed=True)
        missing = count - len(self.haproxy.ready("bench"))
        if missing > 0:
            fresh = list(self.containers.placed)[-missing:]
            self.containers.each(self.containers.start, fresh)
        surplus = list(self.containers.placed)[: len(self.containers.placed) - count]
        self.containers.each(self.containers.remove, surplus)
        self.wait_ready(count)

    def wait_ready(self, count: int) -> None:
        """Wait until exactly so many slots are in rotation."""
        wait_until(
            f"{count} slots are ready",
            lambda: len(self.haproxy.ready("bench")) == count,
        )

    def measure(self, role: Role) -> None:
        """Measure one container's way in, and where the role has one, a way out."""
        if role.is_bare:
            self._measure_bare(role)
        else:
            self._measure_ours(role)

    def _measure_ours(self, role: Role) -> None:
        before = len(self.haproxy.ready("bench"))
        container_id = self.containers.create(is_placed=True)
        time.sleep(QUIET_SECONDS)
        self.prober.expect(role)
        self.containers.start(container_id)
        self.idle += self.prober.sightings()
        time.sleep(UNWATCHED_SECONDS)
        self.wait_ready(before + 1)
        time.sleep(QUIET_SECONDS)
        oldest = self.containers.placed[0]
        self.prober.expect(Role.OUT)
        self.containers.signal_stop(oldest)
        self.idle += self.prober.sightings()
        self.containers.remove(oldest)
        self.wait_ready(before)

    def _measure_bare(self, role: Role) -> None:
        container_id = self.containers.create(is_placed=False)
        time.sleep(QUIET_SECONDS)
        # Else the reconciler would inspect it too, and get in the floor's way.
        with self.daemon.paused():
            self.prober.expect(role)
            self.containers.start(container_id)
            self.idle += self.prober.sightings()
            if role is Role.FLOOR:
                time.sleep(UNWATCHED_SECONDS + QUIET_SECONDS)
                self.prober.expect(Role.FLOOR_OUT)
                self.containers.signal_stop(container_id)
                self.idle += self.prober.sightings()
        self.containers.remove(container_id)


def rounds(count: int, blind: int) -> list[list[Role]]:
    """Return the roles of each round, in random order.

    Ours and the floor are in each; the lower floor is in every other one, and now and then
    there is a container that nobody watches.
    """
    # A fixed seed: runs differ by what they measure, not by their order.
    shuffled = random.Random(1)
    plan = []
    for number in range(count):
        roles = [Role.OURS, Role.FLOOR]
        if number % 2 == 0:
            roles.append(Role.ONE_WRITE)
        if number * blind // count != (number + 1) * blind // count:
            roles.append(Role.BLIND)
        shuffled.shuffle(roles)
        plan.append(roles)
    return plan


def run_idle(bench: Bench, count: int, blind: int) -> float:
    """Measure one after another; return the reconciler's processor seconds for a container."""
    bench.fill(KEPT_ALIVE)
    for roles in rounds(WARM_UP, 0):
        for role in roles:
            bench.measure(role)
    bench.idle.clear()
    spent = bench.daemon.cpu_seconds()
    plan = rounds(count, blind)
    for number, roles in enumerate(plan, 1):
        for role in roles:
            bench.measure(role)
        if sys.stderr.isatty():
            print(f"\r{number} of {count}", end="", file=sys.stderr, flush=True)
    # It hears of the floor's containers too, once it goes on.
    return (bench.daemon.cpu_seconds() - spent) / sum(map(len, plan))
