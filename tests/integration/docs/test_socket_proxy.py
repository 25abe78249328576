"""docs/adopt.md's proxy before Docker's socket, on every HAProxy version."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.scripted_engine import ScriptedEngine
from tests.support.haproxy_process import HaproxyProcess, haproxy_process
from tests.unit.docs import pages

from reconciler.discovery.engine import Engine
from reconciler.discovery.inspect import EngineEvent


pytestmark = pytest.mark.integration

_, EXAMPLE = pages.blocks(pages.text_of("docs/adopt.md"), "haproxy")
RUNTIME_SOCKET = 'global\n    stats socket "${HAPROXY_SOCKET}" level admin\n\n'
PROMPTLY_SECONDS = 0.1
"""Half of what HAProxy holds an event back for where it is not told otherwise."""


@pytest.fixture
async def scripted(tmp_path: Path) -> AsyncIterator[ScriptedEngine]:
    """An engine with one container."""
    async with ScriptedEngine(tmp_path / "docker.sock") as engine:
        engine.run("web-1")
        yield engine


def _placed_for(scripted: ScriptedEngine) -> str:
    """Return the example with this test's port and sockets."""
    socket = scripted.url.removeprefix("unix://")
    example = EXAMPLE.replace("/run/docker-host/docker.sock", socket)
    return RUNTIME_SOCKET + example.replace("bind :2375", 'bind "${HAPROXY_HTTP_BIND}"')


async def _status(proxy: HaproxyProcess, method: str, path: str) -> int:
    def ask() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.http_port, timeout=5)
        with closing(connection):
            connection.request(method, path)
            with connection.getresponse() as response:
                return response.status

    return await asyncio.to_thread(ask)


async def _until(got: asyncio.Queue[EngineEvent], action: str) -> None:
    while (await got.get()).action != action:
        pass


async def test_only_the_reads_that_are_needed_come_through(
    version: str, scripted: ScriptedEngine
) -> None:
    """The allow-list is answered by the engine; anything else never gets there."""
    with haproxy_process(version, config=_placed_for(scripted)) as proxy:
        allowed = [
            await _status(proxy, "GET", path)
            for path in ("/version", "/v1.41/info", "/v1.41/containers/json")
        ]
        asked = len(scripted.requests.routes)
        denied = [
            await _status(proxy, method, path)
            for method, path in (
                ("GET", "/images/json"),
                ("GET", "/containers/web-1/logs"),
                ("GET", "/containers/../images/json"),
                ("POST", "/v1.41/containers/web-1/stop"),
                ("DELETE", "/containers/json"),
            )
        ]

    assert allowed == [200] * 3
    assert denied == [403] * 5
    assert len(scripted.requests.routes) == asked
    assert scripted.requests.refused == []


async def test_the_reconciler_reads_and_follows_through_it_without_delay(
    version: str, scripted: ScriptedEngine
) -> None:
    """List, inspect and events work, and an event is not held back."""
    with haproxy_process(version, config=_placed_for(scripted)) as proxy:
        engine = Engine(f"tcp://127.0.0.1:{proxy.http_port}")
        try:
            (listed,) = await engine.containers()
            inspected = await engine.container(listed.id)
            stream = await engine.events(since=await engine.now())
            got: asyncio.Queue[EngineEvent] = asyncio.Queue()

            following = asyncio.create_task(stream.follow(got.put_nowait))
            scripted.pause("web-1")
            await _until(got, "pause")
            began = time.monotonic()
            scripted.unpause("web-1")
            await _until(got, "unpause")
            waited = time.monotonic() - began
            stream.close()
            await following
        finally:
            await engine.aclose()

    assert inspected is not None
    assert inspected.id == listed.id
    assert waited < PROMPTLY_SECONDS
