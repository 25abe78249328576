"""Observing and applying on a real HAProxy, and the traps that this must not fall into."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.haproxy_process import HaproxyProcess, haproxy_process
from tests.support.named_servers import get, named_server

from reconciler.core.model import (
    AdminState,
    ConfirmAddress,
    ServerRef,
    SetAddress,
    SetHealthDown,
    SetHealthUp,
    SetState,
    SetWeight,
)
from reconciler.errors import (
    ConnectError,
    LocalProtocolError,
    NoSuchServerError,
    NotSupportedError,
    PermissionDeniedError,
)
from reconciler.haproxy import RuntimeProxy


pytestmark = pytest.mark.integration

SLOT1 = ServerRef("web", "slot1")

ODD_CFG = """
global
    stats socket "${HAPROXY_SOCKET}" level admin
    stats socket "${HAPROXY_SOCKET}.operator" level operator
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend http-in
    bind "${HAPROXY_HTTP_BIND}"
    default_backend web
backend web
    http-reuse always
    server-template slot 1-4 127.255.255.1:80 disabled
    server checked 127.0.0.1:1 check disabled
    server follower 127.0.0.1:1 track web/checked
    server pipe unix@/nonexistent disabled
"""


async def test_every_action_takes_effect(haproxy: HaproxyProcess) -> None:
    """What was applied is what is observed next."""
    proxy = RuntimeProxy(haproxy.url)
    results = await proxy.apply(
        [
            SetState(SLOT1, AdminState.MAINT),
            SetWeight(SLOT1, 0),
            SetAddress(SLOT1, "127.0.0.77", 8123),
            ConfirmAddress(SLOT1, "127.0.0.77", 8123),
            SetWeight(SLOT1, 9),
            SetState(SLOT1, AdminState.READY),
            SetHealthDown(SLOT1),
        ]
    )
    observed = await proxy.observe(["web"])
    await proxy.aclose()

    assert results == [None] * 7
    server = observed.backends["web"]["slot1"]
    assert (server.address, server.port) == ("127.0.0.77", 8123)
    assert (server.admin, server.weight, server.is_up) == (AdminState.READY, 9, False)
    assert set(observed.backends) == {"web"}


async def test_admin_states_are_decoded_from_their_bits(
    haproxy: HaproxyProcess,
) -> None:
    """A slot born disabled is ready when it is ready, although a bit of its birth stays."""
    proxy = RuntimeProxy(haproxy.url)
    seen = []
    for state in (AdminState.READY, AdminState.DRAIN, AdminState.MAINT):
        assert await proxy.apply([SetState(SLOT1, state)]) == [None]
        observed = await proxy.observe(["web"])
        seen.append(observed.backends["web"]["slot1"].admin)
    await proxy.aclose()

    assert seen == [AdminState.READY, AdminState.DRAIN, AdminState.MAINT]


async def test_a_confirmed_address_is_what_haproxy_reports(
    haproxy: HaproxyProcess,
) -> None:
    """After a confirm, no reading shows the former address, however often it changes."""
    proxy = RuntimeProxy(haproxy.url)
    slots = [ServerRef("web", f"slot{number}") for number in range(1, 65)]
    stale = []
    for turn in range(1, 40):
        address = f"127.0.1.{turn}"
        results = await proxy.apply(
            [SetAddress(slot, address, 80) for slot in slots]
            + [ConfirmAddress(slot, address, 80) for slot in slots]
        )
        observed = await proxy.observe(["web"])
        servers = observed.backends["web"]
        assert results == [None] * 128
        stale += [slot for slot in slots if servers[slot.server].address != address]
    await proxy.aclose()

    assert stale == []


async def test_sessions_in_tcp_mode_are_counted(haproxy: HaproxyProcess) -> None:
    """HAProxy says that no connection is in use; what is read are its open sessions."""
    slot = ServerRef("echo", "slot1")
    proxy = RuntimeProxy(haproxy.url)
    async with named_server("echo", "127.0.0.2") as port:
        results = await proxy.apply(
            [
                SetAddress(slot, "127.0.0.2", port),
                ConfirmAddress(slot, "127.0.0.2", port),
                SetState(slot, AdminState.READY),
                SetHealthUp(slot),
            ]
        )
        assert results == [None] * 4
        _, writer = await asyncio.open_connection("127.0.0.1", haproxy.tcp_port)
        counts: list[int | None] = []
        for wanted in (1, 0):
            async with asyncio.timeout(5):
                while counts[-1:] != [wanted]:
                    observed = await proxy.observe(["echo"], with_connections=True)
                    counts.append(observed.backends["echo"]["slot1"].connections)
                    await asyncio.sleep(0.01)
            writer.close()
        await proxy.aclose()


async def test_ipv6_compares_equal_in_any_spelling(haproxy: HaproxyProcess) -> None:
    """An address in an unusual spelling is confirmed and reported in the usual one."""
    proxy = RuntimeProxy(haproxy.url)
    results = await proxy.apply(
        [
            SetAddress(SLOT1, "2001:DB8:0:0::1", 80),
            ConfirmAddress(SLOT1, "2001:0db8::0001", 80),
        ]
    )
    observed = await proxy.observe(["web"])
    await proxy.aclose()

    assert results == [None, None]
    assert observed.backends["web"]["slot1"].address == "2001:db8::1"


async def test_never_ready_at_a_wrong_address(version: str) -> None:
    """With a slot given from one tenant to the next under load, no request goes astray."""
    with haproxy_process(version, config=ODD_CFG) as process:
        async with (
            named_server("old", "127.0.0.2") as port,
            named_server("new", "127.0.0.3", port),
        ):
            proxy = RuntimeProxy(process.url)
            answers = [
                await _hand_over(proxy, process, port, turn) for turn in range(30)
            ]
            await proxy.aclose()

    assert answers == [["old"] * 5, ["new"] * 5] * 15


async def _hand_over(
    proxy: RuntimeProxy, process: HaproxyProcess, port: int, turn: int
) -> list[str]:
    address = ("127.0.0.2", "127.0.0.3")[turn % 2]
    # The last answer may be here before HAProxy has done with its connection (decision 9).
    async with asyncio.timeout(5):
        while (await proxy.client.show_servers_conn("web"))["web/slot1"]:  # noqa: ASYNC110 - HAProxy tells nobody
            await asyncio.sleep(0.001)
    results = await proxy.apply(
        [
            SetState(SLOT1, AdminState.MAINT),
            SetAddress(SLOT1, address, port),
            ConfirmAddress(SLOT1, address, port),
        ]
    )
    results += await proxy.apply([SetState(SLOT1, AdminState.READY)])
    assert results == [None] * 4
    return [(await get(process.http_port))[1] for _ in range(5)]


async def test_refusals_name_the_action_and_quote_the_answer(version: str) -> None:
    """Each refused action has its own typed error, and the others take effect."""
    with haproxy_process(version, config=ODD_CFG) as process:
        proxy = RuntimeProxy(process.url)
        nowhere, follower = ServerRef("web", "slot99"), ServerRef("web", "follower")
        pipe = ServerRef("web", "pipe")
        results = await proxy.apply(
            [
                SetAddress(nowhere, "10.0.0.7", 80),
                SetHealthDown(follower),
                SetAddress(pipe, "127.0.0.1", 80),
                SetWeight(SLOT1, 5),
                ConfirmAddress(nowhere, "10.0.0.7", 80),
                ConfirmAddress(ServerRef("nowhere", "slot1"), "10.0.0.7", 80),
                ConfirmAddress(pipe, "127.0.0.1", 80),
            ]
        )
        observed = await proxy.observe(["web"])
        await proxy.aclose()

    assert str(results[0]) == (
        "cannot set address of web/slot99 to 10.0.0.7:80: "
        'haproxy answered "No such server."'
    )
    assert [type(result) for result in results] == [
        NoSuchServerError,
        NotSupportedError,
        NotSupportedError,
        type(None),
        NoSuchServerError,
        NoSuchServerError,
        NotSupportedError,
    ]
    assert results[0] is not None
    assert results[0].address == process.url
    assert observed.backends["web"]["slot1"].weight == 5


async def test_a_port_beyond_its_range_is_never_sent(haproxy: HaproxyProcess) -> None:
    """HAProxy would take 99999 modulo 65536; nothing of it is sent."""
    proxy = RuntimeProxy(haproxy.url)
    bad = SetAddress(SLOT1, "127.0.0.1", 99999)
    results = await proxy.apply([bad, SetWeight(SLOT1, 2)])
    observed = await proxy.observe(["web"])
    await proxy.aclose()

    assert isinstance(results[0], LocalProtocolError)
    assert results[1] is None
    server = observed.backends["web"]["slot1"]
    assert (server.address, server.port) == ("127.255.255.1", 8000)
    assert server.weight == 2


async def test_an_address_that_never_shows_is_an_error(haproxy: HaproxyProcess) -> None:
    """Confirming what was not set gives up in about a second, with what is there instead."""
    proxy = RuntimeProxy(haproxy.url)
    started = asyncio.get_running_loop().time()
    (result,) = await proxy.apply([ConfirmAddress(SLOT1, "127.0.0.9", 80)])
    seconds = asyncio.get_running_loop().time() - started
    await proxy.aclose()

    assert str(result) == (
        "cannot confirm address of web/slot1 to 127.0.0.9:80: "
        "haproxy still reports 127.255.255.1:8000"
    )
    assert 1.0 <= seconds < 3.0


async def test_level_operator_refuses_every_setter(version: str) -> None:
    """Each action on a socket of a low level is a permission error, and reading works."""
    with haproxy_process(version, config=ODD_CFG) as process:
        proxy = RuntimeProxy(f"{process.url}.operator")
        results = await proxy.apply(
            [
                SetAddress(SLOT1, "127.0.0.9", 80),
                SetState(SLOT1, AdminState.READY),
                ConfirmAddress(SLOT1, "127.0.0.9", 80),
            ]
        )
        observed = await proxy.observe()
        await proxy.aclose()

    assert [type(result) for result in results] == [PermissionDeniedError] * 3
    assert observed.backends["web"]["slot1"].is_free


async def test_connections_are_read_where_reuse_needs_an_idle_slot(
    haproxy: HaproxyProcess,
) -> None:
    """2.6 needs them and gets them unasked; elsewhere they are read when asked for."""
    proxy = RuntimeProxy(haproxy.url)
    by_itself = await proxy.observe()
    asked = await proxy.observe(["web"], with_connections=True)
    spared = await proxy.observe(["web"], with_connections=False)
    await proxy.aclose()

    expected = 0 if haproxy.version == "2.6" else None
    assert by_itself.backends["web"]["slot1"].connections == expected
    assert asked.backends["web"]["slot1"].connections == 0
    assert spared.backends["web"]["slot1"].connections is None


async def test_last_change_is_on_the_readers_clock(haproxy: HaproxyProcess) -> None:
    """A change just now is just now; what never changed is not in the future."""
    proxy = RuntimeProxy(haproxy.url)
    await proxy.apply([SetState(SLOT1, AdminState.READY)])
    observed = await proxy.observe(["web"])
    now = asyncio.get_running_loop().time()
    await proxy.aclose()

    changed = observed.backends["web"]["slot1"].last_change
    never = observed.backends["web"]["slot2"].last_change
    assert changed is not None
    assert now - 5 < changed <= now
    assert never is None or never <= now


async def test_an_unknown_backend_is_an_error_not_an_empty_one(
    haproxy: HaproxyProcess,
) -> None:
    """A backend that is not there never reads as one without servers."""
    proxy = RuntimeProxy(haproxy.url)
    with pytest.raises(NoSuchServerError, match="Can't find backend"):
        await proxy.observe(["web", "nowhere"])
    await proxy.aclose()


async def test_a_replaced_worker_takes_no_more_actions(version: str) -> None:
    """After a reload the old worker still answers its session: applying to it raises."""
    with haproxy_process(version, with_master=True) as process:
        proxy = RuntimeProxy(process.url)
        before = await proxy.observe()
        # A request in flight is not needed: an open session alone keeps the worker alive.
        await asyncio.to_thread(process.reload)
        with pytest.raises(ConnectError, match="was replaced"):
            await proxy.apply([SetWeight(SLOT1, 3)])
        after = await proxy.observe()
        results = await proxy.apply([SetWeight(SLOT1, 3)])
        await proxy.aclose()

        assert after.process.pid == process.worker_pid()
    assert before.process.pid != after.process.pid
    assert not after.process.is_stopping
    assert results == [None]


async def test_observing_leaves_a_stopping_worker(version: str) -> None:
    """After a reload, the next observation is of the new worker, with no error between."""
    with haproxy_process(version, with_master=True) as process:
        proxy = RuntimeProxy(process.url)
        await proxy.apply([SetWeight(SLOT1, 3)])
        before = await proxy.observe()
        await asyncio.to_thread(process.reload)
        after = await proxy.observe()
        await proxy.aclose()

        assert after.process.pid == process.worker_pid()
    assert before.backends["web"]["slot1"].weight == 3
    assert after.backends["web"]["slot1"].weight == 1


async def test_a_restart_is_another_process(haproxy: HaproxyProcess) -> None:
    """The session's end is noticed, and the process differs."""
    proxy = RuntimeProxy(haproxy.url)
    before = await proxy.process()
    watch = asyncio.create_task(proxy.wait_closed())
    await asyncio.to_thread(haproxy.restart)
    async with asyncio.timeout(5):
        await watch
    with pytest.raises(ConnectError, match="was replaced"):
        await proxy.apply([SetWeight(SLOT1, 3)])
    after = await proxy.process()
    await proxy.aclose()

    assert before != after


async def test_an_absent_haproxy_is_a_connect_error(tmp_path: Path) -> None:
    """Nothing there: observing and applying say so, each time."""
    proxy = RuntimeProxy(f"unix://{tmp_path}/absent.sock")
    for _ in range(2):
        with pytest.raises(ConnectError) as caught:
            await proxy.observe()
        assert caught.value.address == proxy.name
