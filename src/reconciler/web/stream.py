"""Server-sent events: a stream that ends with its reader, or with the daemon.

The format is WHATWG's (HTML standard, 9.2). A reader that is too slow is not waited for by
anybody else: each has a place of its own in what it follows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from aiohttp import web


BEAT_SECONDS = 10.0
"""How long a stream may be silent: then a comment is sent, so that a reader that has gone
is noticed, and no proxy in between takes the stream for dead."""

MOST_STREAMS = 64
"""More readers than that are turned away: each costs a connection and a task."""


class Message(NamedTuple):
    """One message: ``name`` is its event type, '' the default one."""

    payload: Any
    """Anything that JSON can say."""
    name: str = ""
    id: int | None = None

    def encoded(self) -> bytes:
        """Return it as bytes for the wire. JSON has no line breaks, so one line is enough."""
        lines = [f"event: {self.name}"] if self.name else []
        if self.id is not None:
            lines.append(f"id: {self.id}")
        lines.append(f"data: {json.dumps(self.payload, separators=(',', ':'))}")
        return ("\n".join(lines) + "\n\n").encode()


def wants_stream(request: web.Request) -> bool:
    """Whether a request asks for server-sent events."""
    return "text/event-stream" in request.headers.get("Accept", "")


Batch = Sequence[Message | bytes]
"""What is sent at once. Bytes are messages that somebody encoded already, for all readers."""


class Streams:
    """All streams that are being read now: bounded, and ended with the daemon."""

    def __init__(self) -> None:
        self._readers: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._readers)

    async def send(
        self, request: web.Request, batches: AsyncGenerator[Batch]
    ) -> web.StreamResponse:
        """Send messages until the reader goes, or the daemon ends.

        Raises HTTPServiceUnavailable where too many are read already.
        """
        if len(self._readers) >= MOST_STREAMS:
            raise web.HTTPServiceUnavailable(
                text=f"{MOST_STREAMS} streams are being read already: close one\n"
            )
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        sending = asyncio.create_task(_send(response, batches))
        self._readers.add(sending)
        try:
            # Not awaited directly: `aclose` cancels it, and that must not look like ours.
            await asyncio.wait({sending})
        finally:
            sending.cancel()
            self._readers.discard(sending)
            await batches.aclose()
        return response

    async def aclose(self) -> None:
        """End every stream."""
        for sending in list(self._readers):
            sending.cancel()


_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


async def _send(response: web.StreamResponse, batches: AsyncGenerator[Batch]) -> None:
    following = asyncio.create_task(_next(batches))
    try:
        with suppress(ConnectionError):
            await response.write(_BEAT)  # the reader knows that it is connected
            while True:
                done, _ = await asyncio.wait({following}, timeout=BEAT_SECONDS)
                if not done:
                    await response.write(_BEAT)
                    continue
                batch = following.result()
                await response.write(b"".join(map(_encoded, batch)))
                following = asyncio.create_task(_next(batches))
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await following


async def _next(batches: AsyncGenerator[Batch]) -> Batch:
    return await anext(batches)


def _encoded(one: Message | bytes) -> bytes:
    return one if isinstance(one, bytes) else one.encoded()


_BEAT = b": here\n\n"
