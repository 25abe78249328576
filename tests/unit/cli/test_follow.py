"""Following a daemon: catching up, gaps, restarts, and who else may answer there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from tests.support.ports import free_port

from reconciler.cli.follow import Follower, NoDaemonError
from reconciler.journal import Journal
from reconciler.web import serve
from reconciler.web.events import events_route
from reconciler.web.stream import Streams


Handler = Callable[[web.Request], Any]


class Place:
    """An address where a daemon's events, or something else, may be served."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.told: list[str] = []
        self._news = asyncio.Event()
        self.follower = Follower(self.url, tell=self._tell)

    def _tell(self, text: str) -> None:
        self.told.append(text.replace(self.url, "URL"))
        self._news.set()

    async def until_told(self, text: str) -> None:
        """Return once this was told."""
        async with asyncio.timeout(10):
            while text not in self.told:
                self._news.clear()
                await self._news.wait()

    @asynccontextmanager
    async def daemon(self, journal: Journal) -> AsyncIterator[None]:
        """Serve a journal for the length of a block."""
        streams = Streams()
        app = web.Application()
        app.add_routes([events_route(journal, streams)])
        app.on_shutdown.append(lambda _: streams.aclose())
        runner = await serve(app, "127.0.0.1", self.port)
        try:
            yield
        finally:
            await runner.cleanup()


@asynccontextmanager
async def answering(place: Place, handler: Handler) -> AsyncIterator[None]:
    """Serve something that is no daemon."""
    app = web.Application()
    app.router.add_get("/api/events", handler)
    runner = await serve(app, "127.0.0.1", place.port)
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
async def place() -> Place:
    """An address of 127.0.0.1 that nobody uses."""
    return Place()


def note(journal: Journal, *reasons: str) -> None:
    """Let things happen."""
    for reason in reasons:
        journal.docker_lost(reason)


async def reasons(stream: AsyncIterator[dict[str, Any]], count: int) -> list[str]:
    """Return the reasons of the next entries."""
    async with asyncio.timeout(10):
        return [(await anext(stream))["reason"] for _ in range(count)]


async def test_what_is_remembered_and_then_what_comes(place: Place) -> None:
    """Nothing twice and nothing left out in between."""
    journal = Journal()
    note(journal, "one", "two")
    async with place.daemon(journal):
        found = await place.follower.remembered(0.0)
        note(journal, "three")
        async with aclosing(place.follower.follow()) as stream:
            assert await reasons(stream, 1) == ["three"]
            note(journal, "four")
            assert await reasons(stream, 1) == ["four"]

    assert [entry["reason"] for entry in found] == ["one", "two"]
    assert place.told == []


async def test_only_what_comes(place: Place) -> None:
    """Without a time what was is not told."""
    journal = Journal()
    note(journal, "old")
    async with place.daemon(journal):
        assert await place.follower.remembered(None) == []
        async with aclosing(place.follower.follow()) as stream:
            note(journal, "new")
            assert await reasons(stream, 1) == ["new"]


async def test_a_time_before_all_that_is_remembered(place: Place) -> None:
    """The ring has lost some: how many is told."""
    journal = Journal(kept=2)
    note(journal, "one", "two", "three")
    async with place.daemon(journal):
        found = await place.follower.remembered(0.0)

    assert [entry["reason"] for entry in found] == ["two", "three"]
    assert place.told == ["older entries are not remembered any more: 1"]


async def test_another_daemon_begins_anew(place: Place) -> None:
    """Its whole memory is news, also where it has come further than the old one."""
    old, new = Journal(), Journal()
    note(old, "old")
    note(new, "new one", "new two")
    async with place.daemon(old):
        await place.follower.remembered(None)
        stream = place.follower.follow()
        note(old, "older")
        assert await reasons(stream, 1) == ["older"]
        following = asyncio.create_task(reasons(stream, 2))
    await place.until_told("the daemon at URL went away: trying again")
    async with place.daemon(new):
        assert await following == ["new one", "new two"]
        note(new, "new three")
        assert await reasons(stream, 1) == ["new three"]
        await stream.aclose()

    assert place.told[1:] == ["another daemon answers at URL: its entries begin anew"]


async def test_the_same_daemon_is_gone_on_with(place: Place) -> None:
    """A connection that broke: nothing is told twice, and what was missed is counted."""
    journal = Journal(kept=2)
    note(journal, "one")
    async with place.daemon(journal):
        await place.follower.remembered(None)
        stream = place.follower.follow()
        note(journal, "two")
        assert await reasons(stream, 1) == ["two"]
        following = asyncio.create_task(reasons(stream, 2))
    await place.until_told("the daemon at URL went away: trying again")
    note(journal, "three", "four", "five")
    async with place.daemon(journal):
        assert await following == ["four", "five"]
        await stream.aclose()

    assert place.told[1:] == [
        "entries were missed: 1",
        "the daemon at URL answers again",
    ]


async def test_nobody_answers(place: Place) -> None:
    """The address, the cause, and both mends."""
    with pytest.raises(NoDaemonError) as caught:
        await place.follower.remembered(None)

    assert str(caught.value) == (
        f"no daemon answers at {place.url}: connection refused; start `reconciler run`, or "
        "say by --listen where it listens"
    )


async def _page(_: web.Request) -> web.Response:
    return web.Response(text="<html>", content_type="text/html")


async def _object(_: web.Request) -> web.Response:
    return web.json_response({"status": "success"})


async def _list(_: web.Request) -> web.Response:
    return web.json_response([1])


async def _broken(_: web.Request) -> web.Response:
    return web.Response(text="{", content_type="application/json")


async def _busy(_: web.Request) -> web.Response:
    return web.Response(text="64 streams are being\x1b[2J read", status=503)


async def _missing(_: web.Request) -> web.Response:
    raise web.HTTPNotFound


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (_page, 'an answer of type "text/html"'),
        (_object, "JSON of another form"),
        (_list, "JSON of another form"),
        (_broken, "an answer that is no JSON"),
        (_busy, 'status 503, "64 streams are being\\x1b[2J read"'),
        (_missing, 'status 404, "404: Not Found"'),
    ],
)
async def test_somebody_else_answers(
    place: Place, handler: Handler, words: str
) -> None:
    """What came instead, quoted, and the mend."""
    async with answering(place, handler):
        with pytest.raises(NoDaemonError) as caught:
            await place.follower.remembered(None)

    assert words in str(caught.value)
    assert "say by --listen where the daemon listens" in str(caught.value)


async def test_a_gap_in_the_stream_is_told(place: Place) -> None:
    """A reader that is too slow learns how many entries it missed."""

    async def gap(request: web.Request) -> web.StreamResponse:
        if "text/event-stream" not in request.headers.get("Accept", ""):
            return web.json_response({"events": [], "last_id": 3, "missed": 0})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": here\n\nevent: other\ndata: {}\n\n")
        await response.write(
            b'event: entry\nid: 7\ndata: {"id":7,\ndata: "reason":"x"}\n\n'
        )
        return response

    async with answering(place, gap):
        await place.follower.remembered(None)
        async with aclosing(place.follower.follow()) as stream:
            assert await reasons(stream, 1) == ["x"]

    assert place.told == ["entries were missed: 3"]
