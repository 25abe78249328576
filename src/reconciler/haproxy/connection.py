"""One connection to a runtime socket: asyncio on one side, the protocol on the other.

Everything that the operating system can raise is turned into this package's errors here.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from reconciler.errors import (
    ConfigError,
    ConnectError,
    RemoteProtocolError,
    ReplyTimeoutError,
    RuntimeSocketError,
)
from reconciler.haproxy.address import Address
from reconciler.haproxy.protocol import OneShotReply, Session
from reconciler.haproxy.tls import told


_LONGEST_BATCH = 10
"""A batch that makes progress may still take no more than this many time-outs."""

_LINES_A_WRITE = 512
"""Lines are handed to the transport in portions, so that a huge batch is never all in its
buffer. Replies are read meanwhile, so neither side can block the other; and HAProxy works on
one portion while the next is written down."""

_CONNECT_CAUSES = {
    errno.ENOENT: 'it does not exist; is haproxy running, with this "stats socket"?',
    errno.EACCES: "permission denied; join the socket's group, or widen the mode on its "
    '"stats socket" line',
    errno.ECONNREFUSED: "nobody listens there; is haproxy running?",
}


class Connection(asyncio.Protocol):
    """The transport's end: hands on what arrives, and wakes whoever waits for it."""

    def __init__(
        self, on_data: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._on_data = on_data
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._news = asyncio.Event()
        self.on_progress: Callable[[], None] | None = None
        self.failure: RuntimeSocketError | None = None
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.on_progress is not None:
            self.on_progress()
        try:
            self._on_data(data)
        except RuntimeSocketError as error:
            self.failure = error
            self.abort()
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.failure is None and isinstance(exc, ssl.SSLError):
            # TLS 1.3 tells of a certificate that it does not like after the handshake.
            self.failure = ConnectError(f"the session has ended: {told(exc)}")
        if self.failure is None:
            try:
                self._on_end()
            except RuntimeSocketError as error:
                error.__cause__ = exc
                self.failure = error
        self.closed.set()
        self._writable.set()
        self._news.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def fail(self, error: RuntimeSocketError) -> None:
        """Close at once: whoever waits gets this error."""
        if self.failure is None:
            self.failure = error
        self._news.set()
        self._writable.set()
        self.abort()

    def abort(self) -> None:
        """Close at once, forgetting what was not yet written."""
        if self.failure is None and not self.closed.is_set():
            self.failure = ConnectError("the session was closed on our side")
        if self._transport is not None:
            self._transport.abort()

    async def write(self, payload: bytes) -> None:
        """Hand bytes to the transport, waiting while HAProxy does not read."""
        await self._writable.wait()
        self.raise_failure()
        if self._transport is not None and not self.closed.is_set():
            self._transport.write(payload)

    async def news(self) -> None:
        """Wait for bytes or the end. Raises what went wrong with either."""
        await self._news.wait()
        self._news.clear()
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise the RuntimeSocketError that ended this connection, if one did."""
        if self.failure is not None:
            raise self.failure


async def connect(
    address: Address, connection: Connection, timeout_seconds: float
) -> None:
    """Open a connection. Raises ConnectError, which says what is in the way."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_seconds):
            if address.path:
                await loop.create_unix_connection(lambda: connection, address.path)
                return
            tls = address.tls
            transport, _ = await loop.create_connection(
                lambda: connection,
                address.host,
                address.port,
                ssl=None if tls is None else tls.context(),
                server_hostname=None if tls is None else tls.name or address.host,
            )
    except ConfigError as error:
        raise ConnectError(f"cannot open {address.text}: {error}") from error
    except ssl.SSLError as error:
        raise ConnectError(f"cannot open {address.text}: {told(error)}") from error
    except TimeoutError as error:
        raise ConnectError(
            f"cannot open {address.text}: no connection within {timeout_seconds:g} s"
        ) from error
    except OSError as error:
        cause = _CONNECT_CAUSES.get(
            error.errno or 0, (error.strerror or str(error)).lower()
        )
        raise ConnectError(f"cannot open {address.text}: {cause}") from error
    # A peer that vanished without a word is noticed by the kernel, if it is told to look.
    peer: socket.socket = transport.get_extra_info("socket")
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


class _Patience:
    """Waits for something to come, and gives up when nothing has for too long.

    One timer for all batches of a session: a batch is short, and an event waits for it.
    """

    def __init__(self, seconds: float, give_up: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._give_up = give_up
        self._heard = self._latest = 0.0
        self._is_waiting = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Something is waited for from now on."""
        self._is_waiting = True
        self._heard = self._loop.time()
        self._latest = self._heard + _LONGEST_BATCH * self._seconds
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def hear(self) -> None:
        """Something came."""
        self._heard = self._loop.time()

    def _look(self) -> None:
        self._timer = None
        if not self._is_waiting:
            return
        due = min(self._heard + self._seconds, self._latest)
        if self._loop.time() >= due:
            self._give_up()
        else:
            self._timer = self._loop.call_at(due, self._look)

    def end(self) -> None:
        """Nothing is waited for any more. The timer finds out when it rings."""
        self._is_waiting = False

    def close(self) -> None:
        """Nothing will be waited for again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class PromptSession:
    """A connection in prompt mode: pipelines lines, collects replies."""

    def __init__(self, address: Address, timeout_seconds: float, limit: int) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._session = Session(via_master=address.via_master, max_reply_bytes=limit)
        self._replies: list[str] = []
        self._connection = Connection(self._receive, self._session.receive_end)
        self._patience = _Patience(timeout_seconds, self._give_up)

    @property
    def is_open(self) -> bool:
        """Whether a batch may be sent."""
        connection = self._connection
        return not connection.closed.is_set() and connection.failure is None

    @property
    def has_answered(self) -> bool:
        """Whether anything of the last batch's replies arrived."""
        return bool(self._replies or self._session.pending)

    async def open(self) -> bool:
        """Connect and turn the prompt on. Returns False where there is no prompt to be had.

        Raises ConnectError, ReplyTimeoutError or RemoteProtocolError; nothing is open then.
        """
        await connect(self._address, self._connection, self._timeout_seconds)
        try:
            replies = await self.batch(self._session.opening)
        except RemoteProtocolError:
            if self._session.pending.endswith(b"\n\n"):
                return False  # a whole answer, and then the end: `prompt` is not known
            raise
        return self._is_ready(replies)

    def _is_ready(self, replies: Sequence[str]) -> bool:
        refusal = next((reply for reply in replies[:2] if reply), "")
        if self._address.via_master and refusal:
            self.abort()
            raise ConnectError(
                f"cannot reach a worker through {self._address.text}: "
                f"the master answered {refusal!r}"
            )
        return True

    async def batch(self, lines: Iterable[str]) -> list[str]:
        """Send lines and return their replies. Whatever goes wrong closes the connection.

        Raises ReplyTimeoutError or RemoteProtocolError.
        """
        self._patience.begin()
        self._connection.on_progress = self._patience.hear
        try:
            return await self._exchange(lines)
        except BaseException:
            self.abort()
            raise
        finally:
            self._connection.on_progress = None
            self._patience.end()

    def _give_up(self) -> None:
        self._connection.fail(_silence(self._address, self._timeout_seconds))

    async def _exchange(self, lines: Iterable[str]) -> list[str]:
        replies: list[str] = []
        self._replies = replies
        sent, rest = 0, iter(lines)
        while portion := list(islice(rest, _LINES_A_WRITE)):
            if sent:
                await asyncio.sleep(0)  # others get their turn, and replies are read
            await self._connection.write(self._session.send(portion))
            sent += len(portion)
        while len(replies) < sent:
            self._connection.raise_failure()
            if self._connection.closed.is_set():
                # It closed with nothing asked for, just before these lines were written.
                raise RemoteProtocolError(
                    "haproxy closed the session before it was asked"
                )
            await self._connection.news()
        return replies

    def _receive(self, received: bytes) -> None:
        self._replies += self._session.receive_data(received)

    def abort(self) -> None:
        """Close at once."""
        self._patience.close()
        self._connection.abort()

    async def wait_closed(self) -> None:
        """Return when either side has closed."""
        await self._connection.closed.wait()


async def one_shot(
    address: Address, line: str, timeout_seconds: float, limit: int
) -> str:
    """Send one line on a connection of its own and return its reply.

    Raises ConnectError, ReplyTimeoutError or RemoteProtocolError.
    """
    reply = OneShotReply(line, max_reply_bytes=limit)
    connection = Connection(reply.receive_data, lambda: None)
    await connect(address, connection, timeout_seconds)
    try:
        async with asyncio.timeout(timeout_seconds):
            await connection.write(reply.send())
            await connection.closed.wait()
    except TimeoutError as error:
        raise _silence(address, timeout_seconds) from error
    finally:
        connection.abort()
    connection.raise_failure()
    return reply.receive_end()


def _silence(address: Address, timeout_seconds: float) -> ReplyTimeoutError:
    return ReplyTimeoutError(
        f"no whole reply from {address.text} within {timeout_seconds:g} s; haproxy is "
        'stuck, or all connections of its "stats maxconn" are taken'
    )
