"""A request loop through HAProxy: what faults and churn must never be felt by."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self


PAUSE_SECONDS = 0.005
ANSWER_SECONDS = 5.0
MOST_FAILURES_KEPT = 20


class Traffic:
    """GETs to a port of 127.0.0.1, one after another, for the length of a block.

    What counts begins with the first answer: HAProxy's first check comes before it.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self.answered = 0
        self.failures: list[str] = []
        """The first of the requests that did not get a 200, and what they got."""

    async def __aenter__(self) -> Self:
        """Begin; return when the first requests were answered."""
        self._task = asyncio.create_task(self._run())
        await self.more(2)
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def more(self, count: int) -> None:
        """Return when that many more requests are over, well or badly."""
        until = self._over + count
        async with asyncio.timeout(ANSWER_SECONDS + count * ANSWER_SECONDS / 10):
            while self._over < until:
                self._news.clear()
                await self._news.wait()

    @property
    def _over(self) -> int:
        return self.answered + len(self.failures)

    async def _run(self) -> None:
        while len(self.failures) < MOST_FAILURES_KEPT:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    status = await self._get()
            except (OSError, EOFError, TimeoutError) as error:
                status = repr(error)
            if status.startswith("HTTP/1.1 200 "):
                self.answered += 1
            elif self.answered:
                self.failures.append(status)
            self._news.set()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _get(self) -> str:
        """Return the status line of one request on a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()
        return head.partition(b"\r\n")[0].decode("latin-1")
