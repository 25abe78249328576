"""Knocking at ports: until they open, not for ever, and never too many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.ports import free_ports

from reconciler import dialer as dialer_module
from reconciler.core.model import Place, ServerRef
from reconciler.dialer import Dialer


WAIT_SECONDS = 10.0
REF = ServerRef("web", "slot1")


class Opened:
    """Who opened, in order, and a way to wait for them."""

    def __init__(self) -> None:
        self.found: list[tuple[ServerRef, Place]] = []
        self._news = asyncio.Event()

    def __call__(self, ref: ServerRef, place: Place) -> None:
        """One opened."""
        self.found.append((ref, place))
        self._news.set()

    async def until(self, count: int) -> None:
        """Return once so many have."""
        async with asyncio.timeout(WAIT_SECONDS):
            while len(self.found) < count:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def dialing() -> AsyncIterator[tuple[Dialer, Opened]]:
    """Run a dialer."""
    opened = Opened()
    dialer = Dialer(opened)
    running = asyncio.create_task(dialer.run())
    try:
        yield dialer, opened
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def listening(port: int) -> AsyncIterator[None]:
    """Serve a port, and hang up at once."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield


async def until_gone(dialer: Dialer) -> None:
    """Return once nobody is knocked at any more."""
    async with asyncio.timeout(WAIT_SECONDS):
        while len(dialer):  # noqa: ASYNC110 - nobody is told that it gives up
            await asyncio.sleep(0.005)


async def test_an_open_port_is_told_at_once() -> None:
    """Once, with the place that was knocked at."""
    (port,) = free_ports(1)
    async with listening(port), dialing() as (dialer, opened):
        dialer.begin([(REF, ("127.0.0.1", port))])
        await opened.until(1)

        assert opened.found == [(REF, ("127.0.0.1", port))]
        assert len(dialer) == 0


async def test_a_closed_port_is_tried_until_it_opens() -> None:
    """The application may take its time."""
    (port,) = free_ports(1)
    async with dialing() as (dialer, opened):
        dialer.begin([(REF, ("127.0.0.1", port))])
        await asyncio.sleep(0.05)
        assert opened.found == []
        async with listening(port):
            await opened.until(1)


async def test_it_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """HAProxy's own checks go on anyway."""
    monkeypatch.setattr(dialer_module, "GIVE_UP_SECONDS", 0.03)
    (port,) = free_ports(1)
    async with dialing() as (dialer, opened):
        dialer.begin([(REF, ("127.0.0.1", port))])
        await until_gone(dialer)

        assert opened.found == []


async def test_what_cannot_be_reached_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Silence, or no way there: another network, of which HAProxy knows more."""
    asked: list[Place] = []

    async def silent(place: Place) -> None:
        asked.append(place)

    monkeypatch.setattr(dialer_module, "_is_open", silent)
    async with dialing() as (dialer, opened):
        dialer.begin([(REF, ("127.0.0.1", 1))])
        await until_gone(dialer)

        assert (len(asked), opened.found) == (1, [])


async def test_a_slot_with_another_tenant_is_not_told_of_the_former(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An answer that comes too late is nobody's."""
    first, second = ("127.0.0.1", 1), ("127.0.0.1", 2)
    gate = asyncio.Event()
    asked: list[Place] = []

    async def slow(place: Place) -> bool:
        asked.append(place)
        if place == first:
            await gate.wait()
        return True

    monkeypatch.setattr(dialer_module, "_is_open", slow)
    async with dialing() as (dialer, opened):
        dialer.begin([(REF, first)])
        async with asyncio.timeout(WAIT_SECONDS):
            while not asked:  # noqa: ASYNC110
                await asyncio.sleep(0)
        dialer.begin([(REF, second)])
        gate.set()
        await opened.until(1)

        assert opened.found == [(REF, second)]


async def test_who_is_forgotten_is_not_told() -> None:
    """HAProxy went away: what it had does not count."""
    (port,) = free_ports(1)
    async with dialing() as (dialer, opened):
        dialer.begin([(REF, ("127.0.0.1", port))])
        dialer.forget()
        async with listening(port):
            await asyncio.sleep(0.05)

        assert (opened.found, len(dialer)) == ([], 0)


async def test_never_too_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many slots wait."""
    now, most = 0, 0

    async def counted(place: Place) -> bool:
        nonlocal now, most
        del place
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1
        return True

    monkeypatch.setattr(dialer_module, "_is_open", counted)
    async with dialing() as (dialer, opened):
        dialer.begin(
            (ServerRef("web", f"slot{n}"), ("127.0.0.1", n)) for n in range(1, 400)
        )
        await opened.until(399)

        assert most <= dialer_module.MOST_AT_ONCE


async def test_slots_that_come_and_go_leave_nothing() -> None:
    """One slot that is begun and forgotten a thousand times waits once."""
    async with dialing() as (dialer, _):
        for _turn in range(1000):
            dialer.begin([(REF, ("127.0.0.1", 1))])
            dialer.forget([REF])

        assert len(dialer._due) <= 1


async def test_a_look_is_one_attempt() -> None:
    """A port that is closed at that moment is left alone."""
    (port,) = free_ports(1)
    async with dialing() as (dialer, opened):
        dialer.begin([(REF, ("127.0.0.1", port))], is_once=True)
        await until_gone(dialer)

        assert (opened.found, dialer._queued, dialer._due) == ([], {}, [])


async def test_a_new_tenant_does_not_wait_for_the_former_ones_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The slot's next attempt was far off; whoever gets the slot is tried at once."""
    monkeypatch.setattr(dialer_module, "FIRST_PAUSE_SECONDS", 3600.0)
    monkeypatch.setattr(dialer_module, "LONGEST_PAUSE_SECONDS", 3600.0)
    closed, port = free_ports(2)
    async with listening(port), dialing() as (dialer, opened):
        dialer.begin([(REF, ("127.0.0.1", closed))])
        async with asyncio.timeout(WAIT_SECONDS):
            now = asyncio.get_running_loop().time
            while dialer._queued[REF] <= now():  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0)
        dialer.begin([(REF, ("127.0.0.1", port))])
        await opened.until(1)

        assert opened.found == [(REF, ("127.0.0.1", port))]
