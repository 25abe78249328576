"""A socket in front of another that counts what goes through."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Self


class CountingRelay:
    """Passes bytes on, both ways, and counts them."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self.bytes_total = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        other = await asyncio.open_unix_connection(str(self._target))
        try:
            await asyncio.gather(
                self._pass_on(reader, other[1]), self._pass_on(other[0], writer)
            )
        except OSError:
            pass
        finally:
            writer.close()
            other[1].close()
            if task is not None:
                self._tasks.discard(task)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(1 << 16):
            self.bytes_total += len(data)
            writer.write(data)
            await writer.drain()
        writer.close()
