"""A terminal that is drawn in place: keys, size, scrolling, and as it was before at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from reconciler.cli import terminal
from reconciler.cli.slot_table import Line, clipped, styled


_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The alternate screen without a cursor, and back (xterm control sequences)."""

_HOME, _END_OF_LINE, _END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_DIM, _REVERSE, _PLAIN = "\x1b[2m", "\x1b[7m", "\x1b[0m"
_MARK = "*"
"""Stands before what is new: a terminal may show no reverse."""


class Screen:
    """Standard output as a screen, for the length of a block."""

    def __init__(self, over: asyncio.Event) -> None:
        """``over`` is set when a key asks for the end."""
        self.news = asyncio.Event()
        """Set when there is something to draw."""
        self._over = over
        self._top = 0
        self._before: list[Any] = []
        self._has_colours = terminal.has_colours()
        self._actions: Mapping[bytes, Callable[[], None]] = {
            b"q": over.set,
            b"Q": over.set,
            **dict.fromkeys((b"j", b"\x1b[B", b"\x1bOB"), lambda: self._scroll(1)),
            **dict.fromkeys((b"k", b"\x1b[A", b"\x1bOA"), lambda: self._scroll(-1)),
            **dict.fromkeys((b" ", b"\x1b[6~"), lambda: self._scroll(self._page)),
            **dict.fromkeys((b"b", b"\x1b[5~"), lambda: self._scroll(-self._page)),
            **dict.fromkeys((b"g", b"\x1b[H"), lambda: self._scroll(-(1 << 30))),
            **dict.fromkeys((b"G", b"\x1b[F"), lambda: self._scroll(1 << 30)),
        }

    def __enter__(self) -> Self:
        """Take the terminal over."""
        stdin, loop = sys.stdin.fileno(), asyncio.get_running_loop()
        self._before = termios.tcgetattr(stdin)
        tty.setcbreak(stdin)
        loop.add_reader(stdin, self._pressed)
        loop.add_signal_handler(signal.SIGWINCH, self.news.set)
        # A stopped program would leave its screen to the shell.
        loop.add_signal_handler(signal.SIGTSTP, self.news.set)
        _write(_ENTER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        stdin, loop = sys.stdin.fileno(), asyncio.get_running_loop()
        loop.remove_reader(stdin)
        for number in (signal.SIGWINCH, signal.SIGTSTP):
            loop.remove_signal_handler(number)
        with suppress(OSError, termios.error):  # the terminal itself may have gone
            _write(_LEAVE)
            termios.tcsetattr(stdin, termios.TCSADRAIN, self._before)

    @property
    def columns(self) -> int:
        """How wide it is now."""
        return shutil.get_terminal_size().columns

    @property
    def _page(self) -> int:
        return max(1, shutil.get_terminal_size().lines - 2)

    def _scroll(self, lines: int) -> None:
        self._top = max(0, self._top + lines)
        self.news.set()

    def _pressed(self) -> None:
        try:
            keys = os.read(sys.stdin.fileno(), 64)
        except OSError:
            keys = b""
        if not keys:  # the terminal has gone
            self._over.set()
        action = self._actions.get(keys) or self._actions.get(keys[:1])
        if action is not None:
            action()

    async def wait(self, seconds: float) -> None:
        """Return when there are news, or after some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.news.wait()
        self.news.clear()

    def draw(self, lines: Sequence[tuple[Line, bool]], status: str) -> None:
        """Show as many lines as fit, those that are new highlighted, and a last one."""
        size = shutil.get_terminal_size()
        room = max(1, size.lines - 1)
        self._top = min(self._top, max(0, len(lines) - room))
        shown = lines[self._top : self._top + room]
        hidden = len(lines) - len(shown)
        if hidden:
            last = self._top + len(shown)
            status += f"  lines {self._top + 1}-{last} of {len(lines)}, {hidden} more: "
            status += "arrows, space, b, g, G"
        texts = [
            _highlighted(line)
            if is_new
            else styled(line, has_colours=self._has_colours)
            for line, is_new in shown
        ]
        texts += [""] * (room - len(texts))
        last_line = clipped(Line(status), size.columns).text
        texts.append(f"{_DIM}{last_line}{_PLAIN}")
        drawn = f"{_END_OF_LINE}\r\n".join(texts)
        _write(f"{_HOME}{drawn}{_END_OF_LINE}{_END_OF_SCREEN}")


def _highlighted(line: Line) -> str:
    return f"{_REVERSE}{_MARK}{line.text[1:]}{_PLAIN}"


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
