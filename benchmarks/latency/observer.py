"""Who sees, from aside, what the reconciler did: by HAProxy's own table.

It sleeps until HAProxy logs that a server is up (or goes down for maintenance), and then asks HAProxy for
its table until as many slots are as were logged. Asking all the time instead would take a
processor from what is measured: it made the reconciler 2 ms slower on two of them.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

from latency.bare import address_in
from latency.docker_socket import DockerSocket, EventSocket, Json
from latency.runtime_socket import Place, RuntimeSocket
from latency.sighting import Role, Sighting


GIVE_UP_SECONDS = 30.0
UNLOGGED_SECONDS = 0.02
"""HAProxy drops log lines that nobody takes fast enough: then it is asked so often."""

STOP_SIGNAL = "15"


class ObserverError(Exception):
    """What was waited for did not come."""


def is_expected(event: Json, role: Role) -> bool:
    """Whether an event is a start, or the stop signal (not a removal's SIGKILL)."""
    if event["Action"] != ("kill" if role.is_out else "start"):
        return False
    return event["Actor"]["Attributes"].get("signal", STOP_SIGNAL) == STOP_SIGNAL


class Log:
    """What HAProxy logs about slots, as it logs it."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0)

    def fileno(self) -> int:
        """Return what select needs to tell that something has come."""
        return self._socket.fileno()

    def count(self, words: bytes) -> int:
        """Take the lines that are here; return how many slots they say this of."""
        found = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                line = self._socket.recv(4096)
                found += b"Server bench/slot" in line and words in line
        return found


@dataclass(slots=True)
class _Found:
    """What has been found so far in one wait."""

    events: list[tuple[Json, int]] = field(default_factory=list)
    places: dict[Place, tuple[int, int]] = field(default_factory=dict)
    """When the log line was here, and when HAProxy's answer was."""
    logged: int = 0


class Observer:
    """Follows the reconciler's containers in the backend ``bench``."""

    def __init__(
        self,
        events: EventSocket,
        engine: DockerSocket,
        haproxy: RuntimeSocket,
        log: Path,
    ) -> None:
        self._events = events
        self._engine = engine
        self._haproxy = haproxy
        self._log = Log(log)
        self._before: frozenset[Place] = frozenset()

    def expect(self, role: Role) -> None:
        """Remember how it is before the event."""
        self._before = self._now(role)
        self._log.count(b"")

    def follow(self, role: Role, count: int) -> list[Sighting]:
        """Return what is seen of so many containers. Raises ObserverError."""
        found = _Found()
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while len(found.events) < count or len(found.places) < count:
            if time.monotonic() > deadline:
                raise ObserverError(
                    f"{role}: {len(found.events)} events and {len(found.places)} "
                    f"slots of {count} in {GIVE_UP_SECONDS:g} s"
                )
            self._look(role, found)
        return [self._sighting(role, *one, found.places) for one in found.events]

    def _look(self, role: Role, found: _Found) -> None:
        is_lacking = len(found.events) > len(found.places)
        timeout = UNLOGGED_SECONDS if is_lacking else 1.0
        ready, _, _ = select.select([self._events, self._log], [], [], timeout)
        if self._events in ready:
            arrived = self._events.arrived()
            found.events += [one for one in arrived if is_expected(one[0], role)]
        if self._log in ready or (not ready and is_lacking):
            self._ask(role, found)

    def _ask(self, role: Role, found: _Found) -> None:
        """Ask once, and again while fewer slots are there than were logged."""
        noticed = time.time_ns()
        found.logged += self._log.count(
            b"DOWN for maintenance" if role.is_out else b" is UP"
        )
        for _ in range(100):
            fresh = self._now(role) - self._before - found.places.keys()
            stamp = time.time_ns()
            found.places |= dict.fromkeys(fresh, (noticed, stamp))
            if len(found.places) >= found.logged:
                return

    def _now(self, role: Role) -> frozenset[Place]:
        if role.is_out:
            return self._haproxy.draining("bench")
        return self._haproxy.ready("bench")

    def _sighting(
        self,
        role: Role,
        event: Json,
        received: int,
        places: dict[Place, tuple[int, int]],
    ) -> Sighting:
        """Find the container's own slot among those that were seen, by its address."""
        container_id = event["Actor"]["ID"]
        address = address_in(self._engine.get(f"/containers/{container_id}/json"))
        where = next((one for one in places if one.address == address), None)
        if where is None:
            raise ObserverError(f"no slot has {address}; these came: {list(places)}")
        noticed, seen = places[where]
        return Sighting(
            role=role,
            container_id=container_id,
            event=event["timeNano"],
            received=received,
            noticed=noticed,
            seen=seen,
            where=where,
        )
