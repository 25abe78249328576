"""Whose check lets a newcomer in: HAProxy's own, sooner where a connect is all it asks.

The lines say ``inter 60s``, so that no check of HAProxy's comes while a test waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.integration.daemon.conftest import WEB, resyncs, until
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon
from tests.support.haproxy_process import VERSIONS, HaproxyProcess, haproxy_process
from tests.support.ports import free_address


pytestmark = pytest.mark.integration

CONFIG = """
global
    stats socket ${{HAPROXY_SOCKET}} mode 660 level admin
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
backend web
    {more}
    server-template slot 1-4 127.255.255.1:8000 disabled check inter {inter} rise 2 fall 3
"""
SLOW = "60s"


class Port:
    """A container's port, which counts who comes."""

    def __init__(self, status: str) -> None:
        self.connections = 0
        self.requests: list[str] = []
        self._status = status

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer a request, if one comes."""
        self.connections += 1
        line = (await reader.readline()).decode().strip()
        if line:
            self.requests.append(line)
            writer.write(
                f"HTTP/1.0 {self._status}\r\nContent-Length: 0\r\n\r\n".encode()
            )
        writer.close()


@asynccontextmanager
async def listening(
    address: str, status: str = "200 OK", *, port: int = 8000
) -> AsyncIterator[Port]:
    """Serve a container's port."""
    served = Port(status)
    async with await asyncio.start_server(served.serve, address, port):
        yield served


def config(*, more: str = "", inter: str = SLOW) -> str:
    """Return a configuration whose slots are checked so often."""
    return CONFIG.format(more=more, inter=inter)


def is_up(haproxy: HaproxyProcess, slot: str = "slot1") -> bool:
    """Whether HAProxy sends a slot requests."""
    header, *lines = haproxy.raw("show stat web 4 -1").strip().split("\n")
    titles = header.removeprefix("# ").split(",")
    rows = [dict(zip(titles, line.split(","), strict=False)) for line in lines]
    found = next(row for row in rows if row["svname"] == slot)
    return found["status"].startswith("UP") and found["weight"] != "0"


@asynccontextmanager
async def running(
    version: str, engine: ScriptedEngine, folder: Path, text: str, *, file: bool = True
) -> AsyncIterator[tuple[HaproxyProcess, Daemon]]:
    """Run HAProxy with a configuration, and a daemon that may read it, too."""
    path = folder / "haproxy.cfg"
    path.write_text(text)
    more = ("--base-cfg", str(path)) if file else ()
    with haproxy_process(version, config=text) as haproxy:
        daemon = Daemon(
            haproxy=[haproxy.url], docker=engine.url, arguments=(*more, "--resync", "1")
        )
        async with daemon:
            await daemon.wait_ready()
            yield haproxy, daemon


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_open_port_is_enough_for_a_plain_check(
    version: str, engine: ScriptedEngine, tmp_path: Path
) -> None:
    """Long before HAProxy's own check; also for a late listener, and after a restart."""
    async with running(version, engine, tmp_path, config()) as (haproxy, daemon):
        one = engine.run("web-1", labels=WEB, address=free_address())
        await daemon.wait_log("assigned web-1")
        assert not is_up(haproxy)
        async with listening(one.address):
            await until(lambda: is_up(haproxy), "it is up", daemon)
            engine.health(one, "unhealthy")
            await until(lambda: not is_up(haproxy), "it is out", daemon)
            engine.health(one, "healthy")
            await until(lambda: is_up(haproxy), "it is up again", daemon)
            haproxy.restart()
            await until(lambda: is_up(haproxy), "it is up after a restart", daemon)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_check_that_asks_more_is_haproxys_alone(
    version: str, engine: ScriptedEngine, tmp_path: Path
) -> None:
    """A sick one is never let in, whatever Docker says, and we do not even knock."""
    text = config(more="option httpchk GET /primary", inter="200ms")
    async with running(version, engine, tmp_path, text) as (haproxy, daemon):
        sick = engine.run("web-1", labels=WEB, health="healthy", address=free_address())
        async with listening(sick.address, "503 No") as port:
            await daemon.wait_log("assigned web-1")
            async with asyncio.timeout(20):
                while len(port.requests) < 5:
                    assert not is_up(haproxy)
                    await asyncio.sleep(0.01)

            assert {line.split()[1] for line in port.requests} == {"/primary"}
            assert port.connections == len(port.requests)


async def test_what_the_file_does_not_tell_a_result_does(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    """The first one waits for HAProxy's check, whose result tells what kind it is."""
    text = config(inter="300ms")
    async with running("3.0", engine, tmp_path, text, file=False) as (haproxy, daemon):
        first = engine.run("web-1", labels=WEB, address=free_address())
        async with listening(first.address) as port:
            await until(lambda: is_up(haproxy), "it is up", daemon)
            assert (port.connections, port.requests) == (0, [])
            # A resync later it is known; and then a slot that comes back is knocked at.
            await resyncs(daemon, 2)
            engine.health(first, "unhealthy")
            await until(lambda: not is_up(haproxy), "it is out", daemon)
            engine.health(first, "healthy")
            await until(lambda: is_up(haproxy), "it is up again", daemon)
            assert port.connections == 1, "HAProxy resets its own before they are taken"


async def test_dockers_word_counts_alone_where_it_is_trusted(
    engine: ScriptedEngine,
) -> None:
    """With --trust-healthcheck a healthy container is up at once, and no other."""
    text = config(more="option httpchk GET /primary")
    with haproxy_process("3.0", config=text) as haproxy:
        async with Daemon(
            haproxy=[haproxy.url], docker=engine.url, arguments=("--trust-healthcheck",)
        ) as daemon:
            engine.run("web-1", labels=WEB, health="healthy")
            await until(lambda: is_up(haproxy), "it is up", daemon)
            engine.run("web-2", labels=WEB)
            await daemon.wait_log("assigned web-2")
            assert not is_up(haproxy, "slot2")
