"""A relay in front of a real runtime socket that passes bytes on, and goes wrong on demand.

It knows as much of the prompt session as it must: HAProxy answers each line with one prompt
(see ``reconciler.haproxy.protocol``), so a line that is refused here, and never reaches
HAProxy, is answered when its turn among the replies has come.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple, Self


PROMPT = re.compile(rb"\n> ")
NO_SUCH_SERVER = "[3]: No such server."
"""What HAProxy answers to ``set server`` for a server that it does not have."""


class Bent(NamedTuple):
    """What becomes of a piece of a reply."""

    sent: bytes
    is_cut: bool = False
    """Whether the connection ends after it."""
    late_seconds: float = 0.0


@dataclass(slots=True)
class _Bend:
    """A fault of the next pieces that come after a line that begins with ``after``."""

    name: str
    bend: Callable[[bytes], Bent]
    after: str
    remaining: int
    is_due: bool = False


@dataclass(slots=True)
class _Refusal:
    """Lines that match this shell pattern are not passed on, but answered by this text."""

    lines: str
    answer: str
    remaining: int


class FaultSocket:
    """Listens on ``path`` and relays to HAProxy's runtime socket, both unix sockets.

    All of it belongs to one event loop. Each fault is counted in ``hits`` when it happens;
    ``hit`` waits for that.
    """

    def __init__(self, path: Path, haproxy: Path) -> None:
        self.path = path
        self.hits: Counter[str] = Counter()
        self._haproxy = haproxy
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._stall_at = ""
        self._bends: list[_Bend] = []
        self._refusals: list[_Refusal] = []
        self._relays: dict[asyncio.Task[None], _Relay] = {}
        self._news = asyncio.Event()

    @property
    def url(self) -> str:
        """Where to connect instead of to HAProxy."""
        return f"unix://{self.path}"

    async def __aenter__(self) -> Self:
        """Listen."""
        await self.accept()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """End everything."""
        await self.refuse_connections()
        self.hang_up()
        await asyncio.gather(*self._relays, return_exceptions=True)
        self.path.unlink(missing_ok=True)

    def stall(self, *, at: str = "") -> None:
        """Accept and take everything, but deliver nothing, in neither direction.

        It begins now, or with the first line that matches the shell pattern ``at``. What was
        sent meanwhile is delivered afterwards, even where who sent it has given up: so does
        a HAProxy that was stuck.
        """
        self._stall_at = at
        if not at:
            self._flowing.clear()

    def resume(self) -> None:
        """Deliver what was held back, and go on."""
        self._stall_at = ""
        self._flowing.set()

    def hang_up(self) -> None:
        """Break every open connection now."""
        for task, relay in list(self._relays.items()):
            self.count("hang up")
            relay.abort()
            task.cancel()

    def cut(self, *, after: str = "") -> None:
        """Break the connection in the middle of a reply: the next after such a line."""

        def bend(piece: bytes) -> Bent:
            return Bent(piece[: len(piece) // 2], is_cut=True)

        self._arm("cut", bend, after, 1)

    def garble(self, garbage: bytes, *, after: str = "") -> None:
        """Put these bytes into the middle of a reply."""

        def bend(piece: bytes) -> Bent:
            middle = len(piece) // 2
            return Bent(piece[:middle] + garbage + piece[middle:])

        self._arm("garble", bend, after, 1)

    def delay(self, seconds: float, *, after: str = "", count: int = 1) -> None:
        """Deliver the next pieces of replies this much later each."""
        self._arm(
            "delay", lambda piece: Bent(piece, late_seconds=seconds), after, count
        )

    def refuse(
        self, lines: str, *, answer: str = NO_SUCH_SERVER, count: int = 1
    ) -> None:
        """Swallow the next lines that match a shell pattern, and answer as a refusal does."""
        self._refusals.append(_Refusal(lines, answer, count))

    async def refuse_connections(self) -> None:
        """Go on as a dead HAProxy does: the file is there, and nobody listens."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def accept(self) -> None:
        """Take new connections (again)."""
        if self._server is None:
            self.path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def behave(self) -> None:
        """End every fault."""
        self._bends.clear()
        self._refusals.clear()
        self.resume()
        await self.accept()

    async def hit(self, name: str, count: int = 1) -> None:
        """Return once this fault has happened so often."""
        while self.hits[name] < count:
            await self._news.wait()

    async def drained(self, *, left: int = 1) -> None:
        """Return once no more connections than that are left: what came late has come."""
        while len(self._relays) > left:
            await self._news.wait()

    def _arm(
        self, name: str, bend: Callable[[bytes], Bent], after: str, count: int
    ) -> None:
        self._bends.append(_Bend(name, bend, after, count, is_due=not after))

    def count(self, name: str) -> None:
        """Note that a fault happened."""
        self.hits[name] += 1
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def flow(self) -> None:
        """Return when bytes may pass."""
        if not self._flowing.is_set():
            self.count("stall")
            await self._flowing.wait()

    def look(self, line: str) -> None:
        """Begin the stall that waits for such a line."""
        if self._stall_at and fnmatchcase(line, self._stall_at):
            self.stall()

    def refusal_of(self, line: str) -> str | None:
        """Return how a line is to be refused, None where it is to be passed on."""
        for refusal in self._refusals:
            if refusal.remaining and fnmatchcase(line, refusal.lines):
                refusal.remaining -= 1
                self.count("refuse")
                return refusal.answer
        for bend in self._bends:
            bend.is_due = bend.is_due or line.startswith(bend.after)
        return None

    def bent(self, piece: bytes) -> Bent:
        """Return what becomes of a piece of a reply."""
        for bend in self._bends:
            if bend.is_due and bend.remaining:
                bend.remaining -= 1
                self.count(bend.name)
                return bend.bend(piece)
        return Bent(piece)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        relay = _Relay(self, reader, writer)
        self._relays[task] = relay
        try:
            # Cancelled only by ``hang_up``; ended here, so that asyncio does not report it.
            with suppress(asyncio.CancelledError, OSError):
                await relay.run(self._haproxy)
        finally:
            relay.abort()
            del self._relays[task]
            self._tell()


class _Relay:
    """One connection from the daemon, and the one to HAProxy that belongs to it."""

    def __init__(
        self,
        socket: FaultSocket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._socket = socket
        self._reader = reader
        self._writer = writer
        self._to_haproxy: asyncio.StreamWriter | None = None
        self._turns: deque[str | None] = deque()
        """For each line without an answer: None where HAProxy gives it, else the answer."""
        self._carry = b""
        self._ready = asyncio.Queue[bytes]()

    async def run(self, haproxy: Path) -> None:
        """Relay until either side ends."""
        await self._socket.flow()
        reader, self._to_haproxy = await asyncio.open_unix_connection(haproxy)
        replies = asyncio.create_task(self._replies(reader))
        ends = [
            asyncio.create_task(self._requests(self._to_haproxy)),
            asyncio.create_task(self._deliver()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (replies, *ends):
                task.cancel()
            await asyncio.gather(replies, *ends, return_exceptions=True)

    def abort(self) -> None:
        """Break both connections."""
        self._writer.transport.abort()
        if self._to_haproxy is not None:
            self._to_haproxy.close()

    async def _requests(self, to_haproxy: asyncio.StreamWriter) -> None:
        while line := await self._reader.readline():
            text = line.decode("ascii", "replace").rstrip("\n")
            self._socket.look(text)
            await self._socket.flow()
            answer = self._socket.refusal_of(text)
            self._turns.append(answer)
            if answer is None:
                to_haproxy.write(line)
                await to_haproxy.drain()
            else:
                self._answer_refusals()

    async def _replies(self, reader: asyncio.StreamReader) -> None:
        try:
            while received := await reader.read(65536):
                self._take_in(received)
        finally:
            self._ready.put_nowait(b"")

    def _take_in(self, received: bytes) -> None:
        """Queue what HAProxy said, with our own refusals where it is their turn."""
        text, start = self._carry + received, len(self._carry)
        for prompt in PROMPT.finditer(text):
            self._ready.put_nowait(text[start : prompt.end()])
            start = prompt.end()
            if self._turns:
                self._turns.popleft()
            self._answer_refusals()
        if start < len(text):
            self._ready.put_nowait(text[start:])
        self._carry = text[-2:]

    def _answer_refusals(self) -> None:
        while self._turns and self._turns[0] is not None:
            answer = self._turns.popleft()
            self._ready.put_nowait(f"{answer}\n\n> ".encode())

    async def _deliver(self) -> None:
        """Send pieces of replies to the daemon; an empty one is the end."""
        while piece := await self._ready.get():
            bent = self._socket.bent(piece)
            await asyncio.sleep(bent.late_seconds)
            await self._socket.flow()
            self._writer.write(bent.sent)
            await self._writer.drain()
            if bent.is_cut:
                return
