"""A relay before HAProxy's runtime socket that counts who comes through."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, Self


class CountedSocket:
    """A relay before HAProxy's socket that counts connections."""

    def __init__(self, path: Path, haproxy: Path) -> None:
        self._path, self._haproxy = path, haproxy
        self._open = self.opened = self.at_once = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._path}"

    def begin(self) -> None:
        """Count from here on, above what is open."""
        self.opened, self.at_once = 0, self._open

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._open += 1
        self.opened += 1
        self.at_once = max(self.at_once, self._open)
        try:
            there, back = await asyncio.open_unix_connection(self._haproxy)
            await _first_end(_pump(reader, back), _pump(there, writer))
            back.close()
        finally:
            self._open -= 1
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


async def _first_end(*pumps: Any) -> None:  # noqa: ANN401 - coroutines
    tasks = [asyncio.create_task(pump) for pump in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
