"""Open subscriptions to events: over a unix socket on the loop, else through docker-py.

A broken stream ends like one that the engine has closed. So the end says nothing but:
subscribe again, and read everything again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

import docker

from reconciler.discovery.inspect import read_line
from reconciler.discovery.unix_http import Stream
from reconciler.errors import DiscoveryError


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Read = Callable[[Mapping[str, Any]], T | None]
"""What makes an event of a document: None where it is of no concern."""

IsIdle = Callable[[bytes], bool]
"""Whether a line need not be read at all. Only asked where reading it is work for the loop."""


def nothing_is_idle(_: bytes) -> bool:
    """Have every line read: an :data:`IsIdle`."""
    return False


MOST_WAITING = 1000
"""So many events may wait for the loop. The thread that reads more of them waits as well."""


class EventStream(Protocol[T_co]):
    """An open subscription."""

    async def follow(self, take: Callable[[T_co], None]) -> None:
        """Hand out each event that is of concern, until the stream ends.

        An event that cannot be read is left to the next resync. What ``take`` raises is
        raised here.
        """

    def close(self) -> None:
        """End the subscription."""


class UnixEvents(Generic[T]):
    """A subscription over a unix socket. Implements :class:`EventStream`."""

    def __init__(self, stream: Stream, read: Read[T], is_idle: IsIdle) -> None:
        self._stream = stream
        self._read = read
        self._is_idle = is_idle

    async def follow(self, take: Callable[[T], None]) -> None:
        """See :class:`EventStream`."""

        def take_line(line: bytes) -> None:
            if self._is_idle(line):
                return
            event = read_line(self._read, line)
            if event is not None:
                take(event)

        await self._stream.each(take_line)

    def close(self) -> None:
        """See :class:`EventStream`."""
        self._stream.close()


class ThreadedEvents(Generic[T]):
    """A subscription that docker-py reads in a thread. Implements :class:`EventStream`."""

    def __init__(
        self,
        client: docker.APIClient,
        read: Read[T],
        *,
        since: float,
        filters: Mapping[str, list[str]],
    ) -> None:
        """Subscribe. Raises what docker-py raises."""
        self._client = client
        self._read = read
        self._is_closed = False
        self._stream = client.events(
            since=int(since), filters=dict(filters), decode=True
        )

    async def follow(self, take: Callable[[T], None]) -> None:
        """See :class:`EventStream`."""
        loop, places = asyncio.get_running_loop(), threading.Semaphore(MOST_WAITING)
        waiting: asyncio.Queue[T | None] = asyncio.Queue()

        def read() -> None:
            # Why it ended makes no difference to what has to be done; and a stream that is
            # closed while it is read, or read while the loop is closed, may fail in many ways.
            with suppress(Exception):
                for document in self._stream:
                    event = None
                    with suppress(DiscoveryError):
                        event = self._read(document)
                    if event is not None and self._has_place(places):
                        loop.call_soon_threadsafe(waiting.put_nowait, event)
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(waiting.put_nowait, None)

        threading.Thread(target=read, name="docker-events", daemon=True).start()
        while (event := await waiting.get()) is not None:
            places.release()
            take(event)

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
