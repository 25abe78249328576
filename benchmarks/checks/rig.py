"""Applications at loopback addresses, a HAProxy with a kind of check, and who asks it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Self

from scale.rig import RigError
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon
from tests.support.haproxy_process import BASE_CFG, HaproxyProcess


PORT = 8000
LABELS = {
    "com.docker.compose.project": "demo",
    "com.docker.compose.service": "web",
    "com.docker.compose.container-number": "1",
}
PAUSE_SECONDS = 0.001
APART_SECONDS = 0.5
"""So long before a start at most: the shipped ``inter``. The slots' timers follow each other, so
starts that followed each other would all be just too late for HAProxy's check."""

WAIT_SECONDS = 15.0
LOOK_SECONDS = 0.002
HEALTH = "/healthz"


class Kind(NamedTuple):
    """Whose check lets a newcomer in, and what it asks."""

    name: str
    asks_http: bool
    reads_file: bool
    """The daemon is given HAProxy's configuration, so that it knows the kind of check."""


CALLED_UP = Kind("plain, called up", asks_http=False, reads_file=True)
UNKNOWN = Kind("plain, kind not known", asks_http=False, reads_file=False)
HTTP = Kind("httpchk", asks_http=True, reads_file=True)
KINDS = (CALLED_UP, UNKNOWN, HTTP)
CONTAINERS = "plain, called up, in containers"


def config(kind: Kind) -> str:
    """Return the shipped configuration with a kind of check, and slots for 100 containers."""
    text = BASE_CFG.read_text(encoding="utf-8")
    text = text.replace("slot 1-64 ", "slot 1-128 ")
    if kind.asks_http:
        text = text.replace(
            f"# option httpchk GET {HEALTH}", f"option httpchk GET {HEALTH}"
        )
    return text


class App:
    """A container's application: it listens when told, and counts what it is asked."""

    def __init__(self, address: str, *, health: str = "200 OK") -> None:
        self.address = address
        self._health = health
        self._server: asyncio.Server | None = None
        self.listened_at = 0.0
        self.first_at: float | None = None
        self.requests = 0
        """But for health checks."""
        self.asked = asyncio.Event()

    async def listen(self) -> None:
        """Open the port."""
        self._server = await asyncio.start_server(self._serve, self.address, PORT)
        self.listened_at = time.monotonic()

    async def close(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.close()

    async def __aenter__(self) -> Self:
        """Open the port."""
        await self.listen()
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        """Close the port."""
        await self.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                status = "200 OK"
                if line.split()[1] == HEALTH.encode():
                    status = self._health
                else:
                    self.first_at = self.first_at or time.monotonic()
                    self.requests += 1
                    self.asked.set()
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()


class Visitor:
    """Asks HAProxy one request after the other, and counts the answers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers: Counter[str] = Counter()
        self.longest = 0.0

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                await self._ask(reader, writer)
            except OSError:
                self.answers["no connection"] += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while not writer.is_closing():
                began = time.monotonic()
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                status = (await reader.readline()).split(b" ")[1:2]
                is_closing = False
                while head := (await reader.readline()).strip():
                    is_closing = is_closing or head.lower() == b"connection: close"
                self.answers[b"".join(status).decode() or "none"] += 1
                self.longest = max(self.longest, time.monotonic() - began)
                if is_closing or not status or status != [b"200"]:
                    return
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            writer.close()

    @property
    def failed(self) -> int:
        """How many were answered otherwise than with 200."""
        return self.answers.total() - self.answers["200"]


@asynccontextmanager
async def visited(haproxy: HaproxyProcess) -> AsyncIterator[Visitor]:
    """Ask for the length of a block."""
    visitor = Visitor(haproxy.http_port)
    running = asyncio.create_task(visitor.run())
    try:
        yield visitor
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Rig(NamedTuple):
    """What is measured."""

    haproxy: HaproxyProcess
    engine: ScriptedEngine
    daemon: Daemon

    async def until_up(self, count: int) -> None:
        """Return once HAProxy sends requests to so many slots. Raises RigError."""
        try:
            await until_up(self.haproxy, count)
        except RigError as error:
            raise RigError(f"{error}: " + "\n".join(self.daemon.log[-5:])) from error


async def until_up(haproxy: HaproxyProcess, count: int) -> None:
    """Return once HAProxy sends requests to so many slots. Raises RigError."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while len(await _ups(haproxy)) != count:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError as error:
        raise RigError(f"never {count} slots were up") from error


async def _ups(haproxy: HaproxyProcess) -> list[str]:
    """Return the slots that HAProxy sends requests."""
    text = await asyncio.to_thread(haproxy.raw, "show stat web 4 -1")
    header, *lines = text.strip().split("\n")
    titles = header.removeprefix("# ").split(",")
    name, status, weight = map(titles.index, ("svname", "status", "weight"))
    rows = [line.split(",") for line in lines]
    return [
        row[name]
        for row in rows
        if row[name].startswith("slot")
        and row[status].startswith("UP")
        and row[weight] != "0"
    ]


@asynccontextmanager
async def rig(version: str, kind: Kind) -> AsyncIterator[Rig]:
    """Run HAProxy, an engine without containers, and a daemon between them."""
    async with (
        running_haproxy(version, kind) as (haproxy, folder),
        ScriptedEngine(folder / "docker.sock") as engine,
        running_daemon(haproxy, folder, kind, docker=engine.url) as daemon,
    ):
        yield Rig(haproxy, engine, daemon)


@asynccontextmanager
async def running_daemon(
    haproxy: HaproxyProcess, folder: Path, kind: Kind, *more: str, docker: str
) -> AsyncIterator[Daemon]:
    """Run the daemon for a HAProxy, with more arguments; return when it is ready."""
    if kind.reads_file:
        more = ("--base-cfg", str(folder / "haproxy.cfg"), *more)
    async with Daemon(haproxy=[haproxy.url], docker=docker, arguments=more) as daemon:
        await daemon.wait_ready()
        yield daemon


@asynccontextmanager
async def running_haproxy(
    version: str, kind: Kind
) -> AsyncIterator[tuple[HaproxyProcess, Path]]:
    """Run HAProxy; give it and its folder."""
    folder = Path(tempfile.mkdtemp(prefix="bench-checks-"))
    haproxy = HaproxyProcess(version, folder, config=config(kind), with_master=True)
    haproxy.sorry_wait = "500ms"  # as it is shipped
    try:
        await asyncio.to_thread(haproxy.start)
        yield haproxy, folder
    finally:
        await asyncio.to_thread(haproxy.stop)
        shutil.rmtree(folder, ignore_errors=True)
