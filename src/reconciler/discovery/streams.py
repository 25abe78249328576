"""Open subscriptions to events: over a unix socket on the loop, else through docker-py.

A broken stream ends like one that the engine has closed. So the end says nothing but:
subscribe again, and read everything again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Protocol

import docker

from reconciler.discovery.inspect import (
    EVENT_FILTERS,
    EngineEvent,
    event_from,
    event_of_line,
)
from reconciler.discovery.unix_http import Stream
from reconciler.errors import DiscoveryError


EVENTS_AT_ONCE = 100
"""So many events are handed out in one go, if so many have come. Then the loop may turn; and
what does not fit into the socket meanwhile waits in the engine."""

MOST_WAITING = 1000
"""So many events may wait for the loop. The thread that reads more of them waits as well."""


class EventStream(Protocol):
    """An open subscription."""

    def events(self) -> AsyncGenerator[EngineEvent]:
        """Yield each event that concerns a container, until the stream ends.

        An event that cannot be read is left to the next resync.
        """

    def close(self) -> None:
        """End the subscription."""


class UnixEvents:
    """A subscription over a unix socket. Implements :class:`EventStream`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def events(self) -> AsyncGenerator[EngineEvent]:
        """See :class:`EventStream`."""
        count = 0
        while lines := await self._stream.lines():
            for line in lines:
                event = event_of_line(line)
                if event is not None:
                    yield event
                count += 1
                if count % EVENTS_AT_ONCE == 0:
                    await asyncio.sleep(0)

    def close(self) -> None:
        """See :class:`EventStream`."""
        self._stream.close()


class ThreadedEvents:
    """A subscription that docker-py reads in a thread. Implements :class:`EventStream`."""

    def __init__(self, client: docker.APIClient, *, since: float) -> None:
        """Subscribe. Raises what docker-py raises."""
        self._client = client
        self._is_closed = False
        self._stream = client.events(
            since=int(since), filters=dict(EVENT_FILTERS), decode=True
        )

    async def events(self) -> AsyncGenerator[EngineEvent]:
        """See :class:`EventStream`."""
        loop, places = asyncio.get_running_loop(), threading.Semaphore(MOST_WAITING)
        waiting: asyncio.Queue[EngineEvent | None] = asyncio.Queue()

        def read() -> None:
            # Why it ended makes no difference to what has to be done; and a stream that is
            # closed while it is read, or read while the loop is closed, may fail in many ways.
            with suppress(Exception):
                for document in self._stream:
                    event = None
                    with suppress(DiscoveryError):
                        event = event_from(document)
                    if event is not None and self._has_place(places):
                        loop.call_soon_threadsafe(waiting.put_nowait, event)
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(waiting.put_nowait, None)

        threading.Thread(target=read, name="docker-events", daemon=True).start()
        while (event := await waiting.get()) is not None:
            places.release()
            yield event

    def _has_place(self, places: threading.Semaphore) -> bool:
        """Wait until the loop has caught up; False where nobody wants it any more."""
        while not places.acquire(timeout=1.0):
            if self._is_closed:
                return False
        return True

    def close(self) -> None:
        """See :class:`EventStream`. It may be called from any thread."""
        self._is_closed = True
        with suppress(Exception):  # half of a broken socket may fail in many ways
            self._stream.close()
        with suppress(Exception):
            self._client.close()
