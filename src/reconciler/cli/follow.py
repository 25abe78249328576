"""The daemon's ``/api/events`` as it is followed: connect, catch up, go on, come back.

An entry's id begins anew with every daemon, so a place in one daemon's journal means
nothing to the next. After a lost connection the last entry seen is compared with what the
daemon has at that place: the same one, and the stream goes on behind it; another one, or
none, and another daemon answers, whose whole memory is news.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import aiohttp

from reconciler.errors import ReconcilerError, quoted


Json = dict[str, Any]

SILENT_SECONDS = 35.0
"""The daemon says something every 10 seconds: three times that, and it has gone."""

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0

_OK = 200
_STREAM = "text/event-stream"
_FAR = 1e11
"""A time after all entries, in Unix seconds: asks for the place and for nothing else."""


class NoDaemonError(ReconcilerError):
    """Nobody answers at the daemon's address, or somebody else does."""


class _GoneError(Exception):
    """The connection was lost; the daemon may come back."""


class Follower:
    """Follows one daemon's journal. Yields its entries, each once, as they were sent."""

    def __init__(self, url: str, *, tell: Callable[[str], object]) -> None:
        """``tell`` is called with what a reader must know besides: losses, gaps."""
        self._url = url
        self._tell = tell
        self._last: Json | None = None
        """The entry seen last."""
        self._last_id = 0

    async def remembered(self, since: float | None) -> list[Json]:
        """Return what the daemon remembers since a time (None: nothing), and stand there.

        Raises NoDaemonError.
        """
        async with self._client() as client:
            return await self._remembered(client, since)

    async def follow(self) -> AsyncGenerator[Json]:
        """Yield what comes after that, for ever, over restarts of the daemon.

        Raises NoDaemonError where something else answers from the beginning.
        """
        pause = FIRST_PAUSE_SECONDS
        is_lost = False
        while True:
            try:
                async with self._client() as client:
                    if is_lost:
                        for entry in await self._caught_up(client):
                            yield entry
                    is_lost, pause = False, FIRST_PAUSE_SECONDS
                    async for entry in self._stream(client):
                        yield entry
            except (_GoneError, NoDaemonError) as error:
                if isinstance(error, NoDaemonError) and not is_lost:
                    raise
                if not is_lost:
                    self._tell(f"the daemon at {self._url} went away: trying again")
                is_lost = True
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _client(self) -> aiohttp.ClientSession:
        limit = aiohttp.ClientTimeout(
            total=None, sock_connect=5, sock_read=SILENT_SECONDS
        )
        return aiohttp.ClientSession(self._url, timeout=limit)

    async def _remembered(
        self, client: aiohttp.ClientSession, since: float | None
    ) -> list[Json]:
        wanted = _FAR if since is None else since
        answer = await self._ask(client, {"since": f"{wanted:.3f}", "after": "0"})
        found: list[Json] = answer["events"]
        self._last_id = answer["last_id"]
        self._last = found[-1] if found else await self._entry(client, self._last_id)
        missed = answer["missed"]
        if missed and found and found[0]["id"] == missed + 1:
            self._tell(f"older entries are not remembered any more: {missed}")
        return found

    async def _entry(self, client: aiohttp.ClientSession, number: int) -> Json | None:
        """Return one entry by its id, None where it is not remembered."""
        answer = await self._ask(client, {"after": str(max(0, number - 1))})
        return next((one for one in answer["events"] if one["id"] == number), None)

    async def _caught_up(self, client: aiohttp.ClientSession) -> list[Json]:
        """Return what happened while nobody was listening, and say whose it is."""
        answer = await self._ask(client, {"after": str(max(0, self._last_id - 1))})
        found: list[Json] = answer["events"]
        first = found[0] if found else None
        if answer["last_id"] >= self._last_id and self._is_ours(first):
            missed = answer["missed"]
            if missed > 1:
                self._tell(f"entries were missed: {missed - 1}")
            self._tell(f"the daemon at {self._url} answers again")
            news = [one for one in found if one["id"] > self._last_id]
        else:
            self._tell(f"another daemon answers at {self._url}: its entries begin anew")
            news = (await self._ask(client, {"after": "0"}))["events"]
        self._last_id = answer["last_id"]
        if news:
            self._last, self._last_id = news[-1], news[-1]["id"]
        return news

    def _is_ours(self, found: Json | None) -> bool:
        """Whether what a daemon has where we stood is the entry that we saw there."""
        if self._last is None:
            return self._last_id == 0  # nothing had happened yet
        if found is None:
            return False
        if found["id"] == self._last_id:
            return bool(found == self._last)
        return bool(found["id"] > self._last_id and found["at"] >= self._last["at"])

    async def _stream(self, client: aiohttp.ClientSession) -> AsyncIterator[Json]:
        try:
            async with client.get(
                "/api/events",
                params={"after": str(self._last_id)},
                headers={"Accept": _STREAM},
            ) as answer:
                await self._require(answer, _STREAM)
                async for entry in _entries(answer.content):
                    if entry["id"] > self._last_id + 1:
                        missed = entry["id"] - self._last_id - 1
                        self._tell(f"entries were missed: {missed}")
                    self._last, self._last_id = entry, entry["id"]
                    yield entry
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _GoneError from error
        raise _GoneError

    async def _ask(self, client: aiohttp.ClientSession, query: dict[str, str]) -> Json:
        """Return one whole answer. Raises NoDaemonError."""
        limit = aiohttp.ClientTimeout(total=10)
        try:
            async with client.get("/api/events", params=query, timeout=limit) as answer:
                await self._require(answer, "application/json")
                shown = await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoDaemonError(
                f"no daemon answers at {self._url}: {_why(error)}; start `reconciler run`, "
                "or say by --listen where it listens"
            ) from error
        except ValueError as error:
            raise self._somebody_else("an answer that is no JSON") from error
        if not isinstance(shown, dict) or not {"events", "last_id", "missed"} <= set(
            shown
        ):
            raise self._somebody_else("JSON of another form")
        return shown

    async def _require(self, answer: aiohttp.ClientResponse, kind: str) -> None:
        """Raise NoDaemonError unless this is an answer of that kind of a daemon."""
        if answer.status != _OK:
            said = (await answer.content.read(500)).decode(errors="replace").strip()
            words = f", {quoted(said)}" if answer.content_type == "text/plain" else ""
            raise self._somebody_else(f"status {answer.status}{words}")
        if answer.content_type != kind:
            raise self._somebody_else(
                f"an answer of type {quoted(answer.content_type)}"
            )

    def _somebody_else(self, what: str) -> NoDaemonError:
        return NoDaemonError(
            f"at {self._url} there is no reconciler's daemon, or not one that can tell: "
            f"/api/events gave {what}; say by --listen where the daemon listens"
        )


def _why(error: Exception) -> str:
    """Return in the system's own words why there is no connection, where it has some."""
    if isinstance(error, OSError) and error.errno is not None:
        told = os.strerror(error.errno) if error.errno > 0 else error.strerror
        return str(told).lower()
    return quoted(error) if str(error) else "it takes too long"


async def _entries(stream: aiohttp.StreamReader) -> AsyncIterator[Json]:
    """Yield the entries of server-sent events (HTML standard, 9.2.6); skip all else."""
    name, lines = "", list[str]()
    while raw := await stream.readline():
        line = raw.decode(errors="replace").rstrip("\r\n")
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if name == "entry" and lines:
                yield json.loads("\n".join(lines))
            name, lines = "", []
        elif field == "event":
            name = value
        elif field == "data":
            lines.append(value)
