"""The one who watches, in a process of its own: sees the event, then sees the slot ready.

It is told before each container what to do with it:

* ``ours``: sleep until HAProxy logs that a server is up, then ask HAProxy for its table until
  a slot is in rotation that was not. Asking all the time instead would take a processor from
  what is measured: it made the reconciler 2 ms slower on two of them;
* ``floor``: do the least that could do the job, bare: one inspect, one runtime write with its
  read-back, on sockets that are open already;
* ``blind``: only take the event. The reconciler's own figures then tell what watching costs;
* ``out``: the way out. Take the event of the stop signal, sleep until HAProxy logs that a
  server enters drain, then ask for its table.

All times are nanoseconds of the wall clock, which is the clock of the engine's ``timeNano``.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from docker_socket import DockerSocket, EventSocket
from runtime_socket import Ready, RuntimeSocket, ready_in


RUN_LABEL = "reconciler.bench.run"
PORT = 8000
BARE_SERVERS = 64
PLACEHOLDER = "127.255.255.254"
GIVE_UP_SECONDS = 5.0
NO_DRAIN_SECONDS = 0.5
"""A reconciler that has not drained by now does not drain on a stop signal at all."""

STOP_SIGNAL = 15


def log_socket(runtime: Path) -> Path:
    """Return where HAProxy logs to: beside its runtime socket."""
    return runtime.with_name("log.sock")


class ProberError(Exception):
    """What was waited for did not come, or the prober's process has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One container: an event of it and what followed, in nanoseconds of the wall clock."""

    role: str
    container_id: str
    event: int
    """The engine's own stamp, ``timeNano``."""
    received: int
    """The event was here."""
    inspected: int = 0
    """The inspect's answer was here (floor)."""
    ready: int = 0
    """HAProxy's answer that shows the slot in rotation was here: never too early. On the
    way out: that shows it in drain; 0 where it was not drained."""
    noticed: int = 0
    """HAProxy's log line that made us ask was here (ours, out)."""
    asked: int = 0
    """How often HAProxy was asked."""
    where: Ready | None = None


class Prober:
    """The prober's process, from the side that steers it."""

    def __init__(self, *, docker: str, runtime: Path, run: str) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, docker, runtime, run), daemon=True
        )
        self._process.start()
        theirs.close()

    def expect(self, role: str) -> None:
        """Say what to do with the next container; returns when it is on the watch."""
        self._pipe.send(role)
        self._receive()

    def sighting(self) -> Sighting:
        """Return what it saw of the container it expects. Raises ProberError."""
        seen = self._receive()
        if not isinstance(seen, Sighting):
            raise ProberError(f"the prober failed: {seen}")
        return seen

    def _receive(self) -> Any:  # noqa: ANN401 - what a pipe carries
        if not self._pipe.poll(30.0):
            raise ProberError("the prober does not answer: did the container start?")
        try:
            return self._pipe.recv()
        except EOFError as error:
            raise ProberError("the prober's process has ended") from error

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join(5.0)


def _serve(pipe: Connection, docker: str, runtime: Path, run: str) -> None:
    filters = {
        "type": ["container"],
        "event": ["start", "kill"],
        "label": [f"{RUN_LABEL}={run}"],
    }
    watch = _Watch(EventSocket(docker, filters), DockerSocket(docker), runtime)
    while True:
        try:
            role = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        watch.expect()
        pipe.send("expecting")
        try:
            pipe.send(watch.see(role))
        except Exception as error:  # noqa: BLE001 - the other side raises it
            pipe.send(repr(error))
        if role == "floor":
            watch.tidy()


class _Log:
    """What HAProxy logs, as it logs it."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def forget(self) -> None:
        """Drop what was logged so far."""
        self._socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(4096)

    def wait_for(self, words: bytes, timeout_seconds: float) -> int:
        """Return when such a line about a slot was here, as nanoseconds.

        Raises TimeoutError.
        """
        self._socket.settimeout(timeout_seconds)
        while True:
            line = self._socket.recv(4096)
            stamp = time.time_ns()
            if b"Server bench/slot" in line and words in line:
                return stamp


class _Watch:
    def __init__(
        self, events: EventSocket, engine: DockerSocket, runtime: Path
    ) -> None:
        self.haproxy = RuntimeSocket(str(runtime))
        self.log = _Log(log_socket(runtime))
        self._events = events
        self._engine = engine
        self._placed = 0
        self._ready: frozenset[Ready] = frozenset()
        self._draining: frozenset[str] = frozenset()

    def expect(self) -> None:
        """Remember how it is before the event."""
        self._ready = self.haproxy.ready("bench")
        self._draining = self.haproxy.draining("bench")
        self.log.forget()

    def see(self, role: str) -> Sighting:
        """Wait for the event and follow it as the role says."""
        event, received = self._next("kill" if role == "out" else "start")
        known = {
            "role": role,
            "container_id": event["Actor"]["ID"],
            "event": event["timeNano"],
            "received": received,
        }
        if role == "ours":
            return Sighting(**known, **self._until_ready())
        if role == "out":
            return Sighting(**known, **self._until_drained())
        if role == "floor":
            return Sighting(**known, **self._place(event["Actor"]["ID"]))
        return Sighting(**known)

    def _next(self, action: str) -> tuple[dict[str, Any], int]:
        """Return the next start, or the next stop signal (not a removal's SIGKILL)."""
        while True:
            event, received = self._events.next()
            signal = event["Actor"]["Attributes"].get("signal", str(STOP_SIGNAL))
            if event["Action"] == action and signal == str(STOP_SIGNAL):
                return event, received

    def _until_drained(self) -> dict[str, Any]:
        try:
            noticed = self.log.wait_for(b" drain", NO_DRAIN_SECONDS)
        except TimeoutError:
            return {}
        for asked in range(1, 1000):
            fresh = self.haproxy.draining("bench") - self._draining
            stamp = time.time_ns()
            if fresh:
                return {"noticed": noticed, "ready": stamp, "asked": asked}
        raise ProberError("haproxy logged a server as draining, and then reports none")

    def _until_ready(self) -> dict[str, Any]:
        noticed = self.log.wait_for(b" is UP", GIVE_UP_SECONDS)
        for asked in range(1, 1000):
            fresh = self.haproxy.ready("bench") - self._ready
            stamp = time.time_ns()
            if fresh:
                (where,) = fresh
                return {
                    "noticed": noticed,
                    "ready": stamp,
                    "asked": asked,
                    "where": where,
                }
        raise ProberError("haproxy logged a server as up, and then reports none")

    def _place(self, container_id: str) -> dict[str, Any]:
        """The floor itself: inspect, write, see it."""
        document = self._engine.get(f"/containers/{container_id}/json")
        (network,) = document["NetworkSettings"]["Networks"].values()
        inspected = time.time_ns()
        self._placed += 1
        server = f"bare{self._placed % BARE_SERVERS + 1}"
        wanted = Ready(server, network["IPAddress"], str(PORT))
        reply = self.haproxy.ask(
            f"set server floor/{server} addr {wanted.address} port {PORT}",
            f"set server floor/{server} state ready",
            "show servers state floor",
        )[-1]
        asked = 1
        while wanted not in ready_in(reply):
            asked += 1
            (reply,) = self.haproxy.ask("show servers state floor")
        return {
            "inspected": inspected,
            "ready": time.time_ns(),
            "asked": asked,
            "where": wanted,
        }

    def tidy(self) -> None:
        """Free the floor's server again; nobody waits for this."""
        server = f"floor/bare{self._placed % BARE_SERVERS + 1}"
        self.haproxy.ask(
            f"set server {server} state maint",
            f"set server {server} addr {PLACEHOLDER} port {PORT}",
        )
