"""The operator's hand: what is taken out of rotation stays out, whatever else happens."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.conftest import with_few_slots
from tests.support.engine import Engine, wait_until
from tests.support.load import Load, request
from tests.support.stack import RunningContainer, Stack


MAINT, DRAIN = 0x01, 0x08
_METRICS = (
    "import urllib.request as u;"
    "print(u.urlopen('http://127.0.0.1:9700/metrics').read().decode())"
)


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a stack with four slots for ``web``, and a resync each second."""
    folder = tmp_path_factory.mktemp("stack")
    resync = 'environment: {RECONCILER_RESYNC: "1"}'
    override = with_few_slots(folder, 4, reconciler=resync)
    with Stack(engine, folder, override=override) as started:
        yield started


def by_hand(stack: Stack, *words: str) -> str:
    """Run a command of ours in the reconciler's container."""
    return stack.exec("reconciler", "reconciler", *words)


def slot_of(stack: Stack, container: RunningContainer) -> str:
    """Return the name of the slot that has a container's address."""
    (name,) = [
        row.name for row in stack.servers("web") if row.address == container.address
    ]
    return name


def passes(stack: Stack) -> float:
    """Return how many passes the running reconciler has finished; raises where it is not up."""
    text = stack.exec("reconciler", "python3", "-c", _METRICS)
    found = re.findall(
        r'^reconciler_passes_total\{.*"converged"\} (\S+)', text, re.MULTILINE
    )
    return sum(map(float, found))


async def test_drain_wait_and_stop_loses_nothing(stack: Stack) -> None:
    """`drain --wait` returns when the last request has ended; then a stop hurts nobody."""
    await asyncio.to_thread(stack.scale, "web", 2)
    going, _ = await asyncio.to_thread(stack.wait_converged, "web", 2)
    answered_at: list[float] = []

    async def ask_slowly() -> None:
        status, body = await request(stack.http_port, path="/slow?ms=3000")
        assert status == 200
        if body.startswith(going.id[:12]):
            answered_at.append(time.monotonic())

    async with Load(stack.http_port) as load:
        async with asyncio.TaskGroup() as slow:
            for _ in range(12):
                slow.create_task(ask_slowly())
            await asyncio.to_thread(
                wait_until, lambda: load.answered > 20, claim="requests are answered"
            )
            began = time.monotonic()
            await asyncio.to_thread(by_hand, stack, "drain", going.name, "--wait", "30")
            returned = time.monotonic()
            assert answered_at, "no slow request was at the container that goes"
        await asyncio.to_thread(stack.engine.docker, "stop", going.id)
        await asyncio.to_thread(stack.wait_converged, "web", 1)

    assert began < max(answered_at) < returned
    assert load.failures == []


def test_a_hold_is_respected_until_its_container_goes(stack: Stack) -> None:
    """Over other containers, resyncs, a restart and a SIGKILL; not beyond the container."""
    stack.scale("web", 3)
    by_cli, by_socket, other = stack.wait_converged("web", 3)
    cli_slot, socket_slot = slot_of(stack, by_cli), slot_of(stack, by_socket)

    by_hand(stack, "drain", by_cli.name)
    stack.runtime(f"set server web/{socket_slot} state maint")

    def assert_held(*ready: RunningContainer) -> None:
        rows = {row.name: row for row in stack.servers("web")}
        held, put_by = rows[cli_slot], rows[socket_slot]
        assert (held.address, held.weight) == (by_cli.address, 1)
        assert held.admin & DRAIN
        assert (put_by.address, put_by.weight) == (by_socket.address, 1)
        assert put_by.admin & MAINT
        assert stack.ready_addresses("web") == sorted(one.address for one in ready)

    def wait_for_passes() -> None:
        """Some more, and with a resync each second they are resyncs."""
        before = wait_until(lambda: [passes(stack)], claim="it has looked")[0]
        wait_until(lambda: passes(stack) >= before + 2, claim="it has looked again")

    stack.scale("web", 4)
    (fourth,) = set(stack.running_containers("web")) - {by_cli, by_socket, other}
    wait_until(
        lambda: fourth.address in stack.ready_addresses("web"), claim="another is ready"
    )
    wait_for_passes()
    assert_held(other, fourth)
    assert {row["slot"] for row in web_slots(stack) if row["held"]} == {
        cli_slot,
        socket_slot,
    }

    reconciler = stack.container("reconciler")
    stack.engine.docker("restart", reconciler)
    wait_for_passes()
    assert_held(other, fourth)

    stack.engine.docker("kill", "--signal=KILL", reconciler)
    stack.engine.docker("start", reconciler)
    wait_for_passes()
    assert_held(other, fourth)

    by_hand(stack, "ready", by_socket.name, "--wait", "10")
    assert by_socket.address in stack.ready_addresses("web")

    stack.engine.docker("rm", "--force", by_cli.id)
    wait_until(
        lambda: (
            (cli_slot, "free") in {(r["slot"], r["state"]) for r in web_slots(stack)}
        ),
        claim="the slot of who has gone is free",
    )
    stack.scale("web", 4)
    everybody = stack.wait_converged("web", 4)
    (newcomer,) = set(everybody) - {by_cli, by_socket, other, fourth}
    assert slot_of(stack, newcomer) == cli_slot
    assert not [row for row in web_slots(stack) if row["held"]]


def web_slots(stack: Stack) -> list[dict[str, Any]]:
    """Return the rows of ``slots --json`` for web."""
    rows: list[dict[str, Any]] = stack.slots("--backend", "web")["slots"]
    return rows
