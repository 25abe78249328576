"""The one who watches, in a process of its own: sees the event, then what follows.

It is told before each container, or each burst of them, what to do (see ``sighting.Role``):
look on while the reconciler does its work, or do the work itself, bare.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from latency.bare import Bare
from latency.docker_socket import DockerSocket, EventSocket, Json
from latency.observer import Observer, is_expected
from latency.runtime_socket import RuntimeSocket
from latency.sighting import Role, Sighting


RUN_LABEL = "reconciler.bench.run"
ANSWER_SECONDS = 60.0


def log_socket(runtime: Path) -> Path:
    """Return where HAProxy logs to: beside its runtime socket."""
    return runtime.with_name("log.sock")


class ProberError(Exception):
    """What was waited for did not come, or the prober's process has failed."""


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

    def expect(self, role: Role, count: int = 1) -> None:
        """Say what to do with the next containers; returns when it is on the watch."""
        self._pipe.send((role, count))
        self._receive()

    def sightings(self) -> list[Sighting]:
        """Return what it saw of the containers it expects. Raises ProberError."""
        seen = self._receive()
        if not isinstance(seen, list):
            raise ProberError(f"the prober failed: {seen}")
        return seen

    def _receive(self) -> Any:  # noqa: ANN401 - what a pipe carries
        if not self._pipe.poll(ANSWER_SECONDS):
            raise ProberError("the prober does not answer: did the containers start?")
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
    eyes = _Eyes(EventSocket(docker, filters), DockerSocket(docker), runtime)
    while True:
        try:
            role, count = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        eyes.expect(role)
        pipe.send("expecting")
        try:
            pipe.send(eyes.see(role, count))
        except KeyboardInterrupt:
            return
        except Exception as error:  # noqa: BLE001 - the other side raises it
            pipe.send(repr(error))
        eyes.tidy(role)


class _Eyes:
    def __init__(
        self, events: EventSocket, engine: DockerSocket, runtime: Path
    ) -> None:
        self._events = events
        self._haproxy = RuntimeSocket(str(runtime))
        self._observer = Observer(events, engine, self._haproxy, log_socket(runtime))
        self._bare = Bare(engine, self._haproxy)
        self._done: list[str] = []

    def expect(self, role: Role) -> None:
        """Remember how it is before the event."""
        self._events.forget()
        self._observer.expect(role)

    def see(self, role: Role, count: int) -> list[Sighting]:
        """Wait for the events and follow them as the role says."""
        if role in (Role.OURS, Role.OUT):
            return self._observer.follow(role, count)
        return [self._act(role, is_lone=count == 1) for _ in range(count)]

    def _act(self, role: Role, *, is_lone: bool) -> Sighting:
        event, received = self._next(role)
        container_id = event["Actor"]["ID"]
        times: dict[str, Any] = {}
        match role:
            case Role.FLOOR:
                times = self._bare.place(container_id)
            case Role.ONE_WRITE:
                times = self._bare.place_in_one_write(container_id)
                times["seen"] = times["answered"]  # its own last answer is the table
            case Role.FLOOR_OUT:
                times = self._bare.drain(container_id)
        if role in (Role.FLOOR, Role.FLOOR_OUT) and is_lone:
            # By the same eyes as the reconciler's. In a burst that would hold up the next.
            times["seen"] = self._look(role)
        self._done.append(container_id)
        return Sighting(
            role=role,
            container_id=container_id,
            event=event["timeNano"],
            received=received,
            **times,
        )

    def _next(self, role: Role) -> tuple[Json, int]:
        while True:
            event, received = self._events.next()
            if is_expected(event, role):
                return event, received

    def _look(self, role: Role) -> int:
        """Ask for the table as the observer does; return when its answer was here."""
        ask = self._haproxy.draining if role.is_out else self._haproxy.ready
        for _ in range(1000):
            found = ask("floor")
            stamp = time.time_ns()
            if found:
                return stamp
        raise ProberError("haproxy does not show what it was told")

    def tidy(self, role: Role) -> None:
        """Free the floor's servers; nobody waits for this."""
        if role in (Role.ONE_WRITE, Role.FLOOR_OUT):
            for container_id in self._done:
                self._bare.forget(container_id)
        self._done.clear()
