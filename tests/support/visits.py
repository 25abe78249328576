"""Applications that answer with their address, and clients that keep what they were given."""

from __future__ import annotations

import asyncio


_UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n"
)


class Application:
    """What runs in a container: answers with its address; ``/slow`` waits for the gate.

    After a request to upgrade, and on a connection without requests, it repeats lines.
    """

    def __init__(self, address: str, log: list[str]) -> None:
        self.address = address
        self.connections = 0
        """How many there ever were."""
        self.open = 0
        """How many there are."""
        self.gate = asyncio.Event()
        self.is_waiting = asyncio.Event()
        self._log = log

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer requests, and repeat lines that are none."""
        self.connections += 1
        self.open += 1
        try:
            while line := await reader.readline():
                if not line.startswith((b"GET ", b"POST ")):
                    writer.write(line)
                    continue
                wants_upgrade = False
                while header := (await reader.readline()).strip():
                    wants_upgrade |= header.lower().startswith(b"upgrade:")
                self._log.append(self.address)
                if wants_upgrade:
                    writer.write(_UPGRADED)
                    continue
                if b"/slow" in line:
                    self.is_waiting.set()
                    await self.gate.wait()
                body = self.address.encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()


class Client:
    """A client that keeps its connection and its cookie."""

    def __init__(self, port: int, *, like: Client | None = None) -> None:
        """``like`` another client it has that one's cookie, and a connection of its own."""
        self._port = port
        self._cookie: str = "" if like is None else like._cookie
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str = "/") -> str:
        """Return who answered."""
        reader, writer = await self._connected()
        cookie = f"Cookie: {self._cookie}\r\n" if self._cookie else ""
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: a\r\nUser: one\r\n{cookie}\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = 0
        for line in head.split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "set-cookie":
                self._cookie = value.partition(";")[0]
            if name.lower() == "content-length":
                size = int(value)
        body = (await reader.readexactly(size)).decode()
        if "200" not in head.partition("\r\n")[0]:
            return head.partition("\r\n")[0]
        return body

    async def say(self, text: str) -> str:
        """Send a line and return the answer: a session of TCP."""
        reader, writer = await self._connected()
        writer.write(f"{text}\n".encode())
        return (await reader.readline()).decode().strip()

    async def upgrade(self) -> str:
        """Ask for a tunnel; return the status line."""
        reader, writer = await self._connected()
        cookie = f"Cookie: {self._cookie}\r\n" if self._cookie else ""
        writer.write(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: lines\r\n"
            f"{cookie}\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        return head.partition("\r\n")[0]

    async def ended(self) -> bool:
        """Return whether the other side hangs up, with nothing said before."""
        reader, _ = await self._connected()
        try:
            return not await reader.read(1)
        except ConnectionError:
            return True

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None or self._streams[0].at_eof():
            self.close()
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None
