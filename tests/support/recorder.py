"""What HAProxy's slots and the engine's events did over time, with nothing missed.

A drain may last a tenth of a second, less than it takes to ask twice from outside. So a
recorder asks in the project's own ``probe`` container, two hundred times a second, by
HAProxy's ``show servers state`` and by no code of ours, and tells only what changed. Its
stamps and the engine's are of one clock.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Collection
from typing import NamedTuple, Self

from tests.support.engine import Engine, wait_until
from tests.support.stack import Stack


READY, DRAIN, HELD, FREE, BETWEEN = "ready", "drain", "held", "free", "between"
_MAINT = 0x01 | 0x02 | 0x20
_DRAIN = 0x08 | 0x10
_PLACEHOLDERS = "127.255.255."

_WATCH = """
import socket, sys, time
seen = {}
while True:
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(5)
    try:
        stream.connect("/run/haproxy/admin.sock")
        stream.sendall(b"show servers state " + sys.argv[1].encode() + b"\\n")
        text = b"".join(iter(lambda: stream.recv(65536), b"")).decode()
    except OSError:
        text = ""
    finally:
        stream.close()
    at = time.time()
    rows = [row.split() for row in text.splitlines() if row[:1].isdigit()]
    for row in (row for row in rows if len(row) > 8):
        now = row[3], row[4], row[6], row[7]
        if seen.get(now[0]) != now:
            seen[now[0]] = now
            print(at, *now, flush=True)
    time.sleep(0.005)
"""


class Step(NamedTuple):
    """A slot as it was from a moment on."""

    at: float
    slot: str
    address: str
    admin: int
    weight: int

    @property
    def state(self) -> str:
        """One word. ``drain`` is out of rotation by the reconciler's own hand, at an address.

        It is also a moment on the way in; ``between`` is what is neither in nor out.
        """
        if self.admin & _MAINT and self.address.startswith(_PLACEHOLDERS):
            return FREE
        if self.admin & (_MAINT | _DRAIN):
            return HELD if self.weight else DRAIN
        return READY if self.weight else BETWEEN


class Event(NamedTuple):
    """One event of a container. ``word`` is its action, with the signal: ``kill 15``."""

    at: float
    container_id: str
    word: str


class _Reading:
    """A command's lines, taken in by a thread until it is ended."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command = command
        self._environment = environment

    def start(self, take: Callable[[str], None]) -> None:
        """Run the command."""
        self._child = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self._environment},
        )

        def read() -> None:
            for line in self._child.stdout or ():
                take(line)

        self._thread = threading.Thread(target=read, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End it."""
        self._child.kill()
        self._child.wait()
        self._thread.join()
        if self._child.stdout:
            self._child.stdout.close()


class Recorder:
    """The history of one backend of a stack and of all events, while the block lasts."""

    def __init__(self, stack: Stack, backend: str = "web") -> None:
        self.steps: list[Step] = []
        self.events: list[Event] = []
        probe = stack.container("probe")
        watch = ["docker", "exec", probe, "python3", "-u", "-c", _WATCH, backend]
        listen = ["docker", "events", "--format", "{{json .}}"]
        environment = stack.engine.environment
        self._engine: Engine = stack.engine
        self._probe = probe
        self._readings = {
            self._take_step: _Reading(watch, environment),
            self._take_event: _Reading(listen, environment),
        }

    def __enter__(self) -> Self:
        """Return when both are listened to."""
        for take, reading in self._readings.items():
            reading.start(take)
        wait_until(lambda: self.steps, claim="the slots are watched")
        wait_until(self._hears, claim="the events are heard")
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """End both. The reader in the container ends at its next word, or with it."""
        for reading in self._readings.values():
            reading.end()

    def _hears(self) -> bool:
        self._engine.docker("kill", "--signal=WINCH", self._probe)
        return any(one.container_id == self._probe for one in self.events)

    def _take_step(self, line: str) -> None:
        at, slot, address, admin, weight = line.split()
        if slot.startswith("slot"):
            step = Step(float(at), slot, address, int(admin), int(weight))
            self.steps.append(step)

    def _take_event(self, line: str) -> None:
        event = json.loads(line)
        actor = event.get("Actor", {})
        attributes = actor.get("Attributes", {})
        container_id = (
            actor.get("ID")
            if event.get("Type") == "container"
            else attributes.get("container")
        )
        if container_id and not event["Action"].startswith("exec_"):
            word = f"{event['Action']} {attributes.get('signal', '')}".strip()
            self.events.append(Event(event["timeNano"] / 1e9, container_id, word))

    def occupied(self) -> set[str]:
        """Return the addresses that slots have now."""
        latest = {step.slot: step.address for step in list(self.steps)}
        return {a for a in latest.values() if not a.startswith(_PLACEHOLDERS)}

    def begin_again(self) -> None:
        """Forget what was, and go on with what is."""
        self.events.clear()
        before = list(self.steps)
        # The thread only ever appends: what comes meanwhile stays behind these.
        self.steps[: len(before)] = {step.slot: step for step in before}.values()

    def steps_of(self, *addresses: str) -> list[Step]:
        """Return what became of the slots that had one of these addresses, in order.

        From when a slot has the address until it is free of it, that included. Steps
        ``between``, the way in and repetitions of a state are left out.
        """
        homes: set[str] = set()
        found: list[Step] = []
        for step in list(self.steps):
            is_home = step.address in addresses
            if is_home:
                homes.add(step.slot)
            elif step.slot not in homes:
                continue
            else:
                homes.discard(step.slot)
                step = step if step.state == FREE else step._replace(admin=1, weight=0)  # noqa: PLW2901
            last = found[-1] if found else None
            is_way_in = step.state == DRAIN and (last is None or last.state == FREE)
            if step.state == BETWEEN or is_way_in:
                continue
            if last is None or (last.slot, last.state) != (step.slot, step.state):
                found.append(step)
        return found

    def story(self, *addresses: str) -> list[str]:
        """Return the states of :meth:`steps_of`."""
        return [step.state for step in self.steps_of(*addresses)]

    def wait_story(
        self,
        addresses: str | Collection[str],
        *states: str,
        timeout_seconds: float = 30,
    ) -> list[Step]:
        """Wait until exactly this happened, and return its steps.

        A slot that is released is out a moment before its address is another: a look may
        come just then, which is no step of its own.
        """
        wanted = (addresses,) if isinstance(addresses, str) else tuple(addresses)

        def is_told() -> list[Step]:
            steps = self.steps_of(*wanted)
            if DRAIN not in states:
                after = [*(step.state for step in steps[1:]), ""]
                steps = [
                    step
                    for step, then in zip(steps, after, strict=False)
                    if (step.state, then) != (DRAIN, FREE)
                ]
            told = [step.state for step in steps]
            assert told == list(states), f"{wanted}: {told}, not {list(states)}"
            return steps

        return wait_until(
            is_told,
            claim=f"the slot of {wanted} was {', '.join(states)}",
            timeout_seconds=timeout_seconds,
        )

    def at(self, container_id: str, word: str, *, last: bool = False) -> float:
        """Return when the engine said this of a container, first or last; waits for it."""

        def said() -> list[float]:
            return [
                one.at
                for one in list(self.events)
                if one.container_id == container_id and one.word == word
            ]

        return wait_until(said, claim=f"the engine says {word}")[-1 if last else 0]

    def wait_said(self, container_id: str, *words: str) -> None:
        """Wait until the engine has said these words of a container, in this order."""

        def said() -> bool:
            found = [
                o.word for o in list(self.events) if o.container_id == container_id
            ]
            rest = iter(found)
            assert all(word in rest for word in words), f"{found}, not {words}"
            return True

        wait_until(said, claim=f"the engine says {words}")
