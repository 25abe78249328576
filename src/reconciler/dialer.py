"""Knocks at the doors of newcomers: is the port open that HAProxy's check would ask for?

HAProxy's first check comes up to a whole ``inter`` after a slot got its address, whatever the
configuration says. Where that check is a plain connect we can do the same, at once and then
every few milliseconds, and tell (docs/decisions/0037).

Nothing depends on it: HAProxy's own checks go on, and decide where we cannot reach an address.
How many sockets are open at once, how many are opened in a second, and for how long, is bounded.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import socket
from collections.abc import Callable, Iterable
from typing import NamedTuple

from reconciler.core.model import Place, ServerRef


FIRST_PAUSE_SECONDS = 0.005
"""Between two attempts, at first: an application is mostly there within some of them."""

QUICK_SECONDS = 2.0
"""So long attempts come as quickly as that. Then twice as slowly each second."""

LONGEST_PAUSE_SECONDS = 0.1
GIVE_UP_SECONDS = 30.0
"""HAProxy's own check has come many times by then."""

MOST_A_SECOND = 1000
"""So often in a second somebody is tried again, however many wait. Everybody's first attempt is
made at once."""

MOST_AT_ONCE = 64
"""So many sockets are open at once."""

ANSWER_SECONDS = 0.25
"""A port that is closed says so at once, in a network that we are in. Silence is the answer of
one that we are not in."""


class _Door(NamedTuple):
    """One port that is knocked at until it is open."""

    place: Place
    since: float
    is_once: bool = False
    """It is tried once, open or not."""


class Dialer:
    """Knocks at the ports of slots, until cancelled. ``opened`` hears of each that opened."""

    def __init__(self, opened: Callable[[ServerRef, Place], None]) -> None:
        self._opened = opened
        self._doors: dict[ServerRef, _Door] = {}
        self._due: list[tuple[float, ServerRef]] = []
        self._queued: dict[ServerRef, float] = {}
        """When each is due next, or was, where it is being tried; what else is due is stale."""
        self._news = asyncio.Event()
        self._places = asyncio.Semaphore(MOST_AT_ONCE)

    def __len__(self) -> int:
        return len(self._doors)

    def begin(
        self, slots: Iterable[tuple[ServerRef, Place]], *, is_once: bool = False
    ) -> None:
        """Knock at the ports of these slots; whatever they had before counts no more.

        With ``is_once`` a port that is closed is left alone.
        """
        now = asyncio.get_running_loop().time()
        for ref, place in slots:
            self._doors[ref] = _Door(place, now, is_once)
            # Whoever waits for its next attempt need not: its tenant is another one now.
            if self._queued.get(ref, math.inf) > now:
                self._queue(ref, now)
        self._news.set()

    def _queue(self, ref: ServerRef, at: float) -> None:
        self._queued[ref] = at
        heapq.heappush(self._due, (at, ref))

    def forget(self, slots: Iterable[ServerRef] | None = None) -> None:
        """Knock no more at the ports of these slots (None: of any)."""
        for ref in list(self._doors) if slots is None else slots:
            self._doors.pop(ref, None)

    async def run(self) -> None:
        """Knock, until cancelled; what is under way ends with it."""
        now = asyncio.get_running_loop().time
        async with asyncio.TaskGroup() as tasks:
            while True:
                if not self._due:
                    self._news.clear()
                    await self._news.wait()
                    continue
                at, ref = self._due[0]
                if self._queued.get(ref) != at:
                    heapq.heappop(self._due)
                    continue
                if at > now():
                    await self._wait(at - now())
                    continue
                heapq.heappop(self._due)
                await self._places.acquire()
                tasks.create_task(self._knock(ref))

    async def _wait(self, seconds: float) -> None:
        """Wait for the next attempt, or for a newcomer."""
        self._news.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    async def _knock(self, ref: ServerRef) -> None:
        """Try one port once, and have it tried again where it was closed."""
        try:
            door = self._doors.get(ref)
            is_open = None if door is None else await _is_open(door.place)
            # Meanwhile it may have got another tenant, who is tried in turn.
            if (
                door is not None
                and self._doors.get(ref) is door
                and is_open is not False
            ):
                del self._doors[ref]
                if is_open:
                    self._opened(ref, door.place)
            self._again(ref, door)
        finally:
            self._places.release()

    def _again(self, ref: ServerRef, tried: _Door | None) -> None:
        """Have a port tried once more, a little later; not for ever."""
        now = asyncio.get_running_loop().time()
        door = self._doors.get(ref)
        if door is not None and door is not tried:
            self._queue(ref, now)  # another tenant's, that came meanwhile
            self._news.set()
            return
        age = 0.0 if door is None else now - door.since
        if door is None or door.is_once or age > GIVE_UP_SECONDS:
            self._doors.pop(ref, None)
            self._queued.pop(ref, None)
            return
        pause = FIRST_PAUSE_SECONDS * 2 ** max(0.0, age - QUICK_SECONDS)
        pause = max(min(pause, LONGEST_PAUSE_SECONDS), len(self._doors) / MOST_A_SECOND)
        self._queue(ref, now + pause)
        self._news.set()


async def _is_open(place: Place) -> bool | None:
    """Return whether a port takes a connection; None where it cannot be reached from here."""
    address, port = place
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.settimeout(0)
            async with asyncio.timeout(ANSWER_SECONDS):
                loop = asyncio.get_running_loop()
                await loop.sock_connect(one, (address, port))
    except (ConnectionRefusedError, ConnectionResetError):
        return False
    except (TimeoutError, OSError):
        return None
    return True
