"""``slots --watch``: the map live, in place on a terminal, or as text or JSON that goes on.

Every look reads HAProxy and Docker anew, on connections that stay open. What cannot be read
is said where it happens, and the watch goes on.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, Self, TypeVar

import click

from reconciler.cli import terminal
from reconciler.cli.exits import naming_the_socket
from reconciler.cli.screen import Screen
from reconciler.cli.slot_table import Key, Line, clipped, page
from reconciler.config import Settings
from reconciler.core.model import Unplaced
from reconciler.core.view import SlotRow
from reconciler.errors import printable
from reconciler.inquiry import Lookout, World


T = TypeVar("T")

MARKED_SECONDS = 3.0
"""How long a slot that changed stays highlighted."""

_BLINK_SECONDS = 0.5
"""How late a highlight may end."""

_PASSING = frozenset({"sessions", "requests_per_second", "age_seconds"})
"""What changes all the time: no reason to highlight a slot, or to print another line."""

_LASTING = tuple(name for name in SlotRow.__dataclass_fields__ if name not in _PASSING)


class View(Protocol):
    """What is shown of each reading."""

    def rows(self, world: World) -> list[SlotRow]:
        """Return the slots it is about."""

    def unplaced(self, world: World) -> list[tuple[str, Unplaced]]:
        """Return who has no slot, of those it is about."""

    def lines(
        self, world: World, width: int | None, also: Collection[Key] = frozenset()
    ) -> list[Line]:
        """Return the map as lines that fit a width, None for any."""

    def as_map(self, world: World) -> dict[str, list[dict[str, Any]]]:
        """Return the map as the JSON's object."""


class Told(NamedTuple):
    """What of a reading is worth telling of when it changes."""

    slots: Mapping[Key, tuple[object, ...]]
    unplaced: list[tuple[str, Unplaced]]
    errors: list[str]

    @classmethod
    def of(cls, view: View, world: World) -> Self:
        """Return it, of the slots that the view is about."""
        return cls(
            {
                (row.haproxy, row.backend, row.slot): tuple(
                    getattr(row, name) for name in _LASTING
                )
                for row in view.rows(world)
            },
            view.unplaced(world),
            [naming_the_socket(error) for error in world.errors],
        )


async def watch(
    settings: Settings, view: View, interval: float, *, as_json: bool
) -> None:
    """Show the map every ``interval`` seconds until a key or a signal ends it.

    Raises ConfigError for wrong settings.
    """
    over = asyncio.Event()
    async with Lookout(settings) as lookout:
        with _ended_by_signals(over):
            if terminal.is_terminal() and sys.stdin.isatty() and not as_json:
                await _on_screen(lookout, view, interval, over)
            else:
                await _as_text(lookout, view, interval, over, as_json=as_json)


@contextmanager
def _ended_by_signals(over: asyncio.Event) -> Iterator[None]:
    """Take Ctrl-C, SIGTERM and a closed terminal for the usual way to end."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, over.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _as_text(
    lookout: Lookout,
    view: View,
    interval: float,
    over: asyncio.Event,
    *,
    as_json: bool,
) -> None:
    """Print the map at first, and whenever more changed of it than what always does."""
    before: Told | None = None
    while not over.is_set():
        world = await _unless(over, lookout.look(with_connections=False))
        if world is None:
            return
        told = Told.of(view, world)
        if told != before:
            for error in told.errors:
                if before is None or error not in before.errors:
                    click.echo(f"error: {error}", err=True)
            text = (_as_json_line if as_json else _as_page)(view, world, told)
            click.echo(text, color=True)
            before = told
        await _unless(over, asyncio.sleep(interval))


async def _unless(over: asyncio.Event, coroutine: Coroutine[Any, Any, T]) -> T | None:
    """Await a coroutine; cancel it and return None if the end comes first."""
    doing = asyncio.create_task(coroutine)
    ending = asyncio.create_task(over.wait())
    try:
        await asyncio.wait([doing, ending], return_when=asyncio.FIRST_COMPLETED)
        return doing.result() if doing.done() else None
    finally:
        doing.cancel()
        ending.cancel()
        await asyncio.wait([doing, ending])


def _as_json_line(view: View, world: World, told: Told) -> str:
    shown = {**view.as_map(world), "at": round(time.time(), 3), "errors": told.errors}
    return json.dumps(shown, separators=(",", ":"))


def _as_page(view: View, world: World, _told: Told) -> str:
    return f"--- {clock()} ---\n{page(view.lines(world, terminal.width()))}"


def clock() -> str:
    """Return the time of day."""
    return time.strftime("%H:%M:%S")


async def _on_screen(
    lookout: Lookout, view: View, interval: float, over: asyncio.Event
) -> None:
    """Show the map in place; a look that takes long delays no key."""
    live, loop = Live(view), asyncio.get_running_loop()

    async def look_on() -> None:
        while True:
            live.take(await lookout.look(with_connections=False), loop.time())
            screen.news.set()
            await asyncio.sleep(interval)

    with Screen(over) as screen:
        looking = asyncio.create_task(look_on())
        try:
            while not over.is_set() and not looking.done():
                await _unless(over, screen.wait(_BLINK_SECONDS))
                screen.draw(live.lines(screen.columns, loop.time()), live.status)
        finally:
            looking.cancel()
            await asyncio.wait([looking])
    if not looking.cancelled():
        looking.result()


class Live:
    """What was read last, and what of it is new."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._world: World | None = None
        self._told: Told | None = None
        self._marked: dict[Key, float] = {}
        self._drawn: tuple[object, list[tuple[Line, bool]]] = (None, [])
        self.status = "reading ..."
        """What is said of the reading as a whole."""

    def take(self, world: World, now: float) -> None:
        """Take in a reading at ``now`` on the loop's clock, and mark what is new in it."""
        told, before = Told.of(self._view, world), self._told
        if before is not None:
            # A HAProxy that could not be read had no slots then: they are not new.
            until = now + MARKED_SECONDS
            self._marked |= {
                key: until
                for key, row in told.slots.items()
                if before.slots.get(key, row) != row
            }
            told = told._replace(slots={**before.slots, **told.slots})
        self._marked = {key: at for key, at in self._marked.items() if at > now}
        self._world, self._told, self._drawn = world, told, (None, [])
        self.status = f"{clock()}  q quits"

    def lines(self, width: int, now: float) -> list[tuple[Line, bool]]:
        """Return errors and map as lines that fit a width, and whether each is new.

        They are made once for each reading, however often somebody scrolls.
        """
        if self._world is None or self._told is None:
            return []
        marked = frozenset(key for key, at in self._marked.items() if at > now)
        drawn_from = (width, marked)
        if self._drawn[0] != drawn_from:
            lines = self._lines(self._world, self._told, width, marked)
            self._drawn = (drawn_from, list(lines))
        return self._drawn[1]

    def _lines(
        self, world: World, told: Told, width: int, marked: Collection[Key]
    ) -> Iterator[tuple[Line, bool]]:
        for error in told.errors:
            yield clipped(Line(f"error: {printable(error)}", "red", 0, 6), width), False
        for line in self._view.lines(world, width, marked):
            yield line, line.key in marked
