"""``/api/events``: what happened to the map, as one answer or as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import asdict

from aiohttp import web

from reconciler.errors import quoted
from reconciler.journal import Entry, Journal
from reconciler.web.stream import Message, Streams, wants_stream


def events_route(journal: Journal, streams: Streams) -> web.RouteDef:
    """Return the route. Query: ``after`` (an entry's id) and ``since`` (Unix seconds).

    With ``Accept: text/event-stream`` it goes on for ever; a stream with neither begins
    with what happens next, and one that is taken up again (``Last-Event-ID``) where it was.
    """

    async def events(request: web.Request) -> web.StreamResponse:
        since = _number(request, "since")
        after = _number(request, "after")
        last = request.headers.get("Last-Event-ID", "")
        if wants_stream(request):
            if last.isascii() and last.isdigit():
                # There is nothing later than the last, however many digits somebody sends.
                after = min(float(last), float(journal.last_id))
            elif after is None:
                after = float(journal.last_id) if since is None else 0.0
            return await streams.send(
                request, _messages(journal, int(after), since or 0.0)
            )
        place = int(after or 0)
        found = journal.entries(after=place, since=since or 0.0)
        return web.json_response(
            {
                "events": [asdict(entry) for entry in found],
                "last_id": journal.last_id,
                "missed": journal.missed(after=place) if after is not None else 0,
            }
        )

    return web.get("/api/events", events)


async def _messages(
    journal: Journal, after: int, since: float
) -> AsyncGenerator[list[Message]]:
    following = journal.follow(after=after)
    try:
        async for batch in following:
            found = [message(entry) for entry in batch if entry.at >= since]
            if found:
                yield found
    finally:
        await following.aclose()


def message(entry: Entry) -> Message:
    """Return an entry as a message of the type ``entry``."""
    return Message(asdict(entry), "entry", entry.id)


def _number(request: web.Request, name: str) -> float | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise web.HTTPBadRequest(
            text=f"{name} is {quoted(text)}: it must be a number from 0\n"
        )
    return number
