"""What the journal remembers of passes, and how it is followed."""

from __future__ import annotations

import asyncio
import time

from tests.fakes.containers import container
from tests.fakes.loop import Loop, looping
from tests.fakes.proxy import FakeProxy

from reconciler.core.model import AdminState, ServerRef, SetAddress
from reconciler.journal import Entry, Journal


NAME = "unix:///fake"
ONE, TWO = container(1), container(2)
SLOT1 = ServerRef("web", "slot1")


def kinds(loop: Loop) -> list[str]:
    """Return the kinds of everything that is remembered, in order."""
    return [entry.kind for entry in loop.journal.entries()]


def last(loop: Loop, kind: str) -> Entry:
    """Return the youngest entry of a kind."""
    return [entry for entry in loop.journal.entries() if entry.kind == kind][-1]


async def test_an_assignment_says_who_where_why_and_how_late() -> None:
    """The entry of a change has all that a reader needs, and its event's latency."""
    async with looping(FakeProxy()) as loop:
        await loop.reporter.until_passes(1)
        loop.start(ONE, at=time.time() - 0.002)
        await loop.reporter.until_passes(2)
        entry = last(loop, "assign")

    assert (entry.haproxy, entry.backend, entry.slot) == (NAME, "web", "slot1")
    assert (entry.address, entry.port) == (ONE.networks[0].ipv4, 8000)
    assert (entry.container, entry.container_id) == (ONE.name, ONE.id)
    assert (entry.service, entry.reason) == ("web", "a new endpoint")
    assert entry.latency_ms is not None
    assert entry.latency_ms >= 2


async def test_a_release_names_the_container_that_has_gone() -> None:
    """Who lived there is known although the container is in no list any more."""
    async with looping(FakeProxy(), containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        loop.gone(ONE)
        await loop.reporter.until_passes(2)
        entry = last(loop, "release")

    assert (entry.container, entry.container_id) == (ONE.name, ONE.id)


async def test_who_has_no_slot_is_told_once() -> None:
    """Further passes with the same reason add nothing."""
    async with looping(FakeProxy(slots=1), containers=(ONE, TWO)) as loop:
        await loop.reporter.until_passes(1)
        loop.workers[0].observe_again("the test asks")
        await loop.reporter.until_passes(2)

        assert kinds(loop).count("unplaced") == 1
        assert last(loop, "unplaced").container == TWO.name
        assert "all 1 slots" in last(loop, "unplaced").reason


async def test_a_refused_command_is_told_with_haproxys_words() -> None:
    """The slot is named, and why HAProxy did not do it."""
    proxy = FakeProxy()
    refusals = iter([True])
    proxy.refuses = lambda action: (
        isinstance(action, SetAddress) and next(refusals, False)
    )
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(2)

        assert kinds(loop).count("refused") == 1
        assert last(loop, "refused").slot == "slot1"
        assert "cannot change" in last(loop, "refused").reason


async def test_a_haproxy_that_goes_and_comes_back_is_told() -> None:
    """Lost once, however many passes fail; then replaced, and reached again."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        proxy.is_dead = True
        proxy.end_session()
        await loop.reporter.until_passes(4)
        proxy.is_dead = False
        proxy.restart()
        await loop.reporter.until(
            lambda: loop.controller.workers[0].is_reached, "the return"
        )

        found = kinds(loop)
        assert found[:3] == ["docker_followed", "haproxy_reached", "assign"]
        assert sorted(found[3:]) == [
            "assign",
            "haproxy_lost",
            "haproxy_reached",
            "haproxy_replaced",
        ]


async def test_an_operators_hold_is_told_at_a_resync() -> None:
    """Held when it is first seen, unheld when it is over."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,), resync_seconds=0.02) as loop:
        await loop.reporter.until_passes(1)
        proxy.set(SLOT1, admin=AdminState.DRAIN)
        await loop.reporter.until(lambda: "held" in kinds(loop), "the hold")
        proxy.set(SLOT1, admin=AdminState.READY)
        await loop.reporter.until(lambda: "unheld" in kinds(loop), "its end")

        assert last(loop, "held").slot == "slot1"
        assert last(loop, "held").reason == "an operator put it in drain"
        assert kinds(loop).count("held") == 1


async def test_docker_that_goes_and_comes_back_is_told() -> None:
    """Once for each loss, with its reason."""
    async with looping(FakeProxy()) as loop:
        for _ in range(2):
            loop.controller.engine_lost("docker at x cannot be reached")
        loop.controller.listed()

        assert kinds(loop)[-2:] == ["docker_lost", "docker_followed"]
        assert last(loop, "docker_lost").reason == "docker at x cannot be reached"


def note(journal: Journal, count: int) -> None:
    """Put some entries into a journal."""
    for number in range(count):
        journal.docker_lost(f"reason {number}")


def test_the_memory_is_bounded_and_says_what_it_lost() -> None:
    """The oldest go first; a reader is told how many it missed."""
    journal = Journal(kept=3)
    note(journal, 5)

    assert [entry.id for entry in journal.entries()] == [3, 4, 5]
    assert [entry.id for entry in journal.entries(after=4)] == [5]
    assert journal.entries(after=5) == []
    assert (journal.missed(after=0), journal.missed(after=2)) == (2, 0)


def test_entries_before_a_time_are_left_out() -> None:
    """``since`` is compared with the daemon's clock."""
    times = iter([10.0, 20.0, 30.0])
    journal = Journal(clock=lambda: next(times))
    note(journal, 3)

    assert [entry.at for entry in journal.entries(since=20.0)] == [20.0, 30.0]


async def test_followers_get_everything_once_and_in_order() -> None:
    """Two readers with places of their own see the same; one waits for what is to come."""
    journal = Journal()
    note(journal, 2)
    behind, ahead = journal.follow(after=0), journal.follow(after=2)
    first = await anext(behind)
    waiting = asyncio.create_task(_next_ids(ahead))
    await asyncio.sleep(0)
    note(journal, 2)

    assert [entry.id for entry in first] == [1, 2]
    assert await waiting == [3, 4]
    assert [entry.id for entry in await anext(behind)] == [3, 4]
    await behind.aclose()
    await ahead.aclose()


async def _next_ids(following: object) -> list[int]:
    return [entry.id for entry in await anext(following)]  # type: ignore[call-overload]
