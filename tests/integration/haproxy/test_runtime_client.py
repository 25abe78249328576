"""The client against real sockets: what it reads, and each way in which one can fail."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.haproxy_process import HaproxyProcess, haproxy_process
from tests.support.requirements import require

from reconciler.errors import (
    ConnectError,
    NoSuchServerError,
    NotSupportedError,
    PermissionDeniedError,
)
from reconciler.haproxy import RuntimeClient


pytestmark = pytest.mark.integration

SOCKETS_CFG = """
global
    stats socket "${HAPROXY_SOCKET}" level admin
    stats socket "${HAPROXY_SOCKET}.user" level user
    stats socket "${HAPROXY_SOCKET}.operator" level operator
    stats socket "ipv4@127.0.0.1:${HAPROXY_RUNTIME_PORT}" level admin
    stats timeout 300ms
defaults
    timeout connect 1s
    timeout client 1s
    timeout server 1s
backend web
    server-template slot 1-1000 127.255.255.1:80 disabled
"""


async def test_typed_answers(haproxy: HaproxyProcess) -> None:
    """Each question gives a typed answer that agrees with the others."""
    async with RuntimeClient(haproxy.url) as client:
        info = await client.show_info()
        servers = await client.show_servers_state()
        in_use = await client.show_servers_conn("web")
        stats = await client.show_stat("echo")

    assert info.process.version.startswith(haproxy.version)
    assert info.process.pid == haproxy.worker_pid()
    assert not info.process.is_stopping
    assert set(servers) == {"web", "echo", "sorry-answer"}
    assert len(servers["web"]) == len(in_use)
    assert servers["web"]["slot1"].address == "127.255.255.1"
    assert servers["web"]["slot1"].port == 8000
    assert servers["web"]["slot1"].is_free
    assert servers["web"]["slot1"].has_check
    assert not servers["web"]["sorry"].has_check
    assert servers["web"]["sorry"].is_up
    assert in_use["web/slot1"] == 0
    assert [row.server for row in stats if row.server in servers["echo"]] == list(
        servers["echo"]
    )
    assert next(row for row in stats if row.server == "slot1").status == "MAINT"


async def test_many_lines_are_one_batch(haproxy: HaproxyProcess) -> None:
    """Thousands of commands in one batch get a reply each, in order."""
    lines = [
        f"set server web/slot{1 + number % 64} weight {number % 256}"
        for number in range(5000)
    ]
    async with RuntimeClient(haproxy.url) as client:
        *replies, last = await client.execute([*lines, "get weight web/slot1"])

    assert [reply.command for reply in replies] == lines
    assert {reply.text for reply in replies} == {""}
    # The last of the lines for slot1 is number 4992 = 78 * 64.
    assert last.text == f"{4992 % 256} (initial 1)"


async def test_large_replies_come_whole(version: str) -> None:
    """Replies far beyond HAProxy's buffer come complete, many in one batch."""
    with haproxy_process(version, config=SOCKETS_CFG) as process:
        async with RuntimeClient(process.url) as client:
            replies = await client.execute(["show servers state", "show stat"] * 20)

    assert {len(reply.text.splitlines()) for reply in replies[::2]} == {1002}
    assert {len(reply.text.splitlines()) for reply in replies[1::2]} == {1002}


async def test_a_refusal_without_an_empty_line_keeps_its_place(
    haproxy: HaproxyProcess,
) -> None:
    """2.6 leaves the empty line out after some refusals: later replies stay in step."""
    async with RuntimeClient(haproxy.url) as client:
        refused, weight, version = await client.execute(
            ["set server web/slot1 weight abc", "get weight web/slot1", "show version"]
        )

    assert refused.text == "Empty weight string empty or preceded by garbage"
    assert refused.severity == 3
    assert weight.text == "1 (initial 1)"
    assert version.text.startswith(haproxy.version)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("show servers state nowhere", NoSuchServerError),
        ("set server nowhere/slot1 state ready", NoSuchServerError),
        ("set server web/slot999 state ready", NoSuchServerError),
        ("set server web state ready", NoSuchServerError),
        ("no such command", NotSupportedError),
    ],
)
async def test_refusals_are_typed(
    haproxy: HaproxyProcess, line: str, error: type[Exception]
) -> None:
    """What HAProxy refuses raises the error that says why."""
    async with RuntimeClient(haproxy.url) as client:
        with pytest.raises(error, match="haproxy answered"):
            await client.ask(line)


@pytest.mark.parametrize("level", ["user", "operator"])
async def test_a_low_level_may_read_but_not_write(version: str, level: str) -> None:
    """On a socket of a lower level a setter is not permitted, and the mend is named."""
    with haproxy_process(version, config=SOCKETS_CFG) as process:
        async with RuntimeClient(f"{process.url}.{level}") as client:
            servers = await client.show_servers_state("web")
            with pytest.raises(PermissionDeniedError, match="level admin"):
                await client.ask("set server web/slot1 weight 3")

    assert len(servers["web"]) == 1000


async def test_a_tcp_socket(version: str) -> None:
    """A runtime socket on TCP works like one in the file system."""
    with haproxy_process(version, config=SOCKETS_CFG) as process:
        url = f"tcp://127.0.0.1:{process.runtime_port}"
        async with RuntimeClient(url) as client:
            info = await client.show_info()

            assert info.process.pid == process.worker_pid()


async def test_a_socket_that_is_absent(tmp_path: Path) -> None:
    """No file: the message says so."""
    client = RuntimeClient(f"unix://{tmp_path}/absent.sock")

    with pytest.raises(ConnectError, match="does not exist"):
        await client.show_info()


async def test_a_socket_that_a_dead_haproxy_left(haproxy: HaproxyProcess) -> None:
    """A file with nobody behind it: the message says so."""
    haproxy.kill()

    with pytest.raises(ConnectError, match="nobody listens"):
        await RuntimeClient(haproxy.url).show_info()


def test_a_socket_that_is_not_permitted(haproxy: HaproxyProcess) -> None:
    """Another user is told about the group and the mode."""
    require(os.geteuid() == 0, "root, to become another user")
    haproxy.socket.parent.chmod(0o755)
    program = (
        "import asyncio, os, sys\n"
        "from reconciler.haproxy import RuntimeClient\n"
        "from reconciler.errors import ConnectError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: asyncio.run(RuntimeClient(sys.argv[1]).show_info())\n"
        "except ConnectError as error: print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, haproxy.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )

    assert "permission denied; join the socket's group" in ran.stdout, ran.stderr


async def test_an_idle_session_that_haproxy_closes(version: str) -> None:
    """The end of an idle session is noticed at once, and is no error for the next batch."""
    with haproxy_process(version, config=SOCKETS_CFG) as process:
        async with RuntimeClient(process.url) as client:
            first = await client.show_info()
            # 2.6 does not close at its `stats timeout`; a kill of the session does.
            if version == "2.6":
                await asyncio.to_thread(_shut_cli_sessions, process)
            async with asyncio.timeout(5):
                await client.wait_closed()
            second = await client.show_info()

    assert second.process == first.process


def _shut_cli_sessions(process: HaproxyProcess) -> None:
    """Have HAProxy end every session."""
    for line in process.raw("show sess").splitlines():
        if line.startswith("0x"):
            process.raw(f"shutdown session {line.split(':')[0]}")


async def test_a_restart_is_noticed_and_survived(haproxy: HaproxyProcess) -> None:
    """A restart ends the session at once; the next batch finds the new process."""
    async with RuntimeClient(haproxy.url) as client:
        before = await client.show_info()
        watch = asyncio.create_task(client.wait_closed())
        await asyncio.to_thread(haproxy.restart)
        async with asyncio.timeout(5):
            await watch
        after = await client.show_info()

    assert after.process.pid != before.process.pid


async def test_wait_closed_without_a_session_returns(haproxy: HaproxyProcess) -> None:
    """There is nothing to wait for before the first batch and after closing."""
    client = RuntimeClient(haproxy.url)
    await client.wait_closed()
    await client.show_info()
    await client.aclose()
    await client.wait_closed()


async def test_batches_of_several_tasks_do_not_mix(haproxy: HaproxyProcess) -> None:
    """Tasks that share a client get their own replies."""

    async def weigh(slot: int) -> str:
        replies = await client.execute(
            [f"set server web/slot{slot} weight {slot}", f"get weight web/slot{slot}"]
        )
        return replies[1].text

    async with RuntimeClient(haproxy.url) as client:
        weights = await asyncio.gather(*(weigh(slot) for slot in range(1, 50)))

    assert weights == [f"{slot} (initial 1)" for slot in range(1, 50)]


async def test_through_the_master(version: str) -> None:
    """The master's socket leads to its newest worker, before and after a reload."""
    with haproxy_process(version, with_master=True) as process:
        async with RuntimeClient(process.master_url) as client:
            before = await client.show_info()
            refused, accepted = await client.execute(
                ["set server web/slot999 weight 1", "set server web/slot1 weight 7"]
            )
            servers = await client.show_servers_state("web")
            await client.aclose()
            await asyncio.to_thread(process.reload)
            after = await client.show_info()

            assert before.process.pid != after.process.pid
            assert after.process.pid == process.worker_pid()
    assert refused.text == "No such server."
    assert accepted.text == ""
    assert servers["web"]["slot1"].weight == 7
