"""``events``: follow what happens to the map, live from the daemon."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import stat
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import click
from rich.console import Console

from reconciler.cli.complete import complete_backend
from reconciler.cli.event_lines import event_line
from reconciler.cli.exits import fail, say
from reconciler.cli.follow import Follower
from reconciler.cli.moments import Moment
from reconciler.cli.options import AS_JSON, with_settings
from reconciler.cli.page import Page
from reconciler.cli.render import console, place
from reconciler.config import Settings
from reconciler.journal import NEWS
from reconciler.metrics import KINDS


_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound: dialled
"""Who listens on every address is asked on the loopback."""


class _Wanted(NamedTuple):
    """Which entries are shown; nothing named means all."""

    backends: Collection[str]
    kinds: Collection[str]

    def has(self, entry: dict[str, Any]) -> bool:
        """Whether an entry is one of them."""
        is_there = not self.backends or entry["backend"] in self.backends
        return is_there and (not self.kinds or entry["kind"] in self.kinds)


@click.command(cls=Page)
@click.option(
    "--since",
    type=Moment(),
    metavar="TIME",
    help="Begin with what was remembered since then: 90s, 10m, 2h, 1d ago, or an ISO time.",
)
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_backend,
    help="Only this backend. Repeat for several.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([*KINDS, *NEWS]),
    metavar="KIND",
    help="Only events of this kind, such as assign or unplaced. Repeat for several.",
)
@click.option(
    "--no-follow",
    is_flag=True,
    help="Print what is remembered (all of it, or --since) and end.",
)
@AS_JSON
@with_settings
def events(
    *,
    settings: Settings,
    since: float | None,
    backends: tuple[str, ...],
    kinds: tuple[str, ...],
    no_follow: bool,
    as_json: bool,
) -> None:
    """Follow what happens to the map, with the reason for each change.

    This asks the daemon at --listen, so it has to be running; of all commands only this
    one needs it. When the daemon restarts, this goes on with the new one.

    + gives a slot to a container, - takes it away, ~ changes something else of a slot,
    ! is trouble, * is news. Behind it stand the reason, and how long it took from Docker's
    event.
    """
    if no_follow and since is None:
        since = 0.0
    printer = _Printer(settings, _Wanted(backends, kinds), as_json=as_json)
    with suppress(KeyboardInterrupt):
        asyncio.run(_show(settings, since, printer, is_endless=not no_follow))


async def _show(
    settings: Settings, since: float | None, printer: _Printer, *, is_endless: bool
) -> None:
    follower = Follower(daemon_url(settings), tell=lambda text: say(f"note: {text}"))
    async with _until_nobody_reads() as stop:
        for entry in await follower.remembered(since):
            printer.show(entry)
        if not is_endless:
            return
        reading = asyncio.create_task(_each(follower.follow(), printer))
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if reading.done():
            reading.result()
        reading.cancel()


async def _each(entries: AsyncIterator[dict[str, Any]], printer: _Printer) -> None:
    async for entry in entries:
        printer.show(entry)


class _Printer:
    """Prints entries as they come, each at once."""

    def __init__(self, settings: Settings, wanted: _Wanted, *, as_json: bool) -> None:
        self._wanted = wanted
        self._as_json = as_json
        self._own = settings.haproxy
        self._out: Console = console()

    def show(self, entry: dict[str, Any]) -> None:
        """Print an entry, if it is wanted."""
        if not self._wanted.has(entry):
            return
        if self._as_json:
            click.echo(json.dumps(entry))
            return
        today = dt.datetime.now().astimezone().date()
        is_named = self._own != (entry["haproxy"],)
        self._out.print(event_line(entry, today=today, with_haproxy=is_named))
        sys.stdout.flush()


@asynccontextmanager
async def _until_nobody_reads() -> AsyncIterator[asyncio.Event]:
    """Yield an event that is set once whoever read our pipe has gone (``| head``).

    Else that would only be noticed with the next entry, which may take hours.
    """
    gone, loop = asyncio.Event(), asyncio.get_running_loop()
    with suppress(OSError, ValueError, AttributeError):
        mode = os.fstat(sys.stdout.fileno()).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            # The writing end of a pipe has nothing to be read but its end.
            loop.add_reader(sys.stdout.fileno(), gone.set)
    try:
        yield gone
    finally:
        with suppress(OSError, ValueError, AttributeError):
            loop.remove_reader(sys.stdout.fileno())


def daemon_url(settings: Settings) -> str:
    """Return where the daemon can be asked. Ends with 1 where it listens nowhere."""
    if settings.listen is None:
        fail(
            "the daemon listens nowhere (--listen off): there is nobody to ask; give it an "
            "address by --listen HOST:PORT"
        )
    host, port = settings.listen
    return f"http://{place(_ANYWHERE.get(host, host), port)}"
