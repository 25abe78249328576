"""Slots that are too few, held, stray or down: planted in a running HAProxy, and mended."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing

import pytest
from tests.integration.daemon.conftest import WEB
from tests.integration.doctor.planting import (
    codes,
    runtime,
    settings_for,
    the,
    troubles,
    until_troubles,
)
from tests.scripted_engine import ScriptedEngine
from tests.support.haproxy_process import BASE_CFG, HaproxyProcess, haproxy_process

from reconciler.config import Settings
from reconciler.doctor import Code


pytestmark = pytest.mark.integration

SHIPPED = BASE_CFG.read_text()
NO_WORDS = frozenset[str]()


def fill(haproxy: HaproxyProcess, slot: str, address: str, port: int = 8000) -> None:
    """Do by hand what a pass does."""
    runtime(
        haproxy,
        f"set server web/{slot} addr {address} port {port}",
        f"set server web/{slot} state ready",
    )


async def until_fine(settings: Settings) -> None:
    """Return once there is nothing to find any more."""
    async with asyncio.timeout(10):
        while codes(await troubles(settings)):  # noqa: ASYNC110 - HAProxy tells nobody
            await asyncio.sleep(0.05)


@asynccontextmanager
async def listening(address: str, answer: bytes = b"") -> AsyncIterator[None]:
    """Serve a container's address: say ``answer`` to everybody."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, address, 8000)
    try:
        yield
    finally:
        server.close()


async def test_a_port_where_nobody_listens(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """HAProxy's words, and the label; fine as soon as somebody listens."""
    address = engine.run("web-1", labels=WEB).address
    fill(haproxy3, "slot1", address)
    settings = settings_for(haproxy3.url, engine=engine)

    found = await until_troubles(settings, Code.SLOT_REFUSED)
    async with listening(address):
        await until_fine(settings)

    one = the(Code.SLOT_REFUSED, found)
    assert one.thing == "web/slot1"
    assert f"web-1 ({address}:8000) fails HAProxy's check: L4CON" in one.text
    assert "Connection refused" in one.text
    assert 'label `haproxy.port: "PORT"`' in one.mend
    assert codes(found) == {Code.SLOT_REFUSED.text}


@pytest.mark.parametrize(
    ("good", "bad", "mend"),
    [
        pytest.param(
            " disabled\n",
            " disabled port 8080\n",
            "the check does not go there, but to port 8080: remove `port 8080`",
            id="line",
        ),
        pytest.param(
            "balance roundrobin",
            "option tcp-check\n    tcp-check connect port 8081",
            "the check does not go there, but to port 8081: remove `port 8081`",
            id="tcp-check",
        ),
        pytest.param(
            "balance roundrobin",
            "option httpchk\n    http-check connect port 8082",
            "the check does not go there, but to port 8082: remove `port 8082`",
            id="http-check",
        ),
        pytest.param(
            "balance roundrobin",
            "option httpchk\n    http-check connect addr 127.10.99.1 port 8083",
            "the check does not go there, but to 127.10.99.1 port 8083",
            id="http-check-address",
        ),
        pytest.param(
            " disabled\n",
            " disabled addr 127.10.99.2\n",
            "the check does not go there, but to 127.10.99.2 port 8000",
            id="line-address",
        ),
    ],
)
async def test_a_check_that_goes_elsewhere(
    engine: ScriptedEngine, good: str, bad: str, mend: str
) -> None:
    """The program listens on its port, and the check asks another: that one is named."""
    address = engine.run("web-1", labels=WEB).address
    async with listening(address):
        with haproxy_process("3.0", config=SHIPPED.replace(good, bad, 1)) as haproxy:
            fill(haproxy, "slot1", address)
            path = haproxy.socket.parent / "haproxy.cfg"
            settings = settings_for(haproxy.url, engine=engine, base_cfg=path)
            found = await until_troubles(settings, Code.SLOT_REFUSED)

    one = the(Code.SLOT_REFUSED, found)
    assert one.thing == "web/slot1"
    assert one.mend.startswith(mend)


async def test_an_address_that_does_not_answer(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """A check that times out is a network that is not shared."""
    address = engine.run("web-1", labels=WEB).address
    async with AsyncExitStack() as stack:
        # A listener whose backlog is full lets further connects wait for ever.
        full = stack.enter_context(
            closing(socket.create_server((address, 8000), backlog=0))
        )
        first = stack.enter_context(closing(socket.socket()))
        first.connect(full.getsockname())
        fill(haproxy3, "slot1", address)
        found = await until_troubles(
            settings_for(haproxy3.url, engine=engine), Code.SLOT_UNREACHABLE
        )

    one = the(Code.SLOT_UNREACHABLE, found)
    assert "L4TOUT" in one.text
    assert 'label `haproxy.network: "NAME"`' in one.mend


async def test_a_container_that_answers_the_check_with_an_error(
    engine: ScriptedEngine,
) -> None:
    """What HAProxy's check got is quoted."""
    address = engine.run("web-1", labels=WEB).address
    text = SHIPPED.replace("balance roundrobin", "option httpchk GET /healthz")
    answer = b"HTTP/1.0 500 Sorry\r\nContent-Length: 0\r\n\r\n"
    async with listening(address, answer):
        with haproxy_process("3.0", config=text) as haproxy:
            fill(haproxy, "slot1", address)
            settings = settings_for(haproxy.url, engine=engine)
            found = await until_troubles(settings, Code.SLOT_DOWN)

    one = the(Code.SLOT_DOWN, found)
    assert "L7STS" in one.text
    assert "`option httpchk`" in one.mend


@pytest.mark.parametrize("state", ["maint", "drain"])
async def test_a_hold(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, state: str
) -> None:
    """By hand, since when, and how to end it; gone once it is ended."""
    address = engine.run("web-1", labels=WEB).address
    settings = settings_for(haproxy3.url, engine=engine)
    async with listening(address):
        fill(haproxy3, "slot1", address)
        runtime(haproxy3, f"set server web/slot1 state {state}")
        found = await troubles(settings)
        runtime(haproxy3, "set server web/slot1 state ready")
        await until_fine(settings)

    one = the(Code.SLOT_HELD, found)
    assert f"web-1 ({address}:8000) is in {state} by hand" in one.text
    # HAProxy 3.0 dates a maint, and no drain.
    assert one.text.endswith(" s") is (state == "maint")
    assert one.mend == "`reconciler ready web/slot1` puts it back"
    assert codes(found) == {Code.SLOT_HELD.text}


async def test_a_slot_of_nobody(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """A slot at an address where no container lives any more."""
    fill(haproxy3, "slot7", "127.10.99.9")

    found = await troubles(settings_for(haproxy3.url, engine=engine))

    one = the(Code.SLOT_STRAY, found)
    assert one.thing == "web/slot7"
    assert "ready at 127.10.99.9:8000, where no container lives" in one.text
    assert "`reconciler plan`" in one.mend


@pytest.mark.parametrize(
    ("slots", "running", "wanted"),
    [
        pytest.param(4, 2, NO_WORDS, id="enough"),
        pytest.param(3, 2, {Code.SLOTS_HEAD_ROOM.text}, id="no-head-room"),
        pytest.param(2, 2, {Code.SLOTS_FULL.text}, id="full"),
        pytest.param(
            2, 3, {Code.SLOTS_FULL.text, Code.CONTAINER_NO_SLOT.text}, id="too-few"
        ),
    ],
)
async def test_slots_against_containers(
    engine: ScriptedEngine, slots: int, running: int, wanted: set[str]
) -> None:
    """A start-first deployment has to fit, too; more slots are the mend."""
    containers = engine.run_many(running, labels=WEB)
    text = SHIPPED.replace("slot 1-64 ", f"slot 1-{slots} ")
    with haproxy_process("3.0", config=text) as haproxy:
        async with AsyncExitStack() as stack:
            for number, one in enumerate(containers[:slots], start=1):
                await stack.enter_async_context(listening(one.address))
                fill(haproxy, f"slot{number}", one.address)
            settings = settings_for(haproxy.url, engine=engine)
            found = await troubles(settings)

    assert codes(found) - {Code.SLOT_REFUSED.text} == wanted
    for finding in found:
        assert "raise the count" in finding.mend
        if finding.section == "backend web":
            assert "`server-template slot 1-8 …`" in finding.mend


async def test_a_backend_named_as_a_service_without_slots(
    engine: ScriptedEngine,
) -> None:
    """The line to add is told, and the label for who fills it by hand."""
    labels = {**WEB, "com.docker.compose.service": "api"}
    engine.run("api-1", labels=labels)
    text = f"{SHIPPED}\nbackend api from http\n    server a 127.0.0.1:1\n"
    with haproxy_process("3.0", config=text) as haproxy:
        settings = settings_for(haproxy.url, engine=engine)
        found = await troubles(settings)
        engine.remove("api-1")
        engine.run("api-2", labels={**labels, "haproxy.enable": "false"})
        after = await troubles(settings)

    one = the(Code.BACKEND_WITHOUT_SLOTS, found)
    assert one.section == "backend api"
    assert "add `server-template slot 1-32 127.255.255.1:PORT" in one.mend
    assert 'label `haproxy.enable: "false"`' in one.mend
    assert codes(found) == {Code.BACKEND_WITHOUT_SLOTS.text}
    assert after == []


async def test_one_process_behind_two_urls(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """The second URL is the one to remove."""
    double = (
        f"unix://{haproxy3.socket.parent}/../{haproxy3.socket.parent.name}/admin.sock"
    )

    found = await troubles(settings_for(haproxy3.url, double, engine=engine))

    one = the(Code.SAME_PROCESS, found)
    assert (one.thing, codes(found)) == (double, {Code.SAME_PROCESS.text})
    assert f"`{double}`" in one.mend
