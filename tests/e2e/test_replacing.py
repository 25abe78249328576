"""Containers are replaced while requests run: what clients see of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import with_few_slots
from tests.support.engine import Engine, wait_until
from tests.support.load import Load, lines, request
from tests.support.singles import Singles
from tests.support.stack import RunningContainer, Stack


SLOW_SECONDS = 4
STOP_SECONDS = 3.0
_ECHO = ("--env=PORT=9000", f"--env=STOP_SECONDS={STOP_SECONDS}")


@pytest.fixture(scope="module")
def stack(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run one stack for all tests here that need no other."""
    with Stack(engine, tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture
def tight_stack(engine: Engine, tmp_path: Path) -> Iterator[Stack]:
    """Run a stack with four slots for ``web``, and four containers that have them."""
    override = with_few_slots(tmp_path, 4)
    with Stack(engine, tmp_path, override=override) as started:
        started.scale("web", 4)
        started.wait_converged("web", 4)
        yield started


def stop_and_remove(stack: Stack, containers: list[RunningContainer]) -> None:
    """One after another, as docs/draining.md has it."""
    for one in containers:
        stack.engine.docker("stop", one.id)
        stack.engine.docker("rm", one.id)


def unplaced(stack: Stack) -> dict[str, tuple[str, str]]:
    """Return cause and reason by container, for all that wait for a slot."""
    return {
        row["container_id"]: (row["cause"], row["reason"])
        for row in stack.slots()["unplaced"]
    }


def test_start_first_loses_nothing(stack: Stack) -> None:
    """Twice as many, then the old ones stop one by one: every GET is answered."""
    stack.scale("web", 4)
    old = stack.wait_converged("web", 4)

    with Load(stack.http_port) as load:
        stack.scale("web", 8)
        everybody = stack.wait_converged("web", 8)
        stop_and_remove(stack, old)
        stack.scale("web", 4)
        new = stack.wait_converged("web", 4)

    assert load.failures == []
    assert load.answered > 100
    assert {one.id for one in new} == {one.id for one in everybody if one not in old}
    assert set(load.by) == {one.id[:12] for one in everybody}


def test_stop_first_loses_no_get(stack: Stack) -> None:
    """`--force-recreate` leaves no server for a moment: GETs wait for the first new one."""
    stack.scale("web", 3)
    old = stack.wait_converged("web", 3)

    with Load(stack.http_port) as load:
        stack.compose("up", "--detach", "--no-deps", "--force-recreate", "web")
        new = stack.wait_converged("web", len(stack.running_containers("web")))

    assert load.failures == []
    assert load.answered > 20  # each client waits for seconds in between
    assert not {one.id for one in old} & {one.id for one in new}
    assert {one.id[:12] for one in new} <= set(load.by)


async def test_start_first_with_no_spare_slot(tight_stack: Stack) -> None:
    """The new ones wait and it is told why; they take the slots as these become idle."""
    stack = tight_stack
    old = stack.wait_converged("web", 4)
    async with Load(stack.http_port) as load:
        await asyncio.to_thread(stack.scale, "web", 8)
        waiting = await asyncio.to_thread(unplaced, stack)
        # Requests that are under way on every old one, longer than it takes to look.
        slow = [
            asyncio.create_task(
                request(stack.http_port, path=f"/slow?ms={SLOW_SECONDS * 1000}")
            )
            for _ in range(24)
        ]
        # HAProxy answers one at a time: none of them is under way before it was sent.
        await asyncio.sleep(0)
        before = load.answered
        while load.answered < before + 50:  # noqa: ASYNC110 - counted by tasks
            await asyncio.sleep(0.01)
        stopping = asyncio.create_task(asyncio.to_thread(stop_and_remove, stack, old))
        draining = await asyncio.to_thread(wait_until_busy, stack)
        answers = await asyncio.gather(*slow)
        await stopping
        await asyncio.to_thread(stack.scale, "web", 4)
        new = await asyncio.to_thread(stack.wait_converged, "web", 4)

    assert load.failures == []
    assert {status for status, _ in answers} == {200}
    assert len(waiting) == 4
    assert not set(waiting) & {one.id for one in old}
    assert {cause for cause, _ in waiting.values()} == {"no_slot"}
    for _, reason in (*waiting.values(), *draining.values()):
        assert "raise the count on its server-template line" in reason
    assert set(draining) <= set(waiting)
    assert set(waiting) == {one.id for one in new}


def wait_until_busy(stack: Stack) -> dict[str, tuple[str, str]]:
    """Return who waits for a slot that is draining, once somebody does."""

    def busy() -> dict[str, tuple[str, str]]:
        return {k: v for k, v in unplaced(stack).items() if v[0] == "slot_busy"}

    return wait_until(busy, claim="somebody waits for a slot that is draining")


async def test_long_connections_and_a_scale_down(stack: Stack) -> None:
    """Those to containers that stay are not touched."""
    await asyncio.to_thread(stack.scale, "echo", 4)
    before = await asyncio.to_thread(stack.wait_converged, "echo", 4)
    async with lines(stack.tcp_port, 12) as opened:
        assert {line.name for line in opened} == {one.id[:12] for one in before}

        await asyncio.to_thread(stack.scale, "echo", 2)
        stayed = await asyncio.to_thread(stack.wait_converged, "echo", 2)

        names = {one.id[:12] for one in stayed}
        kept = [line for line in opened if line.name in names]
        assert len(kept) == 6
        assert all([await line.is_served() for line in kept])
    await asyncio.to_thread(stack.scale, "echo", 1)


@pytest.mark.parametrize("label", ["", "haproxy.drain-shutdown=true"])
async def test_long_connections_of_a_container_that_stops(
    stack: Stack, label: str
) -> None:
    """They live until it ends; with the label until its drain time is over."""
    await asyncio.to_thread(stack.wait_converged, "echo", 1)
    labels = (f"--label={label}", "--label=haproxy.drain=1s") if label else ()
    with Singles(stack, "echo") as singles:
        single = await asyncio.to_thread(singles.run, *_ECHO, *labels)
        await asyncio.to_thread(wait_until_up, stack, single.address)
        async with lines(stack.tcp_port, 6) as opened:
            its = [line for line in opened if line.name == single.id[:12]]
            assert len(its) == 3
            ending = [asyncio.create_task(line.ended()) for line in its[1:]]

            began = time.time()
            stopping = asyncio.create_task(
                asyncio.to_thread(stack.engine.docker, "stop", single.id)
            )
            await asyncio.to_thread(wait_until_drained, stack, single.address)
            async with lines(stack.tcp_port, 4) as newcomers:
                assert single.id[:12] not in {line.name for line in newcomers}
                is_served = label or await its[0].is_served()
            ended = [at - began for at in await asyncio.gather(*ending)]
            await stopping
            state = singles.inspect(single.id)["State"]

            assert is_served
            assert state["ExitCode"] == 0
            if label:
                assert all(1.0 <= seconds < STOP_SECONDS - 0.5 for seconds in ended)
            else:
                assert all(seconds >= STOP_SECONDS for seconds in ended)
            others = [line for line in opened if line not in its]
            assert all([await line.is_served() for line in others])


def wait_until_up(stack: Stack, address: str) -> None:
    """Return when a container's slot takes connections."""
    wait_until(
        lambda: address in stack.ready_addresses("echo"), claim=f"{address} is ready"
    )


def wait_until_drained(stack: Stack, address: str) -> None:
    """Return when a container's slot takes no more connections."""
    wait_until(
        lambda: address not in stack.ready_addresses("echo"), claim=f"{address} is out"
    )
