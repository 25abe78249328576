"""GET over a unix socket, on the event loop: what stands between an event and its effect.

docker-py does this in a thread, with a request object, an adapter, and a hand-over to and from
the loop for each; that takes longer than the engine's own answer (docs/decisions/0023). Here a
few connections are kept open, answers are parsed by llhttp (httptools), and no thread is woken.

A connection that was kept open may be closed by the other side at any time. Then a question is
asked once more on a new one: all of them are GETs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import httptools


MOST_CONNECTIONS = 4
"""So many questions are asked at once; others wait. An engine answers an inspect in half a
millisecond, and more of them would only fight for its processors."""

MOST_WAITING_BYTES = 256 * 1024
"""Of an answer that is read in parts: more is left in the socket until these were taken."""


LINES_AT_ONCE = 100
"""So many lines of a stream are handed out in one go, if so many have come. Then the loop may
turn; and what does not fit into the socket meanwhile waits in the engine."""

AT_ONCE_BYTES = 16384
"""As much of a stream is handed out where it is received: some 25 events, 2 ms."""


class HttpError(Exception):
    """There is no whole answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer."""

    status: int
    body: bytes


class _Connection(asyncio.Protocol):
    """One connection; one question at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._is_paused = False
        self._has_head = self._is_whole = False
        self._error: Exception | None = None
        self._keeps_alive = self._is_framed = False
        self.is_open = False
        self.on_part: Callable[[bytes], bool] | None = None
        """Takes a piece of the body at once, if it can."""
        self._is_small = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type
        self._transport = transport
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        self._is_small = len(data) <= AT_ONCE_BYTES
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(HttpError(f"no HTTP answer: {error}"))
        if self.on_part is None or self._chunks or self._is_whole or self._error:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._has_head and not self._is_framed and exc is None:
            self._is_whole = True  # such an answer ends with its connection
        if not self._is_whole and self._error is None:
            self._error = exc or HttpError("the connection ended within the answer")
        self._wake()

    # What the parser calls.

    def on_header(self, name: bytes, _value: bytes) -> None:
        """One header is there."""
        self._is_framed |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        """The head of the answer is there."""
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body is there."""
        is_next = self._is_small and not self._chunks
        if is_next and self.on_part is not None and self.on_part(body):
            return
        self._chunks.append(body)
        self._waiting_bytes += len(body)
        if self._waiting_bytes > MOST_WAITING_BYTES and not self._is_paused:
            self._is_paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._is_whole = True
        self._keeps_alive = self._parser.should_keep_alive()

    # What whoever asks calls.

    def ask(self, target: str) -> None:
        """Send the one request."""
        assert self._transport is not None  # noqa: S101 - it is open
        self._chunks.clear()
        self._waiting_bytes = 0
        self._has_head = self._is_whole = self._is_framed = False
        self._error = None
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(
            f"GET {target} HTTP/1.1\r\nHost: docker\r\nAccept: application/json\r\n"
            "\r\n".encode("ascii")
        )

    @property
    def has_begun(self) -> bool:
        """Whether anything of the answer came."""
        return self._has_head

    @property
    def may_be_kept(self) -> bool:
        """Whether another question may follow."""
        return self.is_open and self._is_whole and self._keeps_alive

    async def head(self) -> int:
        """Wait for the status."""
        while not self._has_head:
            await self._news()
        return int(self._parser.get_status_code())

    async def part(self) -> bytes:
        """Return the next piece of the body, as it comes; nothing at its end."""
        while not self._chunks:
            if self._is_whole:
                return b""
            self.read_on()
            await self._news()
        part = self._chunks.popleft()
        self._waiting_bytes -= len(part)
        return part

    async def answer(self, timeout_seconds: float) -> Answer:
        """Wait for the whole answer; at most so long for each piece of it."""
        loop = asyncio.get_running_loop()
        while not self._is_whole:
            if self._error is not None:
                raise self._error
            self.read_on()  # all of it is wanted
            timer = loop.call_later(timeout_seconds, self._time_out, timeout_seconds)
            try:
                await self._news()
            finally:
                timer.cancel()
        return Answer(int(self._parser.get_status_code()), b"".join(self._chunks))

    def read_on(self) -> None:
        """Read the socket again, where too much waited."""
        if self._is_paused and self.is_open and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    def _time_out(self, seconds: float) -> None:
        self._fail(TimeoutError(f"timed out after {seconds:g} s"))
        self._wake()

    async def whole(self) -> bytes:
        """Wait for the whole body."""
        parts: list[bytes] = []
        while part := await self.part():
            parts.append(part)
        return b"".join(parts)

    async def _news(self) -> None:
        if self._error is not None and not self._chunks:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._error = error
        self.close()

    def close(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()


class UnixHttp:
    """An HTTP server behind a unix socket, asked by a few kept connections.

    Methods raise OSError where nobody listens, TimeoutError where nothing comes for
    ``timeout_seconds``, and HttpError for what is no whole answer.
    """

    def __init__(self, path: str, *, timeout_seconds: float) -> None:
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._places = asyncio.Semaphore(MOST_CONNECTIONS)

    async def get(self, target: str) -> Answer:
        """Return the whole answer to one GET.

        This is what an event waits for, so it does without scopes and generators: a timer
        that is put off whenever something comes.
        """
        async with self._places:
            while self._idle:
                connection = self._idle.pop()
                if connection.is_open:
                    try:
                        return await self._whole(connection, target)
                    except TimeoutError:
                        raise
                    except (OSError, HttpError):
                        if connection.has_begun:
                            raise
                        continue  # it was closed while nobody looked
                self._drop(connection)
            return await self._whole(await self._connected(), target)

    async def _whole(self, connection: _Connection, target: str) -> Answer:
        try:
            connection.ask(target)
            return await connection.answer(self._timeout_seconds)
        finally:
            self._give_back(connection)

    async def get_parts(self, target: str) -> AsyncGenerator[bytes | int]:
        """Yield the status of the answer to one GET, then its body as it comes."""
        async with self._places:
            connection, status = await self._asked(target)
            try:
                yield status
                while True:
                    async with self._patience():
                        part = await connection.part()
                    if not part:
                        return
                    yield part
            finally:
                self._give_back(connection)

    async def follow(self, target: str) -> tuple[int, Stream]:
        """Return the status of an endless answer, and its body: on a connection of its own."""
        connection = await self._connected()
        try:
            connection.ask(target)
            async with self._patience():
                status = await connection.head()
        except BaseException:
            self._drop(connection)
            raise
        return status, Stream(connection, lambda: self._drop(connection))

    def close(self) -> None:
        """Close all connections."""
        self._idle.clear()
        for connection in list(self._open):
            self._drop(connection)

    async def _asked(self, target: str) -> tuple[_Connection, int]:
        """Ask on a kept connection if there is one; return it with the answer's status."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_open:
                self._drop(connection)
                continue
            try:
                return connection, await self._head(connection, target)
            except TimeoutError:
                raise
            except (OSError, HttpError):
                if connection.has_begun:
                    raise
                # It was closed while nobody looked: ask again, on another.
        connection = await self._connected()
        return connection, await self._head(connection, target)

    async def _head(self, connection: _Connection, target: str) -> int:
        try:
            connection.ask(target)
            async with self._patience():
                return await connection.head()
        except BaseException:
            self._drop(connection)
            raise

    async def _connected(self) -> _Connection:
        loop = asyncio.get_running_loop()
        async with self._patience():
            _, connection = await loop.create_unix_connection(_Connection, self._path)
        self._open.add(connection)
        return connection

    @asynccontextmanager
    async def _patience(self) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except TimeoutError as error:
            raise TimeoutError(
                f"timed out after {self._timeout_seconds:g} s"
            ) from error

    def _give_back(self, connection: _Connection) -> None:
        if connection.may_be_kept:
            # The end of an answer may come while its beginning still waits to be taken.
            connection.read_on()
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._open.discard(connection)
        connection.close()


class Stream:
    """The body of an answer that does not end by itself."""

    def __init__(self, connection: _Connection, drop: Callable[[], None]) -> None:
        self._connection = connection
        self._drop = drop
        self._line = b""
        """The beginning of a line whose end did not come yet."""
        self._is_taking = False
        self._error: Exception | None = None

    async def each(self, take: Callable[[bytes], None]) -> None:
        """Hand out each whole line, until either side has ended the answer.

        A line that comes alone is handed out where it is received, as an event waits for
        it. Of many at once the loop turns after some. What ``take`` raises ends it.
        """
        self._connection.on_part = partial(self._take_at_once, take)
        with suppress(OSError, HttpError):
            while part := await self._connection.part():
                self._is_taking = True
                for number, line in enumerate(self._lines_of(part), 1):
                    take(line)
                    if number % LINES_AT_ONCE == 0:
                        await asyncio.sleep(0)
                self._is_taking = False
        if self._error is not None:
            raise self._error

    def _take_at_once(self, take: Callable[[bytes], None], part: bytes) -> bool:
        """Take a part, unless others wait; return whether that was done."""
        if self._is_taking:
            return False
        try:
            for line in self._lines_of(part):
                take(line)
        except Exception as error:  # noqa: BLE001 - it is raised where the stream is awaited
            self._error = error
            self._connection.close()
        return True

    def _lines_of(self, part: bytes) -> list[bytes]:
        *lines, self._line = (self._line + part).split(b"\n")
        return lines

    async def rest(self) -> bytes:
        """Return the body to its end, of an answer that is no stream after all."""
        return await self._connection.whole()

    def close(self) -> None:
        """End it; :meth:`each` ends then."""
        self._drop()
