"""Docker's and HAProxy's sockets: absent, dead, not permitted, silent, or somebody else's."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest
from tests.fakes.unprivileged import unprivileged
from tests.integration.daemon.conftest import WEB
from tests.integration.daemon.test_bad_input import LEVELS_CFG, says_nothing
from tests.integration.doctor.planting import codes, settings_for, the, troubles
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon
from tests.support.haproxy_process import HaproxyProcess, haproxy_process
from tests.support.ports import free_port
from tests.support.scripted_socket import ScriptedSocket

from reconciler.doctor import Code


pytestmark = pytest.mark.integration

IMPATIENT = 0.5
"""Seconds after which who is silent is given up."""


@pytest.fixture
async def odd(engine: ScriptedEngine) -> AsyncIterator[ScriptedSocket]:
    """A runtime socket that never answers."""
    one = ScriptedSocket(engine.path.parent / "odd.sock")
    await one.serve(says_nothing)
    yield one
    await one.aclose()


async def speaks_http(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer as a Docker engine answers what is no HTTP."""
    await reader.readline()
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n400\n")
    await writer.drain()


async def test_an_engine_that_is_absent_then_dead_then_there(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Each has its own mend, and HAProxy is looked at all the same."""
    settings = settings_for(haproxy3.url, engine=engine)
    await engine.close()
    absent = await troubles(settings)
    await engine.refuse()
    dead = await troubles(settings)
    engine.path.unlink()
    await engine.start()
    there = await troubles(settings)

    assert "`DOCKER_HOST: unix:///run" in the(Code.DOCKER_ABSENT, absent).mend
    assert "start the engine" in the(Code.DOCKER_DOWN, dead).mend
    assert codes(absent) | codes(dead) == {
        Code.DOCKER_ABSENT.text,
        Code.DOCKER_DOWN.text,
    }
    assert there == []


async def test_sockets_of_another_group(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """The group to add is named by its number, for both."""
    for path in (haproxy3.socket, engine.path):
        path.chmod(0o600)
        path.parent.chmod(0o755)
    settings = settings_for(haproxy3.url, engine=engine)

    with unprivileged():
        found = await troubles(settings)
    group = engine.path.stat().st_gid

    assert f'`group_add: ["{group}"]`' in the(Code.DOCKER_PERMISSION, found).mend
    haproxy = the(Code.HAPROXY_PERMISSION, found)
    assert "its mode is 600: write `mode 660`" in haproxy.mend
    assert f'`group_add: ["{haproxy3.socket.stat().st_gid}"]`' in haproxy.mend


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        pytest.param("/version", "/version", id="version"),
        pytest.param("/info", "/info", id="info"),
        pytest.param("/events", "/events", id="events"),
        pytest.param("/containers/json", "/containers/json", id="list"),
        pytest.param("/containers/*/json", "/containers/{id}/json", id="inspect"),
    ],
)
async def test_a_proxy_that_refuses_a_request(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, path: str, request_: str
) -> None:
    """The request is named as on the allow-list, and nothing else is wrong once allowed."""
    settings = settings_for(haproxy3.url, engine=engine)
    engine.faults.fail(path, count=None, status=403, message="not on my list")
    found = await troubles(settings)
    engine.faults.clear()
    after = await troubles(settings)

    one = the(Code.DOCKER_REFUSES, found)
    assert one.thing == f"GET {request_}"
    assert f"allow `GET {request_}`" in one.mend
    assert "docs/operations.md" in one.mend
    assert codes(found) == {Code.DOCKER_REFUSES.text}
    assert after == []


@pytest.mark.parametrize("path", ["*", "/containers/json", "/events", "/info"])
async def test_an_engine_that_never_answers(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, path: str
) -> None:
    """It is given up after a while, whatever it keeps to itself."""
    engine.run("web-1", labels=WEB, health="starting")
    engine.faults.stall(path, count=None)
    loop = asyncio.get_running_loop()
    began = loop.time()

    settings = settings_for(haproxy3.url, engine=engine)
    found = await troubles(settings, patience_seconds=IMPATIENT)

    assert loop.time() - began < 5
    assert codes(found) & {Code.DOCKER_SILENT.text, Code.DOCKER_REFUSES.text}


async def test_sockets_of_something_else(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, odd: ScriptedSocket
) -> None:
    """A HAProxy is no engine, and a web server is no HAProxy."""
    odd.scripts = [speaks_http]
    settings = dataclasses.replace(
        settings_for(odd.url, engine=engine), docker=haproxy3.url
    )

    found = await troubles(settings)

    assert "correct --docker" in the(Code.DOCKER_ERROR, found).mend
    assert "correct --haproxy" in the(Code.NOT_A_HAPROXY, found).mend
    assert len(found) == 2


async def test_a_haproxy_that_is_absent_then_dead(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """The line of its configuration that makes the socket, and what is left of a crash."""
    settings = settings_for(haproxy3.url, engine=engine)
    haproxy3.kill()
    dead = await troubles(settings)
    haproxy3.socket.unlink()
    absent = await troubles(settings)
    haproxy3.start()
    there = await troubles(settings)

    assert "start HAProxy" in the(Code.HAPROXY_DOWN, dead).mend
    assert (
        "`stats socket PATH mode 660 level admin`"
        in the(Code.HAPROXY_ABSENT, absent).mend
    )
    assert there == []


async def test_a_haproxy_that_never_answers(
    engine: ScriptedEngine, odd: ScriptedSocket
) -> None:
    """Its connections may be taken: how to have more of them."""
    settings = settings_for(odd.url, engine=engine)
    found = await troubles(settings, patience_seconds=IMPATIENT)

    assert "raise `stats maxconn`" in the(Code.HAPROXY_SILENT, found).mend
    assert codes(found) == {Code.HAPROXY_SILENT.text}


async def test_every_connection_of_stats_maxconn_is_taken(
    engine: ScriptedEngine,
) -> None:
    """The real HAProxy lets further ones wait without a word."""
    text = LEVELS_CFG.replace("global", "global\n    stats maxconn 1")
    with haproxy_process("3.0", config=text) as haproxy:
        settings = settings_for(haproxy.url, engine=engine)
        async with Daemon(haproxy=[haproxy.url], docker=engine.url) as daemon:
            await daemon.wait_ready()
            found = await troubles(settings, patience_seconds=IMPATIENT)
        after = await troubles(settings)

    assert "`stats maxconn`" in the(Code.HAPROXY_SILENT, found).mend
    assert Code.HAPROXY_SILENT.text not in codes(after)


@pytest.mark.parametrize("level", ["user", "operator"])
async def test_a_level_that_is_too_low(engine: ScriptedEngine, level: str) -> None:
    """The level it has, and the one it needs; the other socket of this HAProxy is fine."""
    with haproxy_process("3.0", config=LEVELS_CFG) as haproxy:
        low = f"{haproxy.url}.{level}"
        found = await troubles(settings_for(low, engine=engine))
        after = await troubles(settings_for(haproxy.url, engine=engine))

    one = the(Code.LEVEL_TOO_LOW, found)
    assert f"(level {level})" in one.text
    assert "write `level admin` on its `stats socket` line" in one.mend
    assert after == []


async def test_no_backend_has_slots(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """A wrong prefix, or a configuration without slots."""
    settings = dataclasses.replace(
        settings_for(haproxy3.url, engine=engine), slot_prefix="place"
    )

    one = the(Code.NO_SLOTS, await troubles(settings))

    assert "`server-template place 1-32 127.255.255.1:PORT check disabled`" in one.mend


async def test_the_daemon_runs_then_not(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Nothing to say while it keeps the map; a note once it does not."""
    plain = settings_for(haproxy3.url, engine=engine)
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        settings = dataclasses.replace(plain, listen=("0.0.0.0", daemon.port))
        await daemon.wait_ready()
        running = await troubles(settings)
    engine.run("web-1", labels=WEB)
    stopped = await troubles(settings)

    one = the(Code.DAEMON_ABSENT, stopped)
    assert running == []
    assert "nobody keeps the map; 1 change is pending" in one.text
    assert "start `reconciler run`" in one.mend


async def test_a_daemon_with_troubles_and_other_haproxies(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """What it says of itself is told, and that it keeps others than were looked at."""
    plain = settings_for(haproxy3.url, engine=engine)
    gone = "unix:///run/nowhere.sock"
    urls = [haproxy3.url, gone]
    async with Daemon(haproxy=urls, docker=engine.url) as daemon:
        await daemon.wait_log("pass failed")
        settings = dataclasses.replace(plain, listen=("127.0.0.1", daemon.port))
        found = await troubles(settings)

    assert f"{gone}: cannot open" in the(Code.DAEMON_NOT_READY, found).text
    assert "the same --haproxy" in the(Code.DAEMON_HAPROXIES, found).mend


async def test_somebody_else_at_listen(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """HAProxy's own page is no daemon; and nobody at all is none either."""
    plain = settings_for(haproxy3.url, engine=engine)
    other = dataclasses.replace(plain, listen=("127.0.0.1", haproxy3.stats_port))
    nobody = dataclasses.replace(plain, listen=("127.0.0.1", free_port()))

    assert codes(await troubles(other)) == {Code.DAEMON_NOT_OURS.text}
    assert codes(await troubles(nobody)) == {Code.DAEMON_ABSENT.text}
