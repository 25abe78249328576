"""When to reconcile: one worker for each HAProxy, woken by events, timers and trouble.

Level-triggered. A wakeup says no more than whose claims changed; wakeups that come during a
pass are one next pass. There is no debounce: a lone event is acted on at once, and a burst
coalesces by itself while a pass is under way; only its newcomers are gathered, for a moment.
A worker never waits for another, so a dead HAProxy delays nobody.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import NoReturn

from reconciler.core.claims import ClaimTable
from reconciler.core.model import Place, Process, ServerRef
from reconciler.core.plan import Rules
from reconciler.core.slot_file import SlotFile
from reconciler.core.touched import Touched
from reconciler.dialer import Dialer
from reconciler.errors import RuntimeSocketError
from reconciler.ports import Proxy
from reconciler.reconcile import Outcome
from reconciler.status import PassReport, Reporter, WorkerStatus
from reconciler.upkeep import Upkeep


FIRST_PAUSE_SECONDS = 0.05
"""After the first failed pass. Doubles with each further one."""

LONGEST_PAUSE_SECONDS = 2.0
"""A HAProxy that comes back is empty and serves nobody until we look: look often."""

STARTING_PAUSE_SECONDS = 0.02
"""Between two attempts to reach a HAProxy that was just found."""

NEW_SECONDS = 1.0
"""So long after a HAProxy was found nobody's reports hold up that it is filled."""

WATCH_SECONDS = 1.0
"""How often a quiet worker asks which process answers. A reload by somebody else leaves the
old worker alive on our session, and only this question tells."""

MANY_UNREAD = 32
"""So many containers that events were about, and were not read yet, are a burst."""

GATHER_SECONDS = 0.5
"""How long newcomers of a burst wait at most for those that are read a moment later."""

GATHERED = 1024
"""So many newcomers wait for no more: what is read meanwhile slows down what is written."""

BURST_LOOK_SECONDS = 0.002
"""How often a worker looks whether a burst is over."""

TELL_SECONDS = 10.0
"""How long the report of a pass may wait for the other passes of a burst."""

TOLD_AT_ONCE = 256
"""So many changes are reported in one go: about 5 ms of logging. Then the loop may turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a worker behaves."""

    slot_prefix: str = "slot"
    resync_seconds: float = 30.0
    starting_seconds: float = 0.0
    """For so long a HAProxy that was never reached is taken for one that is just starting: it
    is tried without a pause to speak of, and nobody hears of that."""


class Worker:
    """Keeps one HAProxy's slots as desired, until cancelled."""

    def __init__(
        self,
        proxy: Proxy,
        claims: ClaimTable,
        *,
        rules_for: Callable[[Process], Rules],
        settings: WorkerSettings,
        reporter: Reporter,
        unread: Callable[[], int] = lambda: 0,
        has_newcomers: Callable[[], bool] = lambda: False,
        is_current: Callable[[], bool] = lambda: True,
        slot_file: SlotFile | None = None,
        learned: Callable[[], None] = lambda: None,
    ) -> None:
        """``unread`` tells how many containers events were about that were not read yet.

        ``has_newcomers`` tells whether a HAProxy was just found that is not filled yet.
        ``is_current`` tells whether Docker answers. While it does not, nothing is done by
        memory alone. ``slot_file`` and ``learned`` are Upkeep's.
        """
        self._unread = unread
        self._has_newcomers = has_newcomers
        self._proxy = proxy
        self._settings = settings
        self._reporter = reporter
        self._wakeup = asyncio.Event()
        self._event_at: float | None = None
        self._failures = 0
        self._born = time.monotonic()
        self._has_rung = False
        self._session_watch: asyncio.Task[None] | None = None
        self._untold: deque[PassReport] = deque()
        self._has_untold = asyncio.Event()
        self.status = WorkerStatus(
            name=proxy.name,
            slot_prefix=settings.slot_prefix,
            resync_seconds=settings.resync_seconds,
        )
        self._upkeep = Upkeep(
            proxy,
            claims,
            self.status,
            rules_for=rules_for,
            reporter=reporter,
            is_current=is_current,
            slot_file=slot_file,
            learned=learned,
        )
        self._dialer = Dialer(self._opened)

    def wake(self, touched: Touched, *, at: float | None) -> None:
        """These claims changed, by an event of this time (Unix seconds; None: by none)."""
        self._upkeep.touch(touched)
        self._date(at)
        self._wakeup.set()

    def _opened(self, ref: ServerRef, place: Place) -> None:
        """A newcomer's port is open: it is called up with the next pass."""
        self._upkeep.opened[ref] = place
        self._wakeup.set()

    def _date(self, at: float | None) -> None:
        """The next pass is as late as the oldest event that it answers."""
        if at is not None and (self._event_at is None or at < self._event_at):
            self._event_at = at

    def observe_again(self, why: str) -> None:
        """Do not trust the table we have: read it in the next pass."""
        upkeep = self._upkeep
        upkeep.must_observe = upkeep.must_observe or why
        self._wakeup.set()

    async def run(self) -> NoReturn:
        """Reconcile until cancelled. Nothing is undone at the end."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._tell_all())
                tasks.create_task(self._dialer.run())
                await self._reconcile()
        finally:
            if self._session_watch is not None:
                self._session_watch.cancel()
            while self._untold:
                self._reporter.passed(self._untold.popleft())
            await self._proxy.aclose()
        raise AssertionError  # it never ends by itself

    async def _reconcile(self) -> NoReturn:
        loop, upkeep = asyncio.get_running_loop(), self._upkeep
        next_resync = loop.time()
        while True:
            if upkeep.must_observe or loop.time() >= next_resync:
                upkeep.must_observe = upkeep.must_observe or "resync"
                next_resync = loop.time() + self._settings.resync_seconds
            await self._pass()
            if self._failures:
                await self._pause_after_failure()
            elif not upkeep.has_work:
                await self._wait(next_resync)
            await self._gather()

    async def _wait(self, resync_at: float) -> None:
        """Wait for a wakeup, an alarm, the next resync, or another process."""
        now = asyncio.get_running_loop().time
        watch_at = now() + WATCH_SECONDS
        while now() < resync_at:
            self._ring(now())
            if self._has_rung or self._wakeup.is_set():
                return
            until = min(watch_at, self._upkeep.alarms.next(), resync_at)
            await self._sleep(until - now())
            if now() >= watch_at and not self._wakeup.is_set():
                await self._look_at_process()
                watch_at = now() + WATCH_SECONDS

    async def _gather(self) -> None:
        """Where a burst of starts is being read, wait for more of it, for a moment.

        A pass reads its backends back, however few it is for, and what is read from Docker
        meanwhile slows it down: so a burst takes longer in many passes than in one. Nobody
        who has a slot waits for that, and no lone newcomer.
        """
        upkeep = self._upkeep
        await _wait_while(
            lambda: (
                self._unread() >= MANY_UNREAD
                and upkeep.has_only_newcomers
                and len(upkeep.touched) < GATHERED
            ),
            GATHER_SECONDS,
        )

    def _ring(self, now: float) -> None:
        """Put what the alarms are for into the next pass, however busy the worker is."""
        upkeep = self._upkeep
        if now >= upkeep.alarms.next():
            look, prove = upkeep.alarms.take(now)
            upkeep.dirty |= look
            upkeep.to_prove |= prove
            self._has_rung = True

    async def _sleep(self, seconds: float) -> None:
        """Sleep until a wakeup, at most some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wakeup.wait()

    @property
    def _is_starting(self) -> bool:
        age = time.monotonic() - self._born
        return self.status.process is None and age < self._settings.starting_seconds

    @property
    def is_new(self) -> bool:
        """Whether its HAProxy was just found, and is not filled yet."""
        age = time.monotonic() - self._born
        is_young = age < min(NEW_SECONDS, self._settings.starting_seconds)
        return is_young and not self.status.has_converged

    def _watch_session(self) -> None:
        """Take the end of the session for a sign that HAProxy went away."""
        if self._session_watch is None or self._session_watch.done():
            self._session_watch = asyncio.create_task(self._until_session_ends())
            self.status.connects += 1

    async def _until_session_ends(self) -> None:
        await self._proxy.wait_closed()
        self.observe_again("the session ended")

    async def _look_at_process(self) -> None:
        try:
            process = await self._proxy.process()
        except RuntimeSocketError:
            return self.observe_again("haproxy stopped answering")
        if not process.is_same(self.status.process):
            self.observe_again("the haproxy process was replaced")
        return None

    async def _pause_after_failure(self) -> None:
        """Back off. While HAProxy does not answer, wakeups wait: they change nothing.

        Where it answers and refuses one slot's command, the other slots need not wait.
        """
        if self._is_starting:
            return await asyncio.sleep(STARTING_PAUSE_SECONDS)
        longest = FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10)
        pause = min(LONGEST_PAUSE_SECONDS, longest)
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        if not self.status.is_reached:
            return await asyncio.sleep(pause)
        return await self._sleep(pause)

    async def _pass(self) -> None:
        """One pass. Whatever goes wrong with HAProxy ends here, as a failure to report."""
        loop, upkeep = asyncio.get_running_loop(), self._upkeep
        started = loop.time()
        # Cleared before anything is read: what comes from now on is for the next pass.
        self._wakeup.clear()
        event_at, self._event_at = self._event_at, None
        reason = upkeep.must_observe or ("alarm" if self._has_rung else "event")
        self._has_rung = False
        try:
            async with aclosing(upkeep.run_pass()) as outcomes:
                is_first = True
                async for outcome in outcomes:
                    self._watch_session()
                    self._note(outcome, is_first=is_first)
                    self._dialer.begin(upkeep.to_knock(outcome))
                    self._dialer.begin(upkeep.to_look_at(), is_once=True)
                    is_first = False
                    self._note_report(reason, outcome, loop.time() - started, event_at)
                    started = loop.time()
                    if self._wakeup.is_set():
                        break  # what is left can wait for the next pass
        except RuntimeSocketError as error:
            upkeep.must_observe = "the last pass failed"
            self._date(event_at)  # the event is still to be answered
            self._note_failure(error)
            if not (self._is_starting or self.status.is_leaving):
                self._note_report(reason, error, loop.time() - started, event_at)

    def _note_report(
        self,
        reason: str,
        end: Outcome | RuntimeSocketError,
        seconds: float,
        event_at: float | None,
    ) -> None:
        """Have a pass reported, now or a moment later."""
        report = PassReport(
            worker=self.status,
            reason=reason,
            outcome=end if isinstance(end, Outcome) else None,
            error=end if isinstance(end, RuntimeSocketError) else None,
            seconds=seconds,
            event_at=event_at,
            ended_at=time.time(),
        )
        self._untold.append(report)
        self._has_untold.set()

    async def _tell_all(self) -> NoReturn:
        """Report one pass after the other; in a burst, once the slots are written.

        Thousands of lines take as long as the slots they are about, and the next pass would
        wait for them; so would the next HAProxy of several that come at once.
        """
        while True:
            await self._has_untold.wait()
            self._has_untold.clear()
            await _wait_while(self._is_in_a_burst, TELL_SECONDS)
            while self._untold:
                await self._tell(self._untold.popleft())

    def _is_in_a_burst(self) -> bool:
        upkeep = self._upkeep
        waiting = max(self._unread(), len(upkeep.touched))
        is_large = upkeep.is_unfinished or waiting >= MANY_UNREAD
        return is_large or self._has_newcomers()

    async def _tell(self, report: PassReport) -> None:
        """Report a pass; of many changes, some at a time."""
        if report.outcome is not None:
            changes = report.outcome.changes
            late = report.late_seconds(report.ended_at)
            while len(changes) > TOLD_AT_ONCE:
                self._reporter.changed(self.status, changes[:TOLD_AT_ONCE], late)
                changes = changes[TOLD_AT_ONCE:]
                await asyncio.sleep(0)
            rest = dataclasses.replace(report.outcome, changes=changes)
            report = dataclasses.replace(report, outcome=rest)
        self._reporter.passed(report)

    def _note_failure(self, failure: RuntimeSocketError) -> None:
        status = self.status
        self._dialer.forget()
        status.is_reached = False
        status.has_converged = False
        status.error = str(failure)
        self._failures += 1

    def _note(self, outcome: Outcome, *, is_first: bool) -> None:
        status = self.status
        status.is_reached = True
        is_whole = not self._upkeep.is_unfinished
        if outcome.refusals:
            status.error = str(outcome.refusals[0][1])
            self._failures += 1
        elif is_first:
            status.error = None
            self._failures = 0
        status.has_converged = is_whole and status.error is None


async def _wait_while(condition: Callable[[], bool], seconds: float) -> None:
    """Return once a condition holds no more, or the time is over.

    Asked and not told: whoever reads Docker would have to know of each worker's wish.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + seconds
    while condition() and now() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(BURST_LOOK_SECONDS)
