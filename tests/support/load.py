"""Requests that go on all the time, from clients that never try twice: what fails is seen."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Self


LONGEST_SECONDS = 120.0
"""A load ends by itself, whatever becomes of its test."""

ANSWER_SECONDS = 15.0
_PAUSE_SECONDS = 0.01


class Load:
    """GETs to a port of 127.0.0.1, or of the hosts in turn; half of the clients on one connection for all of theirs.

    ``async with``, or ``with`` where the test is not asynchronous (then in a thread).
    """

    def __init__(
        self, port: int, *, clients: int = 8, hosts: Sequence[str] = ("127.0.0.1",)
    ) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self.by: Counter[str] = Counter()
        """Answers by the container (the first line of the body)."""
        self.slowest_seconds = 0.0
        self._port = port
        self._hosts = hosts
        self._clients = clients
        self._ends_at = time.monotonic() + LONGEST_SECONDS
        self._thread: threading.Thread | None = None
        self._is_over = threading.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Begin."""
        self._tasks = [
            asyncio.create_task(
                self._client(
                    self._hosts[number % len(self._hosts)],
                    keeps=number // len(self._hosts) % 2 == 0,
                )
            )
            for number in range(self._clients)
        ]
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Let every request that is under way be answered."""
        self._is_over.set()
        await asyncio.gather(*self._tasks)

    def stop(self) -> None:
        """Send nothing more: what happens from now on is not looked at."""
        self._is_over.set()

    def __enter__(self) -> Self:
        """Begin, in a thread."""

        async def run() -> None:
            async with self:
                while not self._is_over.is_set():  # noqa: ASYNC110 - set by a thread
                    await asyncio.sleep(_PAUSE_SECONDS)

        self._thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Let every request that is under way be answered."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(ANSWER_SECONDS * 2)

    async def _client(self, host: str, *, keeps: bool) -> None:
        connection: Connection | None = None
        while not self._is_over.is_set() and time.monotonic() < self._ends_at:
            began = time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    connection = connection or await Connection.open(self._port, host)
                    status, body = await connection.get("/", keeps=keeps)
                if status != 200:
                    self.failures.append(f"{status} {body!r}")
                else:
                    self.answered += 1
                    self.by[body.split("\n")[0]] += 1
            except (OSError, EOFError, ValueError) as error:
                self.failures.append(f"{error!r} {'kept' if keeps else 'new'}")
                if connection is not None:
                    connection.close()
                connection = None
            if connection is not None and not connection.is_open:
                connection.close()
                connection = None
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
            await asyncio.sleep(_PAUSE_SECONDS)
        if connection is not None:
            connection.close()


class Connection:
    """One HTTP/1.1 connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.is_open = True
        """Whether the other side will take another request."""

    @classmethod
    async def open(cls, port: int, host: str = "127.0.0.1") -> Self:
        """Connect."""
        return cls(*await asyncio.open_connection(host, port))

    async def request(
        self, method: str, path: str, *, keeps: bool = False
    ) -> tuple[int, str]:
        """Send a request and return status and body.

        Raises OSError, EOFError or ValueError where no whole answer comes.
        """
        last = "" if keeps else "Connection: close\r\n"
        length = "Content-Length: 0\r\n" if method == "POST" else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: test\r\n{last}{length}\r\n"
        self._writer.write(head.encode())
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        first, *lines = answer.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        body = await self._reader.readexactly(int(headers["content-length"]))
        self.is_open = keeps and headers.get("connection") != "close"
        return int(first.split()[1]), body.decode()

    async def get(self, path: str = "/", *, keeps: bool = False) -> tuple[int, str]:
        """Send a GET."""
        return await self.request("GET", path, keeps=keeps)

    def close(self) -> None:
        """Close."""
        self._writer.close()


async def request(port: int, method: str = "GET", path: str = "/") -> tuple[int, str]:
    """Send one request on a connection of its own; return status and body."""
    connection = await Connection.open(port)
    try:
        return await connection.request(method, path)
    finally:
        connection.close()


class Line:
    """One TCP connection to an echo service, that was greeted with a container's name."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.name = name

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect, and read the greeting. Raises EOFError where there is none."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(ANSWER_SECONDS):
            greeting = (await reader.readline()).decode()
        if not greeting.startswith("hello from "):
            raise EOFError(f"no greeting: {greeting!r}")
        return cls(reader, writer, greeting.split()[2])

    async def is_served(self) -> bool:
        """Return whether a line comes back."""
        with suppress(OSError):
            self._writer.write(b"still there?\n")
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._reader.readline() == b"still there?\n"
        return False

    async def ended(self) -> float:
        """Return when (Unix time) the other side closed it."""
        with suppress(OSError):
            await self._reader.read()
        return time.time()

    def close(self) -> None:
        """Close."""
        self._writer.close()


@asynccontextmanager
async def lines(port: int, count: int) -> AsyncIterator[list[Line]]:
    """Hold some connections to an echo service open."""
    opened: list[Line] = []
    try:
        for _ in range(count):
            opened.append(await Line.open(port))  # noqa: PERF401 - some may be open already
        yield opened
    finally:
        for line in opened:
            line.close()
