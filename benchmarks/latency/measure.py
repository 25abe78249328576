"""One container after another, each measured in its role."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import dataclass

from prober import Prober, Sighting
from rig import KEPT_ALIVE, Containers, Daemon, RigError, wait_until
from runtime_socket import RuntimeSocket


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
    seen: list[Sighting]
    is_draining: bool = True
    """Whether the reconciler drains on a stop signal, as far as was seen."""

    def measure(self, role: str) -> Sighting:
        """Start one container and return what was seen of it. Raises on any failure."""
        before = len(self.haproxy.ready("bench"))
        container_id = self.containers.create(is_placed=role != "floor")
        time.sleep(QUIET_SECONDS)
        self.prober.expect(role)
        if role == "floor":
            # Else the reconciler would inspect it too, and get in the floor's way.
            with self.daemon.paused():
                self.containers.start(container_id)
                sighting = self.prober.sighting()
            self.containers.remove(container_id)
        else:
            self.containers.start(container_id)
            sighting = self.prober.sighting()
            time.sleep(UNWATCHED_SECONDS)
            self._wait_ready(before + 1)
            if role == "ours":
                self._check_address(sighting)
        self._make_room()
        return sighting

    def _wait_ready(self, count: int) -> None:
        wait_until(
            f"{count} slots are ready",
            lambda: len(self.haproxy.ready("bench")) == count,
        )

    def _check_address(self, sighting: Sighting) -> None:
        """Raise unless the slot that was seen is the container's own."""
        document = self.containers.engine.get(
            f"/containers/{sighting.container_id}/json"
        )
        (network,) = document["NetworkSettings"]["Networks"].values()
        if sighting.where is None or sighting.where.address != network["IPAddress"]:
            raise RigError(f"{sighting.where} is not {network['IPAddress']}")

    def _make_room(self) -> None:
        while len(self.containers.alive) > KEPT_ALIVE:
            oldest = self.containers.alive[0]
            if self.is_draining:
                self._measure_out(oldest)
            self.containers.remove(oldest)
            self._wait_ready(len(self.containers.alive))

    def _measure_out(self, container_id: str) -> None:
        """Tell a container to stop, and see its slot drained."""
        time.sleep(QUIET_SECONDS)
        self.prober.expect("out")
        self.containers.signal_stop(container_id)
        sighting = self.prober.sighting()
        if sighting.ready:
            self.seen.append(sighting)
        # One that was missed on a busy machine is no reason to give up.
        self.is_draining = any(one.role == "out" for one in self.seen)


def rounds(count: int, blind: int) -> list[list[str]]:
    """Return the roles of each round: floor and ours in random order, now and then blind."""
    # A fixed seed: runs differ by what they measure, not by their order.
    shuffled = random.Random(1)
    plan = []
    for number in range(count):
        roles = ["ours", "floor"]
        if number * blind // count != (number + 1) * blind // count:
            roles.append("blind")
        shuffled.shuffle(roles)
        plan.append(roles)
    return plan


def run(bench: Bench, count: int, blind: int) -> float:
    """Measure everything; return the reconciler's processor seconds for a container."""
    for roles in rounds(WARM_UP, 0):
        for role in roles:
            bench.measure(role)
    spent = bench.daemon.cpu_seconds()
    for number, roles in enumerate(rounds(count, blind), 1):
        bench.seen += [bench.measure(role) for role in roles]
        if sys.stderr.isatty():
            print(f"\r{number} of {count}", end="", file=sys.stderr, flush=True)
    return (bench.daemon.cpu_seconds() - spent) / (2 * count + blind)
