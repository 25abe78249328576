"""``slots --watch``: the map live, in place on a terminal, or as text or JSON that goes on.

Every look reads HAProxy and Docker anew, on connections that stay open. What cannot be read
is said where it happens, and the watch goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import click
from rich.console import Console
from rich.control import Control
from rich.text import Text

from reconciler.cli.render import console
from reconciler.cli.slot_table import Line
from reconciler.config import Settings
from reconciler.core.view import SlotRow
from reconciler.inquiry import Lookout, World


MARKED_SECONDS = 3.0
"""How long a slot that changed stays highlighted."""

_HOME = Control.home()

_PASSING = frozenset({"sessions", "requests_per_second", "age_seconds"})
"""What changes all the time: no reason to highlight a slot, or to print another line."""


class View(Protocol):
    """What is shown of each reading."""

    def rows(self, world: World) -> list[SlotRow]:
        """Return the slots it is about."""

    def lines(self, world: World, width: int | None) -> list[Line]:
        """Return the map as lines that fit a width, None for any."""

    def as_map(self, world: World) -> dict[str, list[dict[str, Any]]]:
        """Return the map as the JSON's object."""


async def watch(
    settings: Settings, view: View, interval: float, *, as_json: bool
) -> None:
    """Show the map every ``interval`` seconds until it is ended from outside.

    Raises ConfigError for wrong settings.
    """
    with suppressed_interrupt():
        async with Lookout(settings) as lookout:
            if sys.stdout.isatty() and sys.stdin.isatty() and not as_json:
                await _on_screen(lookout, view, interval)
            else:
                await _as_text(lookout, view, interval, as_json=as_json)


@contextmanager
def suppressed_interrupt() -> Iterator[None]:
    """Take Ctrl-C for the usual way to end."""
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError):
        return


async def _as_text(
    lookout: Lookout, view: View, interval: float, *, as_json: bool
) -> None:
    """Print the map at first, and whenever more changed of it than what always does."""
    before: object = None
    while True:
        world = await lookout.look()
        told = [_lasting(row) for row in view.rows(world)]
        errors = [str(error) for error in world.errors]
        signature = (told, world.unplaced(), errors)
        if signature != before:
            before = signature
            for error in errors:
                click.echo(f"error: {error}", err=True)
            if as_json:
                click.echo(json.dumps(view.as_map(world), separators=(",", ":")))
            else:
                lines = [line.text for line in view.lines(world, None)]
                click.echo("\n".join([f"--- {_clock()}", *lines]).rstrip("\n"))
        await asyncio.sleep(interval)


def _lasting(row: SlotRow) -> tuple[object, ...]:
    """Return what of a row is worth telling of when it changes."""
    return tuple(getattr(row, name) for name in _LASTING)


_LASTING = tuple(name for name in SlotRow.__dataclass_fields__ if name not in _PASSING)


def _clock() -> str:
    return time.strftime("%H:%M:%S")


async def _on_screen(lookout: Lookout, view: View, interval: float) -> None:
    screen = Screen(console(), view)
    wake = asyncio.Event()
    loop = asyncio.get_running_loop()
    with _keys(loop, screen, wake), screen.out.screen(hide_cursor=True):
        while not screen.is_over:
            screen.take(await lookout.look(), loop.time())
            until = loop.time() + interval
            while loop.time() < until:
                screen.draw(loop.time())
                wake.clear()
                try:
                    async with asyncio.timeout_at(until):
                        await wake.wait()
                except TimeoutError:
                    break
                if screen.is_over:
                    break


@contextmanager
def _keys(
    loop: asyncio.AbstractEventLoop, screen: Screen, wake: asyncio.Event
) -> Iterator[None]:
    """Read single keys and changes of size, and leave the terminal as it was."""
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)

    def pressed() -> None:
        screen.press(os.read(stdin, 64))
        wake.set()

    def stopped() -> None:
        screen.end()
        wake.set()

    tty.setcbreak(stdin)
    loop.add_reader(stdin, pressed)
    loop.add_signal_handler(signal.SIGWINCH, wake.set)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped)
    try:
        yield
    finally:
        loop.remove_reader(stdin)
        for number in (signal.SIGWINCH, signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)


class Screen:
    """The map in place: what was read last, what of it is new, and which part shows."""

    def __init__(self, out: Console, view: View) -> None:
        """``out`` is the terminal."""
        self.out = out
        self.is_over = False
        self._view = view
        self._world: World | None = None
        self._told: dict[tuple[str, str, str], tuple[object, ...]] = {}
        self._marked: dict[tuple[str, str, str], float] = {}
        self._top = 0
        self._read_at = ""
        self._actions: dict[bytes, Callable[[], None]] = {
            b"q": self.end,
            b"\x03": self.end,
            b"j": lambda: self._scroll(1),
            b"\x1b[B": lambda: self._scroll(1),
            b"k": lambda: self._scroll(-1),
            b"\x1b[A": lambda: self._scroll(-1),
            b" ": lambda: self._scroll(self._page),
            b"\x1b[6~": lambda: self._scroll(self._page),
            b"b": lambda: self._scroll(-self._page),
            b"\x1b[5~": lambda: self._scroll(-self._page),
            b"g": lambda: self._scroll(-(1 << 30)),
        }

    @property
    def _page(self) -> int:
        return max(1, self.out.size.height - 2)

    def press(self, keys: bytes) -> None:
        """Take in a key; one that means nothing changes nothing."""
        action = self._actions.get(keys)
        if action is not None:
            action()

    def end(self) -> None:
        """Come to an end."""
        self.is_over = True

    def _scroll(self, lines: int) -> None:
        self._top = max(0, self._top + lines)

    def take(self, world: World, now: float) -> None:
        """Take in a reading at ``now`` on the loop's clock, and mark what is new in it."""
        told = {
            (row.haproxy, row.backend, row.slot): _lasting(row)
            for row in self._view.rows(world)
        }
        if self._world is not None:
            for key, row in told.items():
                if key in self._told and self._told[key] != row:
                    self._marked[key] = now + MARKED_SECONDS
        self._told |= told
        self._world = world
        self._read_at = _clock()

    def draw(self, now: float) -> None:
        """Show as much as fits the terminal as it is now."""
        if self._world is None:
            return
        width, height = self.out.size.width, self.out.size.height
        errors = [f"error: {error}" for error in self._world.errors]
        lines = self._view.lines(self._world, width)
        room = max(1, height - 1 - len(errors))
        self._top = min(self._top, max(0, len(lines) - room))
        shown = lines[self._top : self._top + room]
        hidden = len(lines) - len(shown)
        texts = [_cropped(Text(error, style="bold red"), width) for error in errors]
        texts += [self._text(line, now) for line in shown]
        texts += [Text("")] * (height - 1 - len(texts))
        texts.append(self._status(hidden, width))
        self.out.control(_HOME)
        self.out.print(
            Text("\n").join(texts),
            end="",
            soft_wrap=False,
            overflow="crop",
            no_wrap=True,
        )

    def _text(self, line: Line, now: float) -> Text:
        text = Text(line.text)
        if line.style:
            text.stylize(line.style, line.start, line.end)
        if line.key is not None and self._marked.get(line.key, 0.0) > now:
            text.stylize("reverse")
        return text

    def _status(self, hidden: int, width: int) -> Text:
        more = f"  {hidden} more lines: arrows, space" if hidden else ""
        return _cropped(Text(f"{self._read_at}  q ends{more}", style="dim"), width)


def _cropped(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    return text
