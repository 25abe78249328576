"""A runtime socket whose every byte is scripted, for what no HAProxy does on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path


class ScriptedSocket:
    """Serves each connection with the next script; the last one serves all that follow."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scripts: list[Script] = []
        self.connections = 0
        self.ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where to connect."""
        return f"unix://{self.path}"

    async def serve(self, *scripts: Script) -> None:
        """Listen, and play the scripts."""
        self.scripts = list(scripts)
        self._server = await asyncio.start_unix_server(self._play, self.path)

    async def _play(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.ended.set()
            writer.close()

    async def aclose(self) -> None:
        """End every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
