"""The relay that goes wrong on demand, between the client and a real HAProxy."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.fault_socket import FaultSocket
from tests.support.haproxy_process import HaproxyProcess
from tests.support.slots import table

from reconciler.errors import ConnectError, RemoteProtocolError, ReplyTimeoutError
from reconciler.haproxy import RuntimeClient


pytestmark = pytest.mark.integration

WEIGHT = "set server web/slot{} weight {}"


@pytest.fixture
async def relay(haproxy: HaproxyProcess) -> AsyncIterator[FaultSocket]:
    """A relay in front of a real HAProxy of each version."""
    folder = Path(tempfile.mkdtemp(prefix="relay-"))
    async with FaultSocket(folder / "relay.sock", haproxy.socket) as one:
        yield one
    shutil.rmtree(folder)


@pytest.fixture
async def client(relay: FaultSocket) -> AsyncIterator[RuntimeClient]:
    """A client that talks to HAProxy through the relay, and is not patient."""
    async with RuntimeClient(relay.url, timeout_seconds=0.3) as one:
        yield one


def weights(haproxy: HaproxyProcess, count: int) -> list[int]:
    """Return the weights of the first slots, asked of HAProxy itself."""
    shown = table(haproxy)
    return [shown[f"slot{number}"].weight for number in range(1, count + 1)]


async def test_bytes_pass_through(
    haproxy: HaproxyProcess, client: RuntimeClient
) -> None:
    """Without a fault the relay is not there: the same replies, the same effects."""
    lines = [WEIGHT.format(1, 7), "show info", WEIGHT.format(2, 8)]
    first, shown, last = await client.execute(lines)

    assert (first.text, last.text) == ("", "")
    assert f"Pid: {haproxy.worker_pid()}" in shown.text
    assert weights(haproxy, 2) == [7, 8]


async def test_one_line_of_a_batch_is_refused(
    haproxy: HaproxyProcess, relay: FaultSocket, client: RuntimeClient
) -> None:
    """Its answer comes in its place, HAProxy never sees it, and all others take effect."""
    relay.refuse("set server web/slot2 *")
    lines = [WEIGHT.format(number, 5) for number in (1, 2, 3)]
    answers = await client.execute([*lines, "show info", lines[1]])

    assert [one.text for one in answers[:3]] == ["", "No such server.", ""]
    assert answers[1].severity == 3
    assert "Pid: " in answers[3].text
    assert answers[4].text == ""
    assert relay.hits["refuse"] == 1
    assert weights(haproxy, 3) == [5, 5, 5]


async def test_a_refused_line_has_no_effect(
    haproxy: HaproxyProcess, relay: FaultSocket, client: RuntimeClient
) -> None:
    """A line alone in its batch is answered though HAProxy has nothing to say."""
    before = weights(haproxy, 1)
    relay.refuse("set server *", answer="[4]: Not today.")
    [answer] = await client.execute([WEIGHT.format(1, 5)])

    assert answer.text == "Not today."
    assert weights(haproxy, 1) == before != [5]


async def test_a_reply_is_cut(
    haproxy: HaproxyProcess, relay: FaultSocket, client: RuntimeClient
) -> None:
    """The connection breaks in the middle of a reply, after the line took effect."""
    await client.execute(["show info"])
    relay.cut(after="set server")
    with pytest.raises(RemoteProtocolError, match="closed the session"):
        await client.execute([WEIGHT.format(1, 9), "show info"])

    assert weights(haproxy, 1) == [9]
    assert len(await client.execute(["show info"])) == 1


async def test_a_reply_is_garbled(relay: FaultSocket, client: RuntimeClient) -> None:
    """Foreign bytes stand in the reply; a foreign prompt makes one reply too many."""
    relay.garble(b"\xff\x00", after="show info")
    [answer] = await client.execute(["show info"])
    relay.garble(b"\n> ", after="show info")
    first, second = await client.execute(["show info", "show servers state web"])

    assert "\\xff" in answer.text
    assert "srv_name" not in first.text + second.text


async def test_a_reply_is_late(relay: FaultSocket, client: RuntimeClient) -> None:
    """A little late is no fault; later than the time-out is one."""
    now = asyncio.get_running_loop().time
    relay.delay(0.1)
    began = now()
    await client.execute(["show info"])
    assert now() - began >= 0.1

    relay.delay(10)
    with pytest.raises(ReplyTimeoutError):
        await client.execute(["show info"])
    assert relay.hits["delay"] == 2


async def test_a_stall(
    haproxy: HaproxyProcess, relay: FaultSocket, client: RuntimeClient
) -> None:
    """Nothing is answered; what was sent meanwhile takes effect afterwards."""
    await client.execute(["show info"])
    relay.stall()
    before = weights(haproxy, 1)
    with pytest.raises(ReplyTimeoutError):
        await client.execute([WEIGHT.format(1, 6)])
    with pytest.raises(ReplyTimeoutError):
        await client.execute(["show info"])
    assert weights(haproxy, 1) == before

    relay.resume()
    await client.execute(["show info"])
    async with asyncio.timeout(5):
        while weights(haproxy, 1) != [6]:  # noqa: ASYNC110 - HAProxy tells nobody
            await asyncio.sleep(0.01)


async def test_no_connection_is_taken(
    relay: FaultSocket, client: RuntimeClient
) -> None:
    """An open session goes on; a new one is refused, until the relay accepts again."""
    await client.execute(["show info"])
    await relay.refuse_connections()
    await client.execute(["show info"])
    relay.hang_up()
    await client.wait_closed()
    with pytest.raises(ConnectError, match="nobody listens there"):
        await client.execute(["show info"])

    await relay.behave()
    assert len(await client.execute(["show info"])) == 1
