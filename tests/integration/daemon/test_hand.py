"""drain, ready and maint between a real HAProxy, a scripted engine and a daemon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
from tests.integration.daemon.conftest import WEB, table, until, until_placed
from tests.scripted_engine import ScriptedEngine
from tests.scripted_engine.model import ScriptedContainer
from tests.support.daemon import Daemon, Done, run_cli
from tests.support.haproxy_process import HaproxyProcess


pytestmark = pytest.mark.integration

TCP = {**WEB, "haproxy.backend": "echo"}
DRAIN, MAINT = 0x08, 0x01
"""Bits of srv_admin_state: drain and maint by command (management manual 9.3)."""

Ask = Callable[..., Coroutine[None, None, Done]]


@pytest.fixture
def ask(haproxy3: HaproxyProcess, engine: ScriptedEngine) -> Ask:
    """Runs a command between these two."""

    async def run(*arguments: str) -> Done:
        return await run_cli(
            *arguments, "--haproxy", haproxy3.url, "--docker", engine.url
        )

    return run


@pytest.fixture
async def daemon(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> AsyncIterator[Daemon]:
    """A daemon between these two, ready."""
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as one:
        await one.wait_ready()
        yield one


@asynccontextmanager
async def serving(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Listen on some port of every loopback address; give the port."""
    server = await asyncio.start_server(answer, "0.0.0.0", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _hold_open(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Say hello, and stay until the client goes."""
    writer.write(b"hello")
    await reader.read()
    writer.close()


def _admin(haproxy: HaproxyProcess, slot: str, backend: str = "web") -> tuple[int, int]:
    row = table(haproxy, backend)[slot]
    # What the configuration said (0x04, disabled) stays there for ever.
    return row.admin & (DRAIN | MAINT), row.weight


async def test_a_container_is_taken_out_and_put_back_by_any_name(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, daemon: Daemon, ask: Ask
) -> None:
    """By name, by id and by slot; the daemon leaves it alone; 'already' where it is so."""
    one, *others = engine.run_many(3, labels=WEB)
    await until_placed(haproxy3, engine, daemon)
    slots = {row.address: name for name, row in table(haproxy3).items()}
    mine = [slots[each.address] for each in (one, *others)]
    targets = ("web-1", others[0].id[:12], f"web/{mine[2]}")

    for command, state in (("drain", (DRAIN, 1)), ("ready", (0, 1))):
        done = await asyncio.gather(*(ask(command, target) for target in targets))
        assert [(each.code, each.stderr) for each in done] == [(0, "")] * 3
        assert [each.stdout for each in done] == [
            f"web/{slot} ({each.name} {each.address}:8000): {command}\n"
            for slot, each in zip(mine, (one, *others), strict=True)
        ]
        assert [_admin(haproxy3, slot) for slot in mine] == [state] * 3
    again = await ask("ready", "web-1")
    assert again.code == 0
    assert again.stdout.endswith("): ready already\n")

    held = await ask("maint", "web-1", "--json")
    [shown] = json.loads(held.stdout)["slots"]
    assert shown == {
        "haproxy": haproxy3.url,
        "backend": "web",
        "slot": mine[0],
        "state": "maint",
        "changed": True,
        "sessions": None,
        "address": one.address,
        "port": 8000,
        "container_id": one.id,
        "container": "web-1",
    }
    listed, for_people = await asyncio.gather(ask("slots", "--json"), ask("slots"))
    rows = json.loads(listed.stdout)["slots"]
    assert [row["slot"] for row in rows if row["held"]] == [mine[0]]
    assert "maint (held)" in for_people.stdout


async def test_a_hold_survives_the_daemons_other_work(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, daemon: Daemon, ask: Ask
) -> None:
    """An unhealthy verdict, a new daemon and newcomers pass it by; its end ends it."""
    one = engine.run("web-1", labels=WEB, health="healthy")
    await until_placed(haproxy3, engine, daemon)
    assert (await ask("drain", "web-1")).code == 0

    engine.health(one, "unhealthy")
    engine.health(one, "healthy")
    await daemon.kill()
    await daemon.start()
    await daemon.wait_ready()
    two = engine.run("web-2", labels=WEB)
    await until(
        lambda: two.address in [row.address for row in table(haproxy3).values()],
        "web-2 placed",
        daemon,
    )
    assert _admin(haproxy3, "slot1") == (DRAIN, 1)

    engine.die(one)
    await until(
        lambda: table(haproxy3)["slot1"].address.startswith("127.255.255."),
        "slot1 free",
        daemon,
    )


async def test_waiting_for_the_last_session(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, daemon: Daemon, ask: Ask
) -> None:
    """Exit 1 with what is left when the time is over; 0 soon after the last one closed."""
    async with serving(_hold_open) as port:
        one = engine.run(
            "db-1", labels={**TCP, "haproxy.port": str(port)}, ports=[port]
        )
        await until(lambda: _is_up(haproxy3, one), "db-1 up", daemon)
        reader, writer = await asyncio.open_connection("127.0.0.1", haproxy3.tcp_port)
        assert await reader.readexactly(5) == b"hello"

        late = await ask("drain", "db-1", "--wait", "0.5")
        now = await ask("drain", "--wait", "0", "db-1")
        assert (late.code, late.stdout) == (1, "")
        place = f"echo/slot1 (db-1 {one.address}:{port})"
        assert (
            late.stderr == f"error: not so after 0.5 s: {place} still has 1 session\n"
        )
        assert now.stderr == f"error: not so after 0 s: {place} still has 1 session\n"
        assert (_admin(haproxy3, "slot1", "echo"))[0] == DRAIN

        waiting = asyncio.create_task(ask("drain", "--wait", "db-1"))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        writer.close()
        done = await waiting

        assert (done.code, done.stderr) == (0, "")
        assert done.stdout == f"{place}: drain already; 0 sessions\n"


def _is_up(haproxy: HaproxyProcess, one: ScriptedContainer) -> bool:
    rows = haproxy.raw("show servers state echo").splitlines()
    # The sixth column is the operational state: 2 is up.
    return any(row.split()[4:6] == [one.address, "2"] for row in rows if " slot" in row)


async def test_ready_after_maint_gets_no_request_before_its_check(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, daemon: Daemon, ask: Ask
) -> None:
    """The container does not listen at first: it is ready, down, and nobody is sent to it."""
    heard: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(5))
        writer.write(b"hello")
        writer.close()

    async with serving(note) as port:
        one = engine.run(
            "db-1", labels={**TCP, "haproxy.port": str(port)}, ports=[port]
        )
        await until(lambda: _is_up(haproxy3, one), "db-1 up", daemon)
        assert (await ask("maint", "db-1")).code == 0
        await until(
            lambda: _admin(haproxy3, "slot1", "echo")[0] == MAINT, "maint", daemon
        )
    heard.clear()
    back = await ask("ready", "db-1", "--wait", "0.3")

    assert back.code == 1
    assert "db-1" in back.stderr
    assert "is not up: look at its check" in back.stderr
    assert _admin(haproxy3, "slot1", "echo") == (0, 1)
    assert not _is_up(haproxy3, one)
    server = await asyncio.start_server(note, "0.0.0.0", port)
    async with server:
        up = await ask("ready", "db-1", "--wait", "10")
        assert (up.code, up.stderr) == (0, "")
        assert _is_up(haproxy3, one)


async def test_what_cannot_be_meant(engine: ScriptedEngine, ask: Ask) -> None:
    """Exit 1, and the message names the thing, the cause and the mend; nothing happens."""
    engine.stop(engine.run("gone", labels=WEB))
    targets = ("web/slot5", "web/sorry", "web/slot999", "gone", "nobody")

    commands = ("drain", "ready", "maint", "drain", "ready")

    done = await asyncio.gather(*map(ask, commands, targets))

    assert [(one.code, one.stdout) for one in done] == [(1, "")] * 5
    free, static, absent, gone, nobody = [one.stderr for one in done]
    assert free == "error: web/slot5 is free: nobody lives there\n"
    assert static.startswith(
        "error: web/sorry is no slot: those are named slot1, slot2"
    )
    assert "there is no server web/slot999 in unix://" in absent
    assert "see `reconciler slots --all`" in absent
    assert "no slot has a container gone" in gone
    assert "`reconciler explain nobody` for the reason" in nobody


async def test_a_slot_can_be_held_while_docker_is_down(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, daemon: Daemon, ask: Ask
) -> None:
    """By BACKEND/SLOT; a container's name needs the engine, and the message says so."""
    one = engine.run("web-1", labels=WEB)
    await until_placed(haproxy3, engine, daemon)
    await engine.close()

    by_name = await ask("drain", "web-1")
    by_slot = await ask("drain", "web/slot1")

    assert by_name.code == 1
    assert "name the slot, as BACKEND/SLOT" in by_name.stderr
    assert (by_slot.code, by_slot.stderr) == (0, "")
    assert by_slot.stdout == f"web/slot1 ({one.address}:8000): drain\n"
    assert _admin(haproxy3, "slot1") == (DRAIN, 1)
    await engine.start()


async def test_a_stop_is_not_undone_by_hand(
    haproxy3: HaproxyProcess, engine: ScriptedEngine, daemon: Daemon, ask: Ask
) -> None:
    """Drained by the daemon: ready refuses and points at the reason; drain makes it a hold."""
    one = engine.run("web-1", labels=WEB, stop_timeout=60)
    await until_placed(haproxy3, engine, daemon)
    engine.signal(one)
    await until(
        lambda: _admin(haproxy3, "slot1") == (MAINT, 0), "drained by the daemon", daemon
    )

    refused, explained = await asyncio.gather(
        ask("ready", "web-1"), ask("explain", "web-1")
    )
    assert refused.code == 1
    assert "`reconciler explain web-1` says why" in refused.stderr
    assert "its stop signal was sent" in explained.stdout

    held = await ask("drain", "web-1")
    assert held.code == 0
    assert _admin(haproxy3, "slot1") == (DRAIN, 1)
