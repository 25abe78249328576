"""The event stream: a buffer of the last 256 events, live streams, and what can go wrong.

The order, the fields and the filters are the real engine's (recorded from 20.10).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.scripted_engine.clock import Clock
from tests.scripted_engine.filters import Filters


REPLAYED = 256
"""How many past events the engine can replay for ``since`` (moby, daemon/events)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. ``image`` is empty for everything but containers."""

    kind: str
    action: str
    actor_id: str
    attributes: Mapping[str, str]
    time_nano: int
    image: str = ""

    def shown(self) -> dict[str, Any]:
        """Return the object as the engine writes it."""
        head = {"status": self.action, "id": self.actor_id, "from": self.image}
        return {
            **(head if self.kind == "container" else {}),
            "Type": self.kind,
            "Action": self.action,
            "Actor": {"ID": self.actor_id, "Attributes": dict(self.attributes)},
            "scope": "local",
            "time": self.time_nano // 1_000_000_000,
            "timeNano": self.time_nano,
        }

    def line(self) -> bytes:
        """Return the event as one line of JSON."""
        return json.dumps(self.shown(), separators=(",", ":")).encode() + b"\n"


class Stream:
    """One client of ``/events``: takes lines, until it is ended."""

    def __init__(self, write: Callable[[bytes], None], filters: Filters) -> None:
        self._write = write
        self._filters = filters
        self._held: list[bytes] | None = None
        self.over = asyncio.Event()
        self.is_clean = True

    def send(self, event: Event) -> None:
        """Write the event at once, if the client asked for it."""
        if self.over.is_set() or not self._filters.match_event(event.shown()):
            return
        if self._held is None:
            self._write(event.line())
        else:
            self._held.append(event.line())

    def stall(self) -> None:
        """Stay open, but deliver nothing until ``resume``."""
        if self._held is None:
            self._held = []

    def resume(self) -> None:
        """Deliver what was held back, and go on."""
        held, self._held = self._held or [], None
        for line in held:
            self._write(line)

    def end(self, *, is_clean: bool) -> None:
        """End the stream: as a finished answer, or by closing the connection mid-body."""
        self.is_clean = is_clean
        self.over.set()


class EventLog:
    """Emits events to every stream, and remembers the last 256.

    Faults act on what the streams get; the buffer always has every event, as in the real
    engine, which drops events only for a slow client. ``hits`` counts what went wrong.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.hits: Counter[str] = Counter()
        self.emitted: deque[Event] = deque(maxlen=REPLAYED)
        self.streams: set[Stream] = set()
        self._joined = asyncio.Event()
        self._last_nano = 0
        self._to_drop = 0
        self._to_double = 0
        self._held: list[Event] | None = None

    def join(self, stream: Stream) -> None:
        """Send every event from now on to this stream too."""
        self.streams.add(stream)
        self._joined.set()
        self._joined = asyncio.Event()

    async def joined(self, count: int = 1) -> None:
        """Return once that many streams are open: whoever listens is listening."""
        while len(self.streams) < count:
            await self._joined.wait()

    def emit(
        self,
        kind: str,
        action: str,
        actor_id: str,
        attributes: Mapping[str, str],
        *,
        image: str = "",
    ) -> Event:
        """Make an event now and send it. Times strictly increase, but for a clock that jumps."""
        self._last_nano = max(self._clock.now_ns(), self._last_nano + 1)
        event = Event(
            kind=kind,
            action=action,
            actor_id=actor_id,
            attributes=attributes,
            time_nano=self._last_nano,
            image=image,
        )
        self.emitted.append(event)
        self._deliver(event)
        return event

    def replay(self, stream: Stream, since_nano: int, until_nano: int | None) -> None:
        """Send a stream what the buffer has from ``since_nano`` on."""
        for event in list(self.emitted):
            if event.time_nano < since_nano:
                continue
            if until_nano is None or event.time_nano <= until_nano:
                stream.send(event)

    def repeat(self, count: int) -> None:
        """Deliver the last ``count`` events once more, as old as they are."""
        for event in list(self.emitted)[-count:]:
            self._send(event)

    def drop(self, count: int) -> None:
        """Do not deliver the next ``count`` events."""
        self._to_drop += count

    def double(self, count: int) -> None:
        """Deliver each of the next ``count`` events twice."""
        self._to_double += count

    def hold(self) -> None:
        """Keep events back, to be released in another order."""
        self._held = self._held or []

    def release(self, *, is_reversed: bool = False) -> None:
        """Deliver what was held back, in order or last first."""
        held, self._held = self._held or [], None
        for event in reversed(held) if is_reversed else held:
            self._send(event)

    def stall(self) -> None:
        """Make every open stream silent, but leave it open."""
        for stream in self.streams:
            stream.stall()

    def resume(self) -> None:
        """Let every stalled stream catch up."""
        for stream in self.streams:
            stream.resume()

    def end(self, *, is_clean: bool = True) -> None:
        """End every open stream (see ``Stream.end``)."""
        for stream in self.streams:
            stream.end(is_clean=is_clean)

    def behave(self) -> None:
        """End every fault: nothing is lost or doubled any more, and streams catch up."""
        self._to_drop = self._to_double = 0
        self.release()
        self.resume()

    def forget_order(self) -> None:
        """Let the next event be older than the last, as after a clock was set back."""
        self._last_nano = 0

    def forget(self) -> None:
        """Empty the buffer, as an engine that has just started."""
        self.emitted.clear()

    def _deliver(self, event: Event) -> None:
        if self._to_drop:
            self._to_drop -= 1
            self.hits["drop"] += 1
        elif self._held is not None:
            self._held.append(event)
            self.hits["hold"] += 1
        else:
            self._send(event)

    def _send(self, event: Event) -> None:
        copies = 2 if self._to_double else 1
        self._to_double -= copies - 1
        self.hits["double"] += copies - 1
        for stream in list(self.streams):
            for _ in range(copies):
                stream.send(event)
