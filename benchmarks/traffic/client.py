"""Just enough of an HTTP/1.1 client to tell every way in which a request can be lost.

One ``GET`` at a time on a connection, answers with a ``Content-Length``. Nothing is tried
again: what a friendlier client would repeat is counted here.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import NamedTuple

from traffic.records import Failure


KEPT_CONNECTIONS = 20
"""So many connections are kept open, and used in turn."""

OLDEST_IDLE_SECONDS = 5.0
"""A kept connection that idled longer is dropped: well before HAProxy would (10 s)."""

SERVED_BY = b"\r\nx-served-by:"
"""The header that the demo's web service puts on its answers, and nobody else."""


class Answer(NamedTuple):
    """A whole and right answer."""

    status: int
    stopping_ms: int = 0
    """How long ago whoever answered had been told to stop, in milliseconds."""
    cookie: bytes = b""
    """What it is to be told by from now on."""


_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class LostError(Exception):
    """The request got no whole and right answer."""

    def __init__(self, failure: Failure, status: int = 0) -> None:
        """``status`` is the answer's; of a failed connect, the error's number."""
        super().__init__(failure.name)
        self.failure = failure
        self.status = status


class Connection(asyncio.Protocol):
    """One connection, with at most one request on its way."""

    def __init__(self) -> None:
        self.is_open = True
        self.is_reusable = True
        self.idle_since = 0.0
        self._received = b""
        self._answer: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        # Closed by a reset, or each connection would keep its port for another minute: at
        # 500 new ones a second a machine has no port left before that.
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
        )
        self._transport = transport

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request; the future has its answer. Fails with LostError."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        if self.is_open:
            self._transport.write(request)
        else:
            self._fail(Failure.RESET)
        return self._answer

    def data_received(self, data: bytes) -> None:
        """Collect the answer."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        fields = head.lower() + b"\r\n"
        if len(body) < _content_length(fields):
            return
        self._received = b""
        if b"\r\nconnection: close\r\n" in fields:
            self.is_reusable = False
        status = int(head[9:12])
        if self._answer is None or self._answer.done():
            self.close()  # nobody asked for this
        elif status != 200:
            self._fail(Failure.STATUS, status)
        elif SERVED_BY not in fields:
            self._fail(Failure.FOREIGN, status)
        else:
            stopping = _field(fields, b"x-stopping-ms") or b"0"
            cookie = _field(b"\r\n" + head, b"Set-Cookie", b"set-cookie")
            self._answer.set_result(Answer(status, int(stopping), cookie))

    def connection_lost(self, _exception: Exception | None) -> None:
        """Fail the request that is on its way, if there is one."""
        self.is_open = self.is_reusable = False
        self._fail(Failure.TRUNCATED if self._received else Failure.RESET)

    def close(self) -> None:
        """Drop the connection at once."""
        self.is_open = self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, failure: Failure, status: int = 0) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LostError(failure, status))


def _content_length(fields: bytes) -> int:
    return int(_field(fields, b"content-length") or b"0")


def _field(fields: bytes, *names: bytes) -> bytes:
    """Return a header's value up to a semicolon, by the first of these spellings."""
    for name in names:
        _, found, rest = fields.partition(b"\r\n" + name + b":")
        if found:
            return rest.partition(b"\r\n")[0].partition(b";")[0].strip()
    return b""


class Client:
    """Sends requests to one address and port."""

    def __init__(self, host: str, port: int, path: str, *, jars: int = 0) -> None:
        """``jars`` are how many visitors there are, each with a cookie; 0: none has one."""
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: traffic\r\n"
        self._head = head.encode()
        self._jars: list[bytes] = [b""] * jars
        self._turn = 0
        self._host, self._port = host, port
        self._idle: deque[Connection] = deque()
        self._kept = 0

    async def get(self, *, is_kept: bool) -> Answer:
        """Do one request; return its answer. Raises LostError."""
        self._turn += 1
        jar = self._turn % len(self._jars) if self._jars else None
        cookie = b"" if jar is None else self._jars[jar]
        head = self._head + (b"Cookie: " + cookie + b"\r\n" if cookie else b"")
        if is_kept:
            answer = await self._on_kept(head + b"\r\n")
        else:
            answer = await self._on_its_own(head + b"Connection: close\r\n\r\n")
        if jar is not None and answer.cookie:
            self._jars[jar] = answer.cookie
        return answer

    async def _on_its_own(self, request: bytes) -> Answer:
        connection = await self._connect()
        try:
            return await connection.ask(request)
        finally:
            connection.close()

    async def _on_kept(self, request: bytes) -> Answer:
        connection = self._next_idle() or await self._connect()
        self._kept += 1
        try:
            answer = await connection.ask(request)
        except LostError as lost:
            # A whole answer, if not the right one, leaves the connection in order.
            is_whole = lost.failure in (Failure.STATUS, Failure.FOREIGN)
            self._put_back(connection, is_fit=is_whole)
            raise
        except BaseException:
            self._put_back(connection, is_fit=False)
            raise
        self._put_back(connection, is_fit=True)
        return answer

    def _next_idle(self) -> Connection | None:
        """Return the one that idled longest; None while there are too few of them."""
        now = asyncio.get_running_loop().time()
        while self._idle and (
            not self._idle[0].is_open
            or now - self._idle[0].idle_since > OLDEST_IDLE_SECONDS
        ):
            self._idle.popleft().close()
        if len(self._idle) + self._kept < KEPT_CONNECTIONS or not self._idle:
            return None
        return self._idle.popleft()

    def _put_back(self, connection: Connection, *, is_fit: bool) -> None:
        self._kept -= 1
        if is_fit and connection.is_reusable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                Connection, self._host, self._port
            )
        except OSError as error:
            raise LostError(Failure.CONNECT, error.errno or 0) from error
        return connection

    def close(self) -> None:
        """Drop all connections."""
        while self._idle:
            self._idle.pop().close()
