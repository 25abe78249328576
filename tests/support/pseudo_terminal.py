"""A program in a pseudo-terminal: what it draws, the keys it gets, how it leaves it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from tests.support.daemon import clean_environment


WAIT_SECONDS = 15.0
_FRAME = "\x1b[H"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class PseudoTerminal:
    """``python -m reconciler ARGUMENTS`` in a terminal of a size."""

    def __init__(
        self,
        *arguments: str,
        columns: int = 120,
        lines: int = 30,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._arguments = arguments
        self._environment = {"TERM": "xterm", **(environment or {})}
        self._size = (columns, lines)
        self._inner, self._outer = -1, -1
        self._news = asyncio.Event()
        self.drawn = ""
        """Everything that it wrote."""

    async def __aenter__(self) -> Self:
        """Start it."""
        self._outer, self._inner = pty.openpty()
        self._set_size(*self._size)
        self._before = termios.tcgetattr(self._inner)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "reconciler", *self._arguments),
            stdin=self._inner,
            stdout=self._inner,
            stderr=self._inner,
            env=clean_environment(self._environment),
            start_new_session=True,
        )
        asyncio.get_running_loop().add_reader(self._outer, self._read)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Kill what is left of it."""
        asyncio.get_running_loop().remove_reader(self._outer)
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        os.close(self._outer)
        os.close(self._inner)

    def _read(self) -> None:
        self.drawn += os.read(self._outer, 1 << 16).decode(errors="replace")
        self._news.set()

    def _set_size(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._outer, termios.TIOCSWINSZ, size)

    def resize(self, columns: int, lines: int) -> None:
        """Change its size, and say so as a terminal does."""
        self._set_size(columns, lines)
        self._process.send_signal(signal.SIGWINCH)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._outer, keys.encode())

    def interrupt(self) -> None:
        """Send what Ctrl-C sends."""
        self._process.send_signal(signal.SIGINT)

    @property
    def frame(self) -> str:
        """The last whole picture, with its styles."""
        frames = self.drawn.split(_FRAME)
        whole = [one for one in frames[1:] if "\x1b[J" in one]
        return whole[-1] if whole else ""

    @property
    def lines(self) -> list[str]:
        """The last whole picture as lines of text."""
        text = self.frame.partition("\x1b[J")[0]
        return [line.rstrip() for line in _CONTROL.sub("", text).split("\r\n")]

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal's settings are those from before."""
        return termios.tcgetattr(self._inner) == self._before

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Return once a condition holds. Raises AssertionError where it does not in time."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            shown = "\n".join(self.lines)
            raise AssertionError(f"not seen: {what}; it shows:\n{shown}") from error

    async def until_shown(self, text: str) -> None:
        """Return once a text is in the picture."""
        await self.until(lambda: text in "\n".join(self.lines), text)

    async def ended(self) -> int:
        """Return its exit code, once it ended."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self._process.wait()
