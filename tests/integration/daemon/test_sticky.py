"""Clients that stick to a container: none comes to one that stops, or is unhealthy."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from tests.integration.daemon.conftest import WEB, table, until, until_placed
from tests.scripted_engine import ScriptedContainer, ScriptedEngine
from tests.support.daemon import Daemon
from tests.support.haproxy_process import VERSIONS, HaproxyProcess, haproxy_process


pytestmark = pytest.mark.integration

CONFIG = """
global
    stats socket ${{HAPROXY_SOCKET}} mode 660 level admin
defaults
    mode {mode}
    option redispatch 1
    retries 3
    timeout connect 1s
    timeout client 20s
    timeout server 20s
    timeout tunnel 20s
    timeout queue 5s
frontend in
    bind "${{HAPROXY_HTTP_BIND}}"
    default_backend web
backend web
    {lines}
    server-template slot 1-4 127.255.255.1:8000 disabled
"""
COOKIE = """cookie SRV insert indirect nocache dynamic
    dynamic-cookie-key secret"""
STICKY = {
    "cookie": COOKIE,
    "cookie, the last server preferred": COOKIE + "\n    option prefer-last-server",
    "stick table": "stick-table type ip size 1k expire 1m\n    stick on src",
    "stick match and store": (
        "stick-table type string len 32 size 1k expire 1m\n"
        "    stick store-request hdr(user)\n    stick match hdr(user)"
    ),
    "source": "balance source\n    hash-type consistent",
    "header": "balance hdr(user)\n    hash-type consistent",
}


class Application:
    """What runs in a container: answers with its address; ``/slow`` waits for the gate."""

    def __init__(self, address: str, log: list[str]) -> None:
        self.address = address
        self.gate = asyncio.Event()
        self.is_waiting = asyncio.Event()
        self._log = log

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer requests, and repeat lines that are none."""
        try:
            while line := await reader.readline():
                if not line.startswith((b"GET ", b"POST ")):
                    writer.write(line)
                    continue
                while (await reader.readline()).strip():
                    pass
                self._log.append(self.address)
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
            writer.close()


class Client:
    """A client that keeps its connection and its cookie."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookie = ""
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


class Site:
    """Two containers behind HAProxy, and who was asked."""

    def __init__(self, haproxy: HaproxyProcess, daemon: Daemon) -> None:
        self.haproxy, self.daemon = haproxy, daemon
        self.log: list[str] = []
        self.applications: dict[str, Application] = {}

    async def out(self, address: str) -> None:
        """Return once a container's slot is out of rotation."""
        await until(
            lambda: (
                not any(
                    row.is_ready and row.address == address
                    for row in table(self.haproxy).values()
                )
            ),
            f"{address} is out",
            self.daemon,
        )


@asynccontextmanager
async def site(
    version: str, engine: ScriptedEngine, lines: str, *, mode: str = "http"
) -> AsyncIterator[tuple[Site, Sequence[ScriptedContainer]]]:
    """Run two applications behind HAProxy and the daemon."""
    containers = engine.run_many(2, labels=WEB)
    async with AsyncExitStack() as stack:
        text = CONFIG.format(lines=lines, mode=mode)
        haproxy = stack.enter_context(haproxy_process(version, config=text))
        daemon = await stack.enter_async_context(
            Daemon(haproxy=[haproxy.url], docker=engine.url)
        )
        one = Site(haproxy, daemon)
        for container in containers:
            app = Application(container.address, one.log)
            one.applications[app.address] = app
            await stack.enter_async_context(
                await asyncio.start_server(app.serve, app.address, 8000)
            )
        await until_placed(haproxy, engine, daemon)
        yield one, containers


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("lines", STICKY.values(), ids=STICKY)
async def test_nobody_sticks_to_one_that_leaves(
    version: str, lines: str, engine: ScriptedEngine
) -> None:
    """Neither after its stop signal nor while it is unhealthy, on a kept connection or not."""
    async with site(version, engine, lines) as (one, containers):
        client = Client(one.haproxy.http_port)
        home = await client.get()
        assert {await client.get() for _ in range(10)} == {home}
        (mine,) = [c for c in containers if c.address == home]

        engine.health(mine, "unhealthy")
        await one.out(home)
        found = Counter([await client.get() for _ in range(20)])
        client.close()
        found += Counter([await client.get() for _ in range(20)])
        assert found[home] == 0
        assert sum(found.values()) == 40
        assert set(found) <= {c.address for c in containers}
        engine.health(mine, "healthy")
        await until_placed(one.haproxy, engine, one.daemon)

        other = Client(one.haproxy.http_port)
        home = await other.get()
        (mine,) = [c for c in containers if c.address == home]
        engine.signal(mine)
        await one.out(home)
        before = len(one.log)
        found = Counter([await other.get() for _ in range(40)])
        assert home not in one.log[before:]
        assert found[home] == 0
        client.close()
        other.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_under_way_goes_on(version: str, engine: ScriptedEngine) -> None:
    """A request that is being answered, past the stop signal; its client goes elsewhere then."""
    async with site(version, engine, COOKIE) as (one, containers):
        client = Client(one.haproxy.http_port)
        home = await client.get()
        (mine,) = [c for c in containers if c.address == home]
        slow = asyncio.create_task(client.get("/slow"))
        await one.applications[home].is_waiting.wait()
        engine.signal(mine)
        await one.out(home)
        one.applications[home].gate.set()

        assert await slow == home
        assert await client.get() != home
        client.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_tcp_session_goes_on(version: str, engine: ScriptedEngine) -> None:
    """Both ways, for as long as its container lives; it counts as a session of the slot."""
    async with site(version, engine, "balance roundrobin", mode="tcp") as (
        one,
        containers,
    ):
        clients = [Client(one.haproxy.http_port) for _ in containers]
        for number, client in enumerate(clients):
            assert await client.say(f"a {number}") == f"a {number}"
        for container in containers:
            engine.signal(container)
            await one.out(container.address)
        for number, client in enumerate(clients):
            for turn in range(5):
                assert await client.say(f"b {number} {turn}") == f"b {number} {turn}"
        rows = [r for r in (await one.daemon.slots())["slots"] if r["container"]]
        assert [(r["state"], r["sessions"]) for r in rows] == [("drain", 1)] * 2
        for client in clients:
            client.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_operators_drain_keeps_haproxys_meaning(
    version: str, engine: ScriptedEngine
) -> None:
    """Sticky clients still come, until the stop signal."""
    async with site(version, engine, COOKIE) as (one, containers):
        client = Client(one.haproxy.http_port)
        home = await client.get()
        (mine,) = [c for c in containers if c.address == home]
        (slot,) = [
            name for name, row in table(one.haproxy).items() if row.address == home
        ]
        one.haproxy.raw(f"set server web/{slot} state drain")
        assert {await client.get() for _ in range(10)} == {home}

        engine.signal(mine)
        await until(
            lambda: table(one.haproxy)[slot].admin & 1, "it is in maint", one.daemon
        )
        assert home not in {await client.get() for _ in range(10)}
        client.close()
