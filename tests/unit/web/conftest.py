"""A loop over fakes, served; and its live stream, read as the page reads it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from tests.fakes.loop import Loop
from tests.fakes.proxy import FakeProxy
from tests.support.ports import free_port

from reconciler.core.live import Difference, applied
from reconciler.web import application, serve
from reconciler.web.statistics import Statistics


WAIT_SECONDS = 5.0


@asynccontextmanager
async def serving(
    loop: Loop,
    *,
    eyes: Sequence[FakeProxy] = (),
    allowed_hosts: Sequence[str] = (),
) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve a loop, with these proxies for statistics, and ask it."""
    port = free_port()
    served = application(
        loop.controller,
        loop.metrics,
        loop.journal,
        statistics=Statistics(eyes),
        allowed_hosts=allowed_hosts,
    )
    runner = await serve(served, "127.0.0.1", port)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
        try:
            yield client
        finally:
            async with asyncio.timeout(WAIT_SECONDS):
                await runner.cleanup()


class Reader:
    """Reads ``/api/live`` and keeps the tables, as the page does."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.tables: dict[str, dict[str, dict[str, Any]]] = {}
        self.entries: list[dict[str, Any]] = []
        self.names: list[str] = []
        """The types of the messages so far."""

    async def until_whole(self) -> None:
        """Return once the whole map was read."""
        while "whole" not in self.names:
            await self.take()

    async def until(self, section: str, key: str, **fields: object) -> None:
        """Return once a row has these fields; None: once it has them not."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not self._has(section, key, fields):
                await self.take()

    def _has(self, section: str, key: str, fields: dict[str, object]) -> bool:
        row = self.tables.get(section, {}).get(key)
        return row is not None and all(row.get(n) == v for n, v in fields.items())

    async def take(self) -> dict[str, Any]:
        """Take in the next message, and return it."""
        name = ""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                line = (await self._answer.content.readline()).decode()
                if not line:
                    raise EOFError("the stream has ended")
                if line.startswith("event: "):
                    name = line.removeprefix("event: ").strip()
                if line.startswith("data: "):
                    told = json.loads(line.removeprefix("data: "))
                    self._take_in(name, told)
                    return dict(told)

    def _take_in(self, name: str, told: dict[str, Any]) -> None:
        self.names.append(name)
        if name == "map":
            self.tables, self.entries = {}, []
        self.entries += told.get("entries", [])
        for section in ("haproxies", "docker", "unplaced", "rows"):
            found = told.get(section)
            if found:
                one = Difference(found["set"], found.get("gone", []))
                self.tables[section] = applied(self.tables.get(section, {}), one)


@asynccontextmanager
async def reading(client: aiohttp.ClientSession) -> AsyncIterator[Reader]:
    """Open the live stream for the length of a block."""
    async with client.get("/api/live") as answer:
        assert answer.status == 200
        yield Reader(answer)
