"""Keep the catalog true: subscribe first, list second, then follow the events.

Events are hints. A `die` takes its container out at once, its stop signal says that it is
about to go, and every other event leads to one inspect; a resync list every so often corrects
what events missed. The end of the stream means nothing but *subscribe and list again*. While
the engine does not answer, everything stays as it was: nothing is removed on ignorance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from reconciler.core.model import Container
from reconciler.discovery.arrivals import MOST_RUNNING, Arrivals
from reconciler.discovery.catalog import FORGET_ABOVE, Catalog
from reconciler.discovery.engine import Engine
from reconciler.discovery.inspect import Effect, EngineEvent, arrival_of_line
from reconciler.discovery.looks import MANY, Looks, Told
from reconciler.discovery.sink import Sink
from reconciler.discovery.stops import REACH_BACK_SECONDS, Stops
from reconciler.discovery.streams import EventStream
from reconciler.errors import DiscoveryError


LONGEST_PAUSE_SECONDS = 5.0
"""Between two attempts to reach an engine that is down: it takes seconds to start."""

SHORT_STREAM_SECONDS = 0.5
"""Where streams end sooner than this, again and again, they are opened no more often."""

_OVERLAP_SECONDS = 1.0
"""How far back events still lead to a look: the engine answers a moment before it listens.
Older ones only tell of stops, which the list that follows does not know."""

_REPLAY_SECONDS = 5.0
_REPLAY_GAP_SECONDS = 0.5
"""The engine sends what it remembers at once: what comes after a gap, or much later, is news,
whatever its stamp says. Clocks jump."""

_AHEAD_SECONDS = 0.05
"""An event that is stamped this much later than the engine's clock can be by now is from before
that clock was set back, or the clock was set forward."""

_REPLAY_PAUSE_SECONDS = 0.05
"""How long no replayed event came when the last of them is taken to have come: the engine
sends them in one go, microseconds apart."""

_LEARN_TOGETHER = 16
"""So many containers that are older than we are get inspected in a row, and then there is a
pause: what was just used is still at hand."""

_LEARN_LATER_SECONDS, _LEARN_LATER_TIMES = 0.2, 25
"""While somebody is being looked at, learning waits; 5 seconds at most."""

_LEARN_REST = 4.0
"""The pause is so many times as long: nobody waits for them. Here and in the engine it comes to
a tenth of a processor at most; 10,000 take 16 seconds where an inspect takes 0.2 ms."""


_EXPECTED_SECONDS = 5.0
"""How long a container may take from its address to its start. Its slot is free again then."""


class Watcher:
    """Follows one engine until cancelled."""

    def __init__(
        self, engine: Engine, sink: Sink, *, resync_seconds: float = 30.0
    ) -> None:
        self._engine = engine
        self._sink = sink
        self._resync_seconds = resync_seconds
        self._catalog = Catalog(lambda: asyncio.get_running_loop().time())
        self._has_unlearned = asyncio.Event()
        told = Told(
            judge=self._judged,
            changed=lambda changes, at: self._tell(changes, at=at),
            listed=self._has_unlearned.set,
            failed=self._ask_for_resync,
        )
        self._looks = Looks(engine, self._catalog, told)
        self._arrivals = Arrivals(engine, self._expect)
        self._resync_wanted = asyncio.Event()
        self._stops = Stops()
        self._stop_timers: dict[str, asyncio.TimerHandle] = {}
        self._replay_timer: asyncio.TimerHandle | None = None
        self._engine_now = self._asked_at = 0.0
        self._replay_ends = self._replay_gap_ends = 0.0
        self._is_listing = True

    @property
    def unread(self) -> int:
        """How many containers events were about that were not looked at yet."""
        return len(self._looks.wanted)

    async def run(self) -> NoReturn:
        """Follow the engine for ever; ends only by cancellation."""
        now = asyncio.get_running_loop().time
        was_short = False
        try:
            while True:
                stream = await self._connected()
                began = now()
                try:
                    await self._follow(stream)
                finally:
                    stream.close()
                self._sink.engine_lost("the event stream has ended")
                is_short = now() - began < SHORT_STREAM_SECONDS
                if is_short and was_short:
                    await asyncio.sleep(SHORT_STREAM_SECONDS)
                was_short = is_short
        finally:
            for timer in (*self._stop_timers.values(), self._replay_timer):
                if timer is not None:
                    timer.cancel()

    async def _connected(self) -> EventStream[EngineEvent]:
        """Subscribe, however long it takes."""
        async for attempt in self._attempts():
            with attempt:
                return await self._subscribe()
        raise AssertionError  # the attempts never end

    async def _subscribe(self) -> EventStream[EngineEvent]:
        self._asked_at = asyncio.get_running_loop().time()
        self._engine_now = await self._engine.now()
        stream = await self._engine.events(
            since=self._engine_now - REACH_BACK_SECONDS, is_idle=self._is_idle
        )
        now = asyncio.get_running_loop().time()
        self._replay_ends = now + _REPLAY_SECONDS
        self._replay_gap_ends = now + _REPLAY_GAP_SECONDS
        return stream

    def _attempts(self) -> AsyncRetrying:
        def tell(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self._sink.engine_lost(str(error))

        return AsyncRetrying(
            retry=retry_if_exception_type(DiscoveryError),
            wait=wait_random_exponential(multiplier=0.1, max=LONGEST_PAUSE_SECONDS),
            before_sleep=tell,
        )

    async def _follow(self, stream: EventStream[EngineEvent]) -> None:
        """Read everything, then take events until the stream ends."""
        self._is_listing = True
        async with asyncio.TaskGroup() as tasks:
            endless = [
                tasks.create_task(self._resync(tasks)),
                tasks.create_task(self._learn()),
            ]
            try:
                await stream.follow(lambda event: self._receive(event, tasks))
            finally:
                self._looks.stop()
                self._arrivals.stop()
                for task in endless:
                    task.cancel()

    def _is_idle(self, line: bytes) -> bool:
        """Whether a line of a burst is of somebody who will be looked at once it starts.

        Two of three lines are, and reading one takes longer than all that it leads to.
        """
        if len(self._looks.wanted) < MANY:
            return False
        arrival = arrival_of_line(line)
        if arrival is None:
            return False
        action, id_ = arrival
        if self._is_known(id_) or id_ in self._arrivals:
            return False
        self._sink.heard(action)
        return True

    def _receive(self, event: EngineEvent, tasks: asyncio.TaskGroup) -> None:
        now = asyncio.get_running_loop().time()
        age = self._age(event, now)
        if event.effect is not Effect.BORN:
            self._stops.note(event, now - (age or 0.0), is_news=age is None)
            self._forget_ended()
        if age is None and not self._is_ahead(event, now):
            self._take_news(event, tasks)
        else:
            self._take_replayed(event, age or 0.0, tasks)

    def _take_replayed(
        self, event: EngineEvent, age: float, tasks: asyncio.TaskGroup
    ) -> None:
        """Look at whom an event was about that the list may be too old for; no more."""
        self._judge_soon()
        if event.effect in (Effect.SIGNAL, Effect.BORN) or age > _OVERLAP_SECONDS:
            return
        if self._is_of_no_concern(event):
            return
        self._catalog.note_event(event.container_id)
        # A replayed death may be of an earlier life; no id comes back from a removal.
        if event.action == "destroy":
            self._take_end(event, tasks)
        else:
            self._looks.want(event.container_id, event.at, tasks)

    def _take_news(self, event: EngineEvent, tasks: asyncio.TaskGroup) -> None:
        self._sink.heard(event.action.partition(":")[0])
        if event.effect is Effect.SIGNAL:
            return self._take_signal(event, tasks)
        if event.effect is Effect.BORN:
            return self._prepare_for(event.container_id, tasks)
        is_start = event.action == "start"
        if is_start or event.effect is Effect.GONE:
            self._arrivals.forget(event.container_id)
        if is_start:
            self._tell(self._unmark(event.container_id), at=event.at)
        elif event.action == "connect":
            self._arrivals.attached(event.container_id, event.network_id, tasks)
        if self._is_of_no_concern(event):
            return None
        self._catalog.note_event(event.container_id)
        if event.effect is Effect.GONE:
            self._take_end(event, tasks)
        elif not (is_start and self._has_begun(event, tasks)):
            self._looks.want(event.container_id, event.at, tasks, has_started=is_start)
        return None

    def _take_end(self, event: EngineEvent, tasks: asyncio.TaskGroup) -> None:
        self._tell(self._catalog.note_gone(event.container_id), at=event.at)
        self._unmark(event.container_id)
        if event.action == "destroy":
            self._looks.drop(event.container_id)
        else:
            self._looks.confirm_end(event.container_id, tasks)

    def _prepare_for(self, container_id: str, tasks: asyncio.TaskGroup) -> None:
        """Read what a container will be, unless there is more to do, or it is one of many."""
        is_crowded = len(self._catalog.containers) > MOST_RUNNING
        if not (is_crowded or self._is_listing or self._looks.wanted):
            self._arrivals.born(container_id, tasks)

    def _expect(self, container: Container) -> None:
        """Tell of a container that has its address and is about to start."""
        changes = self._catalog.expect(container)
        self._tell_of_ourselves(changes)
        if changes:
            loop = asyncio.get_running_loop()
            loop.call_later(_EXPECTED_SECONDS, self._expect_no_more, container.id)

    def _expect_no_more(self, container_id: str) -> None:
        if self._catalog.is_expected(container_id):
            self._tell_of_ourselves(self._catalog.note_gone(container_id))

    def _has_begun(self, event: EngineEvent, tasks: asyncio.TaskGroup) -> bool:
        """Take a start at its word where it was expected, and look at it later."""
        begun = self._catalog.begin(event.container_id)
        if not begun:
            return False
        self._tell(begun, at=event.at)
        self._looks.confirm_start(event.container_id, tasks)
        return True

    def _forget_ended(self) -> None:
        """Remember no more of containers that have ended than of those that run."""
        known = len(self._catalog.containers) + len(self._looks.wanted)
        if len(self._stops) > 2 * known + FORGET_ABOVE and not self._is_listing:
            self._stops.keep_only({*self._catalog.containers, *self._looks.wanted})

    def _age(self, event: EngineEvent, now: float) -> float | None:
        """Return how many seconds old a replayed event is, None for news."""
        age = self._engine_now - event.at
        if self._is_replay_over(now) or not 0.0 < age <= REACH_BACK_SECONDS + 1.0:
            return None
        self._replay_gap_ends = now + _REPLAY_GAP_SECONDS
        return age

    def _is_ahead(self, event: EngineEvent, now: float) -> bool:
        """Whether a replayed event is from before the engine's clock was set back.

        Or the clock was set forward a moment ago, and it is news: then it is looked at
        where it would have been believed.
        """
        if self._is_replay_over(now):
            return False
        elapsed = now - self._asked_at
        return event.at - self._engine_now > elapsed + _AHEAD_SECONDS

    def _is_replay_over(self, now: float) -> bool:
        return now > min(self._replay_ends, self._replay_gap_ends)

    def _take_signal(self, event: EngineEvent, tasks: asyncio.TaskGroup) -> None:
        """Act on a signal at once; where its stop signal is not known, inspect it first."""
        container_id = event.container_id
        if container_id not in self._catalog.containers:
            return
        if self._catalog.stop_rule(container_id) is None:
            self._looks.want(container_id, event.at, tasks)
        self._tell(self._judged(container_id), at=event.at)

    def _judge_soon(self) -> None:
        """Judge what is replayed once all of it had time to come.

        The list may have been quicker than the replay; and a signal may be of an earlier
        life, whose end stands a few lines further on.
        """
        if self._replay_timer is not None:
            self._replay_timer.cancel()
        self._replay_timer = asyncio.get_running_loop().call_later(
            _REPLAY_PAUSE_SECONDS, self._judge_replayed
        )

    def _judge_replayed(self) -> None:
        self._replay_timer = None
        if self._is_listing:
            return  # the list judges
        self._tell(self._all_judged(), at=None)
        if self._catalog.unlearned():
            self._has_unlearned.set()

    def _all_judged(self) -> dict[str, Container | None]:
        changes: dict[str, Container | None] = {}
        for container_id in self._stops.signalled() | self._stop_timers.keys():
            changes |= self._judged(container_id)
        return changes

    def _judged(self, container_id: str) -> dict[str, Container | None]:
        """Return what the signals sent to a container change, if it is known how it stops."""
        rule = self._catalog.stop_rule(container_id)
        if container_id not in self._catalog.containers:
            return self._unmark(container_id)  # whatever was waited for
        if rule is None:
            return {}
        loop = asyncio.get_running_loop()
        seconds = self._stops.remaining(container_id, rule, loop.time())
        if seconds <= 0:
            return self._unmark(container_id)
        self._cancel_timer(container_id)
        self._stop_timers[container_id] = loop.call_later(
            seconds, self._outlive, container_id
        )
        return self._catalog.note_stopping(container_id, is_stopping=True)

    def _outlive(self, container_id: str) -> None:
        """The stop time-out is over and it still runs: it was no stop, or not a whole one."""
        self._stops.forget(container_id)
        self._tell_of_ourselves(self._unmark(container_id))

    def _unmark(self, container_id: str) -> dict[str, Container | None]:
        self._cancel_timer(container_id)
        return self._catalog.note_stopping(container_id, is_stopping=False)

    def _cancel_timer(self, container_id: str) -> None:
        if (timer := self._stop_timers.pop(container_id, None)) is not None:
            timer.cancel()

    def _is_of_no_concern(self, event: EngineEvent) -> bool:
        """Whether an event is of a container that does not run, and does not start it.

        A container is attached to its network before it starts; an inspect asked for then
        is answered only when the start is over, and takes a thread until then. While a list
        is being read nobody can tell who runs.
        """
        if event.action == "start" or self._is_listing:
            return False
        return not self._is_known(event.container_id)

    def _is_known(self, container_id: str) -> bool:
        """Whether a container runs as far as is known, or is being looked at."""
        return container_id in self._catalog.containers or container_id in self._looks

    def _ask_for_resync(self, error: DiscoveryError) -> None:
        self._sink.engine_lost(str(error))
        self._resync_wanted.set()

    def _tell(
        self, changes: Mapping[str, Container | None], *, at: float | None
    ) -> None:
        if changes:
            self._sink.changed(changes, at=at, is_resync=at is None)

    def _tell_of_ourselves(self, changes: Mapping[str, Container | None]) -> None:
        """Tell what follows from what was known: no event dates it, no list corrects it."""
        if changes:
            self._sink.changed(changes, at=None, is_resync=False)

    async def _learn(self) -> None:
        """Inspect, one by one, whoever is known from a list only: how does it stop?

        With that known, the first stop signal needs no inspect before it is acted upon. So
        is everybody of whom a list tells less than an inspect. A failure ends it until the
        next list.
        """
        refused: set[str] = set()
        now = asyncio.get_running_loop().time
        while True:
            await self._has_unlearned.wait()
            await self._until_looks_are_few()
            self._has_unlearned.clear()
            refused &= set(self._catalog.unlearned())
            began = now()
            for number, container_id in enumerate(
                sorted(self._catalog.unlearned(), key=lambda id_: id_ in refused), 1
            ):
                try:
                    if number % _LEARN_TOGETHER == 1:
                        await self._learn_signalled()
                    await self._learn_one(container_id)
                except DiscoveryError:
                    refused.add(container_id)  # the next round begins with others
                    break
                if number % _LEARN_TOGETHER == 0:
                    await asyncio.sleep(_LEARN_REST * (now() - began))
                    began = now()

    async def _until_looks_are_few(self) -> None:
        """A burst comes first; but it may never end."""
        for _ in range(_LEARN_LATER_TIMES):
            if not self._looks.wanted:
                return
            await asyncio.sleep(_LEARN_LATER_SECONDS)

    async def _learn_signalled(self) -> None:
        """Learn at once of whom somebody may be stopping."""
        for container_id in self._stops.signalled():
            if self._catalog.stop_rule(container_id) is None:
                await self._learn_one(container_id)

    async def _hear_the_past(self) -> None:
        """Let a replay come in before the first list, and learn what it needs.

        So that a daemon which starts in the middle of a stop does not first put that
        container back into rotation. An engine that was restarted remembers nothing: then
        only an inspect tells that whoever was stopping has ended, and began anew. It may be
        that of an event which came meanwhile.
        """
        self._catalog.begun_anew.clear()
        await asyncio.sleep(_REPLAY_PAUSE_SECONDS)
        with suppress(DiscoveryError):
            for container_id in self._stops.signalled():
                container = await self._engine.container(container_id)
                if container is None:
                    continue
                self._catalog.learn(container)
                if container_id in self._catalog.begun_anew:
                    self._stops.forget_before(container_id, container.started)

    async def _learn_one(self, container_id: str) -> None:
        if not self._catalog.is_unlearned(container_id):
            return
        with self._catalog.reading() as moment:
            container = await self._engine.container(container_id)
            changes = {} if container is None else self._catalog.put(container, moment)
            changes |= self._judged(container_id)
        self._tell(changes, at=None)

    async def _resync(self, tasks: asyncio.TaskGroup) -> None:
        """Read the whole list now, every so often, and when something asks for it."""
        await self._hear_the_past()
        while True:
            async for attempt in self._attempts():
                with attempt:
                    self._resync_wanted.clear()
                    await self._list(tasks)
            try:
                async with asyncio.timeout(self._resync_seconds):
                    await self._resync_wanted.wait()
            except TimeoutError:
                continue

    async def _list(self, tasks: asyncio.TaskGroup) -> None:
        """Read the list, some of it at a time, and tell what it changes.

        What is told of a part counts at once. That somebody is gone shows at the end only;
        who is too new for that is inspected.
        """
        self._is_listing = True
        seen: set[str] = set()
        overtaken: set[str] = set()
        with self._catalog.reading() as moment:
            async for part in self._engine.listed():
                changes: dict[str, Container | None] = {}
                for one in part:
                    seen.add(one.id)
                    if self._catalog.is_outdated(one.id, moment):
                        overtaken.add(one.id)
                    changes |= self._catalog.put(one, moment)
                    if self._stops.is_signalled(one.id):
                        changes |= self._judged(one.id)
                self._tell(changes, at=None)
            await asyncio.sleep(0)  # the loop turns between two things that take long
            changes = self._catalog.keep_only(seen, moment)
            newcomers = self._catalog.newcomers_not_in(seen, moment)
        self._is_listing = False
        self._stops.keep_only({*self._catalog.containers, *self._looks.wanted})
        self._tell(changes | self._all_judged(), at=None)
        if self._catalog.unlearned():
            self._has_unlearned.set()
        for container_id in newcomers:
            self._looks.want(container_id, None, tasks)
        # Whom an event overtook is not known by this list, but by the look it caused.
        await self._looks.until_looked_at(overtaken)
        if not self._resync_wanted.is_set():
            self._sink.listed()
