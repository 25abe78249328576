"""HAProxy's statistics, read only while somebody looks.

Each HAProxy has a session and a task of its own here, so one that stalls delays neither
the others nor the daemon. However many look, each HAProxy is read once, about once a
second, and never for more than a twentieth of the time: after a reading that took 100 ms,
as one of 20,000 servers does, it is left alone for two seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType

from reconciler.core.model import ServerRef
from reconciler.core.view import Reading
from reconciler.errors import RuntimeSocketError
from reconciler.ports import Proxy


EVERY_SECONDS = 1.0
SOONEST_SECONDS = 0.1
"""How soon after a reading the next may follow where the map has changed."""

MOST_SHARE = 0.05
"""The most of the time that a HAProxy, and this process, may be busy with it."""

LONGEST_PAUSE_SECONDS = 15.0

RECENT_SECONDS = 1.0
"""A reading that is not older is recent enough for whoever asks once."""

STALE_SECONDS = 5.0
"""One that is older than this, and than the pause asks for, is no reading any more."""

LINGER_SECONDS = 5.0
"""How long after the last look the sessions are kept: who asks once a second finds them."""

_NOTHING: Mapping[ServerRef, Reading] = MappingProxyType({})


class Gauge:
    """The latest statistics of one HAProxy, and the task that reads them."""

    def __init__(self, proxy: Proxy, news: asyncio.Event) -> None:
        """``news`` is set with every reading, and with every failure to read."""
        self._proxy = proxy
        self._news = news
        self._latest = _NOTHING
        self._began = 0.0
        self._pause = EVERY_SECONDS
        self._hurry = asyncio.Event()
        self._answered = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def began(self) -> float:
        """When, on the loop's clock, the latest reading began: it tells nothing younger."""
        return self._began

    def latest(self) -> Mapping[ServerRef, Reading]:
        """Return the latest reading, an empty one where there is none of use."""
        longest = max(STALE_SECONDS, 2 * self._pause)
        return self._latest if self._age() <= longest else _NOTHING

    async def recent(self) -> Mapping[ServerRef, Reading]:
        """Return a recent reading, waiting for it if need be: for ever, with no limit."""
        while self._age() > max(RECENT_SECONDS, self._pause):
            self.hurry()
            await self._answered.wait()
        return self._latest

    def hurry(self) -> None:
        """Read as soon as is decent: something has changed."""
        self._hurry.set()

    def start(self) -> None:
        """Begin to read, where that is not going on."""
        if self._task is None:
            self._task = asyncio.create_task(self._read_on())

    async def aclose(self) -> None:
        """Read no more, and close the session."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._latest = _NOTHING
        await self._proxy.aclose()

    def _age(self) -> float:
        if self._latest is _NOTHING:
            return float("inf")
        return asyncio.get_running_loop().time() - self._began

    async def _read_on(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._hurry.clear()
            began = clock()
            try:
                latest = await self._proxy.readings()
            except RuntimeSocketError:
                # The worker meets the same trouble, and tells it.
                self._latest, self._pause = _NOTHING, EVERY_SECONDS
                soonest = EVERY_SECONDS
            else:
                self._latest, self._began = latest, began
                soonest = max(SOONEST_SECONDS, (clock() - began) / MOST_SHARE)
                soonest = min(soonest, LONGEST_PAUSE_SECONDS)
                self._pause = max(EVERY_SECONDS, soonest)
                answered, self._answered = self._answered, asyncio.Event()
                answered.set()
            self._news.set()
            await asyncio.sleep(soonest)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause - soonest):
                    await self._hurry.wait()


class Statistics:
    """The gauges of all HAProxies, running while somebody looks."""

    def __init__(self, proxies: Sequence[Proxy] = ()) -> None:
        """``proxies`` are for this alone: they share no session with the loop's."""
        self.news = asyncio.Event()
        """Set with every reading; whoever waits for it clears it."""
        self._gauges = {proxy.name: Gauge(proxy, self.news) for proxy in proxies}
        self._closing: set[asyncio.Task[None]] = set()
        self._eyes = 0
        self._lingering: asyncio.Task[None] | None = None

    def gauge(self, haproxy: str) -> Gauge | None:
        """Return the gauge of a HAProxy, None where it has none."""
        return self._gauges.get(haproxy)

    def add(self, proxy: Proxy) -> None:
        """Another HAProxy is there."""
        gauge = self._gauges[proxy.name] = Gauge(proxy, self.news)
        if self._eyes or self._lingering is not None:
            gauge.start()

    def remove(self, haproxy: str) -> None:
        """A HAProxy has gone."""
        gauge = self._gauges.pop(haproxy, None)
        if gauge is not None:
            closing = asyncio.create_task(gauge.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def hurry(self) -> None:
        """The map has changed: read soon."""
        for gauge in self._gauges.values():
            gauge.hurry()

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Somebody looks, for the length of a block."""
        self._eyes += 1
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        for gauge in self._gauges.values():
            gauge.start()
        try:
            yield
        finally:
            self._eyes -= 1
            if not self._eyes:
                self._lingering = asyncio.create_task(self._linger())

    async def recent(
        self, *, within_seconds: float
    ) -> dict[str, Mapping[ServerRef, Reading]]:
        """Return recent readings by HAProxy, of those that answer within some time."""
        async with self.looking():
            asking = {
                name: asyncio.create_task(gauge.recent())
                for name, gauge in self._gauges.items()
            }
            try:
                if asking:
                    await asyncio.wait(asking.values(), timeout=within_seconds)
                return {n: task.result() for n, task in asking.items() if task.done()}
            finally:
                for task in asking.values():
                    task.cancel()

    async def aclose(self) -> None:
        """Close everything, at once."""
        if self._lingering is not None:
            self._lingering.cancel()
        await asyncio.gather(self._close(), *self._closing)

    async def _linger(self) -> None:
        await asyncio.sleep(LINGER_SECONDS)
        self._lingering = None
        await self._close()

    async def _close(self) -> None:
        await asyncio.gather(*(gauge.aclose() for gauge in self._gauges.values()))
