"""What real HAProxys tell of a check: its result's words, and its port and address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from tests.support.haproxy_process import VERSIONS, haproxy_process
from tests.support.ports import free_ports

from reconciler.core.check_kind import is_plain_result
from reconciler.haproxy import RuntimeProxy


pytestmark = pytest.mark.integration

WAIT_SECONDS = 15.0


class Kind(NamedTuple):
    """A check: lines of its backend, words of its slots, and what is known of it."""

    name: str
    lines: str = ""
    words: str = ""
    is_plain: bool | None = True
    """By its result, where it passes."""
    is_elsewhere: bool = False
    """By the table."""


KINDS = (
    Kind("bare"),
    Kind("no-rules", "option tcp-check"),
    Kind("connect", "option tcp-check\n tcp-check connect", is_plain=None),
    Kind(
        "another-port",
        "option tcp-check\n tcp-check connect port {other}",
        is_plain=None,
    ),
    Kind(
        "send",
        "option tcp-check\n tcp-check connect\n tcp-check send PING",
        is_plain=False,
    ),
    Kind("http", "option httpchk GET /", is_plain=False),
    Kind("port", words="port {other}", is_elsewhere=True),
    Kind("addr", words="addr 127.0.0.1", is_elsewhere=True),
    Kind("default", "default-server port {other}", is_elsewhere=True),
)

CONFIG = """
global
    stats socket ${HAPROXY_SOCKET} mode 660 level admin
defaults
    mode tcp
    timeout connect 1s
    timeout client 5s
    timeout server 5s
    timeout check 1s
"""


def config(port: int, other: int) -> str:
    """Return a backend for each kind, with one slot that is checked from the start."""
    return CONFIG + "".join(
        f"backend {one.name}\n {one.lines.format(other=other)}\n"
        f" server-template slot 1-1 127.0.0.1:{port} check inter 100ms "
        f"{one.words.format(other=other)}\n"
        for one in KINDS
    )


@asynccontextmanager
async def answering(*ports: int) -> AsyncIterator[None]:
    """Serve ports that answer whatever is asked with HTTP."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1024):
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    servers = [await asyncio.start_server(serve, "127.0.0.1", port) for port in ports]
    try:
        yield
    finally:
        for server in servers:
            server.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_passing_check_tells_its_kind(version: str) -> None:
    """Rules that only connect pass as a plain check does, and HAProxy says that they are rules."""
    port, other = free_ports(2)
    with haproxy_process(version, config=config(port, other)) as haproxy:
        proxy = RuntimeProxy(haproxy.url)
        async with answering(port, other):
            tables = (await proxy.observe()).backends
            for one in KINDS:
                slot = tables[one.name]["slot1"]
                async with asyncio.timeout(WAIT_SECONDS):
                    while "OK" not in (found := await proxy.check_result(slot) or ""):  # noqa: ASYNC110
                        await asyncio.sleep(0.01)

                assert is_plain_result(found) is one.is_plain, (one.name, found)
                assert slot.is_checked_elsewhere is one.is_elsewhere, one.name
        await proxy.aclose()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_check_that_was_sent_elsewhere_is_seen(version: str) -> None:
    """Also where somebody did that at run time; and a slot's own port is never meant."""
    port, other = free_ports(2)
    with haproxy_process(version, config=config(port, other)) as haproxy:
        proxy = RuntimeProxy(haproxy.url)

        async def is_elsewhere() -> bool:
            slot = (await proxy.observe(["bare"])).backends["bare"]["slot1"]
            return slot.is_checked_elsewhere

        await asyncio.to_thread(
            haproxy.raw, f"set server bare/slot1 addr 127.0.0.9 port {other}"
        )
        assert not await is_elsewhere()
        await asyncio.to_thread(haproxy.raw, f"set server bare/slot1 check-port {port}")
        assert await is_elsewhere()
        await proxy.aclose()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_server_that_speaks_tls_is_seen(version: str) -> None:
    """Its check does, too, whatever other lines of its backend say."""
    text = CONFIG + (
        "backend mixed\n"
        " server-template slot 1-1 127.255.255.1:80 disabled check\n"
        " server-template slot 2-2 127.255.255.1:443 disabled check ssl verify none\n"
    )
    with haproxy_process(version, config=text) as haproxy:
        proxy = RuntimeProxy(haproxy.url)
        slots = (await proxy.observe()).backends["mixed"]
        await proxy.aclose()

    found = {name: slot.is_checked_elsewhere for name, slot in slots.items()}
    assert found == {"slot1": False, "slot2": True}
