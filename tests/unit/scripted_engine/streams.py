"""Event streams of the scripted engine as docker-py reads them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any, Protocol, cast

import docker
from tests.scripted_engine import ScriptedEngine


Filters = dict[str, str | list[str]]


class EventStream(Protocol):
    """docker-py's cancellable stream of decoded events."""

    def __iter__(self) -> Iterator[dict[str, Any]]: ...

    def close(self) -> None:
        """Close the connection."""


class Events:
    """Opens event streams with docker-py, and closes them in the end."""

    def __init__(self, engine: ScriptedEngine, client: docker.APIClient) -> None:
        self._engine = engine
        self._client = client
        self._opened: list[EventStream] = []

    async def __call__(
        self, *, since: str | int | None = None, filters: Filters | None = None
    ) -> EventStream:
        """Return a stream once the engine has it among its own.

        ``since`` may be text with nanoseconds: docker-py passes it on as it is.
        """
        before = len(self._engine.events.streams)
        stream = await asyncio.to_thread(
            lambda: cast(
                "EventStream",
                self._client.events(
                    since=cast("int | None", since), filters=filters, decode=True
                ),
            )
        )
        self._opened.append(stream)
        await self._engine.events.joined(before + 1)
        return stream

    def close(self) -> None:
        """Close every stream that was opened."""
        for stream in self._opened:
            stream.close()


async def take(stream: EventStream, count: int) -> list[dict[str, Any]]:
    """Return the next ``count`` events, or fewer where the stream ends before."""
    async with asyncio.timeout(5):
        return await asyncio.to_thread(
            lambda: cast("list[dict[str, Any]]", list(itertools.islice(stream, count)))
        )


def actions(events: list[dict[str, Any]]) -> list[str]:
    """Return ``type action`` of each, the short form the tests compare."""
    return [f"{event['Type']} {event['Action']}" for event in events]
