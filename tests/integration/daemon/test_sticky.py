"""Clients that stick to a container: none comes to one that stops, or is unhealthy."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from tests.integration.daemon.conftest import WEB, table, until, until_placed
from tests.scripted_engine import ScriptedContainer, ScriptedEngine
from tests.support.daemon import Daemon
from tests.support.haproxy_process import VERSIONS, HaproxyProcess, haproxy_process
from tests.support.ports import free_address
from tests.support.visits import Application, Client


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
    "stick store-response": (
        "stick-table type ip size 1k expire 1m\n"
        "    stick store-response src\n    stick match src"
    ),
    "the same static cookie for all": (
        "cookie SRV insert indirect nocache\n    default-server cookie same"
    ),
    "source": "balance source\n    hash-type consistent",
    "header": "balance hdr(user)\n    hash-type consistent",
}


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
    containers = [
        engine.run(name, labels=WEB, address=free_address())
        for name in ("web-1", "web-2")
    ]
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


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_tunnel_goes_on(version: str, engine: ScriptedEngine) -> None:
    """What was a request once and is a WebSocket, say, goes on both ways."""
    async with site(version, engine, COOKIE) as (one, containers):
        client = Client(one.haproxy.http_port)
        home = await client.get()
        assert "101" in await client.upgrade()
        assert await client.say("before") == "before"
        (mine,) = [c for c in containers if c.address == home]
        engine.signal(mine)
        await one.out(home)
        for turn in range(5):
            assert await client.say(f"after {turn}") == f"after {turn}"
        rows = [r for r in (await one.daemon.slots())["slots"] if r["container"]]
        found = {r["container"]: (r["state"], r["sessions"]) for r in rows}
        assert found[mine.name] == ("drain", 1)
        client.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_idle_connections_are_closed(
    version: str, engine: ScriptedEngine
) -> None:
    """Those that HAProxy kept to the container; the other container's stay."""
    async with site(version, engine, COOKIE + "\n    http-reuse always") as (
        one,
        containers,
    ):
        client = Client(one.haproxy.http_port)
        home = await client.get()
        app = one.applications[home]
        assert app.open == 1
        (mine,) = [c for c in containers if c.address == home]
        engine.signal(mine)
        await one.out(home)
        await until(lambda: app.open == 0, "idle ones are closed", one.daemon)
        assert await client.get() != home
        assert sum(a.open for a in one.applications.values()) == 1
        client.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_who_waits_for_a_full_one_is_answered(
    version: str, engine: ScriptedEngine
) -> None:
    """By another container up to HAProxy 2.8; later ones may ask the one they waited for."""
    lines = COOKIE + "\n    default-server maxconn 1"
    async with site(version, engine, lines) as (one, containers):
        client = Client(one.haproxy.http_port)
        home = await client.get()
        app = one.applications[home]
        slow = asyncio.create_task(client.get("/slow"))
        await app.is_waiting.wait()
        waiters = [Client(one.haproxy.http_port, like=client) for _ in range(3)]
        waiting = [asyncio.create_task(waiter.get()) for waiter in waiters]
        await until(
            lambda: (
                re.search(
                    r"^web,slot\d,3,",
                    one.haproxy.raw("show stat web 4 -1"),
                    re.MULTILINE,
                )
                is not None
            ),
            "three wait",
            one.daemon,
        )
        (mine,) = [c for c in containers if c.address == home]
        engine.signal(mine)
        answers = set(await asyncio.gather(*waiting))
        app.gate.set()

        assert await slow == home
        (other,) = [c.address for c in containers if c.address != home]
        may = {other} if version in {"2.6", "2.8"} else {other, home}
        assert answers <= may
        for one_client in (client, *waiters):
            one_client.close()


def rdp_request(address: str) -> bytes:
    """Return a connection's first packet in RDP, with the cookie for a server at port 8000."""
    host = int.from_bytes(bytes(map(int, address.split("."))), "little")
    port = int.from_bytes((8000).to_bytes(2), "little")
    cookie = f"Cookie: msts={host}.{port}.0000\r\n".encode()
    size = len(cookie)
    return bytes([3, 0, 0, 11 + size, 6 + size, 0xE0, 0, 0, 0, 0, 0]) + cookie


@pytest.mark.parametrize("version", VERSIONS)
async def test_nobody_sticks_by_an_rdp_cookie(
    version: str, engine: ScriptedEngine
) -> None:
    """Of new sessions that name the container none comes to it after its stop signal."""
    lines = """persist rdp-cookie
    balance rdp-cookie
    tcp-request inspect-delay 5s
    tcp-request content accept if RDP_COOKIE"""
    async with site(version, engine, lines, mode="tcp") as (one, containers):
        mine = containers[0]
        app = one.applications[mine.address]

        async def came() -> int:
            before = app.connections
            for _ in range(5):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", one.haproxy.http_port
                )
                writer.write(rdp_request(mine.address))
                assert await reader.readline()
                writer.close()
            return app.connections - before

        assert await came() == 5
        engine.signal(mine)
        await one.out(mine.address)
        assert await came() == 0


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("line", ["option persist", "force-persist if TRUE"])
async def test_lines_that_defeat_it(
    version: str, line: str, engine: ScriptedEngine
) -> None:
    """With either HAProxy sends sticky clients even to a server in maint: docs and check say so."""
    async with site(version, engine, f"{COOKIE}\n    {line}") as (one, containers):
        client = Client(one.haproxy.http_port)
        home = await client.get()
        (mine,) = [c for c in containers if c.address == home]
        engine.signal(mine)
        await one.out(home)
        assert {await client.get() for _ in range(5)} == {home}
        client.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_line_that_ends_sessions(version: str, engine: ScriptedEngine) -> None:
    """``on-marked-down shutdown-sessions`` closes them with the stop signal."""
    lines = "default-server on-marked-down shutdown-sessions"
    async with site(version, engine, lines, mode="tcp") as (one, containers):
        client = Client(one.haproxy.http_port)
        assert await client.say("before") == "before"
        for container in containers:
            engine.signal(container)
            await one.out(container.address)
        assert await client.ended()
        client.close()
