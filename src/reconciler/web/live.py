"""``/api/live``: the page's stream. First the whole map, then only what changes.

One task looks, for everybody who reads, and only while somebody does. What it finds is
encoded once, into a short ring; each reader has a place in it. A reader too slow for the
ring is sent the whole map again, so it costs no more memory than any other.

The journal wakes that task: a change is on its way as soon as the pass that made it is
over. Once a second it looks by itself, for what no pass tells.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from typing import Any

from aiohttp import web

from reconciler import __version__
from reconciler.controller import Controller
from reconciler.core.live import Difference
from reconciler.journal import Entry, Journal
from reconciler.web.picture import SECTIONS, Picture
from reconciler.web.statistics import Statistics
from reconciler.web.stream import Message, Streams


LOOK_SECONDS = 1.0
"""How often it is looked at least, and a reader told that we are here."""

SOONEST_SECONDS = 0.02
"""How soon after a look the next may follow: a burst of changes is told in steps."""

MOST_SHARE = 0.1
"""The most of the time that looking may take."""

ENTRIES = 200
"""How many former entries of the journal a new reader is sent."""

RING = 64
"""How many looks are kept for slow readers."""

PART = 500
"""How many rows are encoded at once: 2 ms."""


class Live:
    """Whoever reads the stream, and the one task that looks for them."""

    def __init__(
        self, controller: Controller, journal: Journal, statistics: Statistics
    ) -> None:
        self._controller = controller
        self._journal = journal
        self._statistics = statistics
        self._daemon = uuid.uuid4().hex
        self._picture = Picture(controller, statistics)
        self._ring: deque[bytes] = deque(maxlen=RING)
        self._told = 0
        """How many looks were told in all."""
        self._entry = 0
        """The youngest entry that was told."""
        self._news = asyncio.Event()
        self._nudge = asyncio.Event()
        self._readers = 0
        self._looking: asyncio.Task[None] | None = None

    def route(self, streams: Streams) -> web.RouteDef:
        """Return the route."""

        async def live(request: web.Request) -> web.StreamResponse:
            return await streams.send(request, self.follow())

        return web.get("/api/live", live)

    async def follow(self) -> AsyncGenerator[list[bytes]]:
        """Yield the whole map, then what changes, encoded, for ever."""
        self._readers += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())
            self._looking.add_done_callback(lambda _: self._wake_readers())
        try:
            while True:
                await self._until_told(0)
                place = self._told
                async for part in self._whole():
                    yield [part]
                while self._told - place <= len(self._ring):
                    behind = self._told - place
                    missing = list(islice(self._ring, len(self._ring) - behind, None))
                    place = self._told
                    if missing:
                        yield missing
                    await self._until_told(place)
        finally:
            self._readers -= 1
            if not self._readers:
                await self._rest()

    async def _until_told(self, place: int) -> None:
        while self._told <= place:
            if self._looking is not None and self._looking.done():
                self._looking.result()  # raises what ended it
            await self._news.wait()

    async def _rest(self) -> None:
        """Look no more. What was seen is forgotten: the next reader starts anew."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
        if self._looking is None:
            self._picture = Picture(self._controller, self._statistics)
            self._ring.clear()
            self._told = 0

    async def _whole(self) -> AsyncGenerator[bytes]:
        """Yield the picture of this moment: ``map``, parts of it as ``change``, ``whole``."""
        tables = {name: dict(self._picture.tables[name]) for name in SECTIONS}
        rows = list(tables.pop("rows").items())
        entries = self._journal.entries(after=self._journal.last_id - ENTRIES)
        entries = [one for one in entries if one.id <= self._entry]
        head = {
            "daemon": self._daemon,
            "version": __version__,
            "now": time.time(),
            "slots": len(rows),
            "entries": [_entry(one) for one in entries],
            **{name: {"set": table} for name, table in tables.items()},
        }
        yield Message(head, "map").encoded()
        for start in range(0, len(rows), PART):
            part = dict(rows[start : start + PART])
            yield Message({"rows": {"set": part}}, "change").encoded()
            await asyncio.sleep(0)
        yield Message({}, "whole").encoded()

    async def _look_on(self) -> None:
        async with self._statistics.looking(), asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear_journal())
            tasks.create_task(self._hear_statistics())
            clock = asyncio.get_running_loop().time
            while True:
                self._nudge.clear()
                began = clock()
                await self._look()
                await asyncio.sleep(
                    max(SOONEST_SECONDS, (clock() - began) / MOST_SHARE)
                )
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._nudge.wait()

    async def _hear_journal(self) -> None:
        async for _ in self._journal.follow(after=self._journal.last_id):
            self._nudge.set()
            self._statistics.hurry()

    async def _hear_statistics(self) -> None:
        while True:
            await self._statistics.news.wait()
            self._statistics.news.clear()
            self._nudge.set()

    async def _look(self) -> None:
        """Look, and tell what was found."""
        # Entries first: what they tell of is in the tables by now.
        entries = self._journal.entries(after=self._entry) if self._told else []
        self._entry = self._journal.last_id
        found = await self._picture.look()
        if not self._told:
            found = {}  # whoever waits for the first look is sent the whole map
        self._ring.append(await _encoded(found, entries))
        self._told += 1
        self._wake_readers()

    def _wake_readers(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


async def _encoded(found: Mapping[str, Difference], entries: list[Entry]) -> bytes:
    """Return one look as messages; where it found nothing, one says that we are here."""
    first: dict[str, Any] = {"now": round(time.time(), 3)}
    parts = [first]
    for section, one in found.items():
        changed = list(one.changed.items())
        first[section] = {"set": dict(changed[:PART])}
        if one.gone:
            first[section]["gone"] = one.gone
        parts += [
            {section: {"set": dict(changed[start : start + PART])}}
            for start in range(PART, len(changed), PART)
        ]
    if entries:
        first["entries"] = [_entry(one) for one in entries]
    written = []
    for part in parts:
        written.append(Message(part, "change").encoded())
        await asyncio.sleep(0)
    return b"".join(written)


def _entry(entry: Entry) -> dict[str, Any]:
    return {name: v for name, v in asdict(entry).items() if v not in (None, "")}
