"""When to reconcile: one worker for each HAProxy, woken by events, timers and trouble.

Level-triggered. A wakeup carries no payload but which backends to look at; wakeups that
come during a pass are one next pass. There is no debounce: a lone event is acted on at
once, and a burst coalesces by itself while a pass is under way. A worker never waits for
another, so a dead HAProxy delays nobody.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from reconciler.alarms import Alarms
from reconciler.core.claims import ClaimTable
from reconciler.core.effect import dated_tables
from reconciler.core.model import (
    Cause,
    Observed,
    Plan,
    Process,
    Server,
    ServerRef,
    Unplaced,
)
from reconciler.core.plan import Rules, backends_with_slots, plan, slots_of
from reconciler.core.view import is_held
from reconciler.errors import RuntimeSocketError
from reconciler.ports import Proxy
from reconciler.reconcile import Outcome, carry_out


FIRST_PAUSE_SECONDS = 0.05
"""After the first failed pass. Doubles with each further one."""

LONGEST_PAUSE_SECONDS = 2.0
"""A HAProxy that comes back is empty and serves nobody until we look: look often."""

WATCH_SECONDS = 1.0
"""How often a quiet worker asks which process answers. A reload by somebody else leaves the
old worker alive on our session, and only this question tells."""

LONGEST_LATE_SECONDS = 300.0
"""An event that seems older than this, when it has been answered, has another clock's stamp."""

FULL_READINGS = frozenset({"start", "resync"})
"""Reasons of passes that begin with a reading of everything."""

_TAKES_OUT = frozenset({"drain", "ready", "release", "shutdown"})
"""Kinds of changes that need a reading of this very moment: an operator, or another
reconciler, may have changed these slots since ours."""


@dataclass(slots=True, kw_only=True)
class WorkerStatus:
    """What is known of one HAProxy, for health, metrics and views."""

    name: str
    slot_prefix: str = "slot"
    is_reached: bool = False
    has_converged: bool = False
    error: str | None = None
    process: Process | None = None
    tables: dict[str, dict[str, Server]] = field(default_factory=dict)
    unplaced: dict[str, tuple[Unplaced, ...]] = field(default_factory=dict)
    generation: int = 0
    connects: int = 0
    """How often a session was opened."""
    resync_seconds: float = 0.0
    """How often at least everything is read."""

    def all_unplaced(self) -> list[Unplaced]:
        """Everyone without a slot, over all backends."""
        return [one for some in self.unplaced.values() for one in some]

    def holds(self) -> dict[ServerRef, Server]:
        """The slots that an operator took out of rotation, as of the last reading."""
        return {
            slot.ref: slot
            for servers in self.tables.values()
            for slot in slots_of(servers.values(), self.slot_prefix)
            if is_held(slot)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PassReport:
    """One pass as the reporters see it."""

    worker: WorkerStatus
    reason: str
    outcome: Outcome | None
    error: RuntimeSocketError | None
    seconds: float
    event_at: float | None
    """Unix seconds, by the engine's clock, of the oldest event this pass answers."""

    def late_seconds(self, now: float) -> float | None:
        """Return how long after its event this pass is over, at ``now`` in Unix seconds.

        None where no event caused it, or where the two clocks cannot be one.
        """
        if self.event_at is None:
            return None
        late = now - self.event_at
        return max(0.0, late) if -1.0 <= late <= LONGEST_LATE_SECONDS else None


class Reporter(Protocol):
    """Who hears of every pass: logs and metrics."""

    def passed(self, report: PassReport) -> None:
        """A pass is over."""

    def reconnected(self, worker: WorkerStatus, why: str) -> None:
        """A worker starts from an observed table again."""

    def docker_lost(self, reason: str) -> None:
        """Docker is not followed any more, or still not, now for this reason."""

    def docker_followed(self) -> None:
        """Docker was read after it had been lost, or for the first time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a worker behaves."""

    slot_prefix: str = "slot"
    resync_seconds: float = 30.0


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
    ) -> None:
        self._proxy = proxy
        self._claims = claims
        self._rules_for = rules_for
        self._settings = settings
        self._reporter = reporter
        self._wakeup = asyncio.Event()
        self._dirty: set[str | None] = set()
        self._with_slots: frozenset[str] = frozenset()
        self._event_at: float | None = None
        self._must_observe = "start"
        self._failures = 0
        self._alarms = Alarms()
        self._to_read: set[str] = set()
        self._has_rung = False
        self._session_watch: asyncio.Task[None] | None = None
        self.status = WorkerStatus(
            name=proxy.name,
            slot_prefix=settings.slot_prefix,
            resync_seconds=settings.resync_seconds,
        )

    def wake(self, backends: set[str | None], *, at: float | None) -> None:
        """Something changed for these backends (None: for claims without one)."""
        self._dirty |= backends
        self._date(at)
        self._wakeup.set()

    def _date(self, at: float | None) -> None:
        """The next pass is as late as the oldest event that it answers."""
        if at is not None and (self._event_at is None or at < self._event_at):
            self._event_at = at

    def observe_again(self, why: str) -> None:
        """Do not trust the table we have: read it in the next pass."""
        self._must_observe = self._must_observe or why
        self._wakeup.set()

    async def run(self) -> NoReturn:
        """Reconcile until cancelled. Nothing is undone at the end."""
        loop = asyncio.get_running_loop()
        next_resync = loop.time()
        try:
            while True:
                if self._must_observe or loop.time() >= next_resync:
                    self._must_observe = self._must_observe or "resync"
                    next_resync = loop.time() + self._settings.resync_seconds
                await self._pass()
                if self._failures:
                    await self._pause_after_failure()
                elif not self._must_observe:
                    await self._wait(next_resync)
        finally:
            if self._session_watch is not None:
                self._session_watch.cancel()
            await self._proxy.aclose()

    async def _wait(self, resync_at: float) -> None:
        """Wait for a wakeup, an alarm, the next resync, or another process."""
        now = asyncio.get_running_loop().time
        watch_at = now() + WATCH_SECONDS
        while now() < resync_at:
            self._ring(now())
            if self._has_rung or self._wakeup.is_set():
                return
            until = min(watch_at, self._alarms.next(), resync_at)
            await self._sleep(until - now())
            if now() >= watch_at and not self._wakeup.is_set():
                await self._look_at_process()
                watch_at = now() + WATCH_SECONDS

    def _ring(self, now: float) -> None:
        """Put what the alarms are for into the next pass, however busy the worker is."""
        if now >= self._alarms.next():
            look, read = self._alarms.take(now)
            self._dirty |= look
            self._to_read |= read
            self._has_rung = True

    async def _sleep(self, seconds: float) -> None:
        """Sleep until a wakeup, at most some seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wakeup.wait()

    async def _watch_session(self) -> None:
        """Take the end of the session for a sign that HAProxy went away."""
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
        longest = FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10)
        pause = min(LONGEST_PAUSE_SECONDS, longest)
        pause *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        if not self.status.is_reached:
            return await asyncio.sleep(pause)
        return await self._sleep(pause)

    async def _pass(self) -> None:
        """One pass. Whatever goes wrong with HAProxy ends here, as a failure to report."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        # Cleared before anything is read: what comes from now on is for the next pass.
        self._wakeup.clear()
        dirty, self._dirty = self._dirty, set()
        event_at, self._event_at = self._event_at, None
        reason = self._must_observe or ("alarm" if self._has_rung else "event")
        self._has_rung = False
        outcome: Outcome | None = None
        failure: RuntimeSocketError | None = None
        try:
            outcome = await self._reconcile(dirty)
        except RuntimeSocketError as error:
            failure = error
            self._must_observe = "the last pass failed"
            self._date(event_at)  # the event is still to be answered
        self._note(outcome, failure)
        self._reporter.passed(
            PassReport(
                worker=self.status,
                reason=reason,
                outcome=outcome,
                error=failure,
                seconds=loop.time() - started,
                event_at=event_at,
            )
        )

    async def _reconcile(self, dirty: set[str | None]) -> Outcome:
        """Plan for what changed, or for everything where the table was read anew."""
        status = self.status
        scope, read = await self._fresh_scope(dirty)
        planned = self._planned(scope)
        counted: set[str] = set()
        while True:
            unread = self._unread(planned, read)
            uncounted = set(planned.wants_connections - counted)
            if not unread and not uncounted:
                break
            if uncounted:
                await self._observe(uncounted, with_connections=True)
                counted |= uncounted
                read |= uncounted
            else:
                await self._look_again(unread)
                read |= unread
            if self._must_observe:
                await self._observe(None)
                scope, read = None, set(status.tables)
            planned = self._planned(scope)
        # Nothing was awaited since the plan was made: this is what it was made for.
        generation = self._claims.generation
        clock = asyncio.get_running_loop().time
        outcome = await carry_out(planned, self._proxy, status.tables, clock)
        outcome = self._with_tenants(outcome)
        self._forget_connections(counted)
        self._note_unplaced(outcome, scope)
        self._note_alarms(outcome, scope, clock())
        status.generation = generation
        return outcome

    async def _fresh_scope(
        self, dirty: set[str | None]
    ) -> tuple[set[str | None] | None, set[str | ServerRef]]:
        """Read what has to be read before anything is planned.

        Returns the backends to plan for (None for all), and those that were read.
        """
        status = self.status
        named = {name for name in dirty if name is not None} & status.tables.keys()
        to_read, self._to_read = self._to_read & status.tables.keys(), set()
        if status.process and self._rules_for(status.process).reuse_needs_idle:
            to_read = named
        if to_read and not self._must_observe:
            await self._observe(to_read)
        if self._must_observe or status.process is None:
            await self._observe(None)
            return None, set(status.tables)
        return dirty, {*to_read}

    def _planned(self, scope: set[str | None] | None) -> Plan:
        """Plan with the claims and the table of this moment."""
        process = self.status.process
        assert process is not None  # noqa: S101 - observed before
        desired = self._claims.desired(self._with_slots, only=scope)
        observed = Observed(process=process, backends=_part(self.status.tables, scope))
        now = asyncio.get_running_loop().time()
        return plan(desired, observed, self._rules_for(process), now=now)

    @staticmethod
    def _unread(planned: Plan, read: set[str | ServerRef]) -> set[ServerRef]:
        """Return the slots that may not be acted upon as they were read long ago.

        ``read`` has what was read in this pass: backends, and single slots.
        """
        return {
            change.ref
            for change in planned.changes
            if change.kind in _TAKES_OUT
            and change.ref not in read
            and change.ref.backend not in read
        }

    async def _look_again(self, refs: set[ServerRef]) -> None:
        """Read a few slots anew, and nothing else of their backends."""
        status = self.status
        observed = await self._proxy.observe(
            {ref.backend for ref in refs}, only={ref.server for ref in refs}
        )
        if not observed.process.is_same(status.process):
            self._must_observe = "the haproxy process was replaced"
            return
        now = asyncio.get_running_loop().time()
        for backend, servers in dated_tables(
            observed.backends, status.tables, now=now
        ).items():
            status.tables[backend] |= servers

    async def _observe(
        self, backends: set[str] | None, *, with_connections: bool = False
    ) -> None:
        """Read the table (or some of its backends) from HAProxy."""
        why, status = self._must_observe, self.status
        observed = await self._proxy.observe(
            backends, with_connections=True if with_connections else None
        )
        is_replaced = not observed.process.is_same(status.process)
        known = {} if is_replaced else status.tables
        fresh = dated_tables(
            observed.backends, known, now=asyncio.get_running_loop().time()
        )
        if backends is None:
            self._must_observe = ""
            if is_replaced:
                self._reporter.reconnected(status, why)
            status.tables = fresh
            self._with_slots = backends_with_slots(fresh, self._settings.slot_prefix)
        elif is_replaced:
            # The other backends of the table are of a process that is gone.
            self._must_observe = "the haproxy process was replaced"
            return
        else:
            status.tables |= fresh
        status.process = observed.process
        if self._session_watch is None or self._session_watch.done():
            self._session_watch = asyncio.create_task(self._watch_session())
            status.connects += 1

    def _with_tenants(self, outcome: Outcome) -> Outcome:
        """Name whoever was released: the planner only knows who is desired."""
        changes = tuple(
            change
            if change.tenant is not None or change.port is None
            else change._replace(
                tenant=self._claims.last_tenant(
                    change.ref.backend, change.address, change.port
                )
            )
            for change in outcome.changes
        )
        return dataclasses.replace(outcome, changes=changes)

    def _forget_connections(self, backends: set[str]) -> None:
        """Connections were read for this pass: in the next one they are others."""
        tables = self.status.tables
        for backend in backends & tables.keys():
            tables[backend] = {
                name: dataclasses.replace(server, connections=None)
                for name, server in tables[backend].items()
            }

    def _note_unplaced(self, outcome: Outcome, scope: set[str | None] | None) -> None:
        by_backend: dict[str, list[Unplaced]] = {}
        for one in outcome.unplaced:
            by_backend.setdefault(one.backend or "", []).append(one)
        fresh = {name: tuple(found) for name, found in by_backend.items()}
        if scope is None:
            self.status.unplaced = fresh
        else:
            for name in scope:
                self.status.unplaced.pop(name or "", None)
            self.status.unplaced |= fresh

    def _note_alarms(
        self, outcome: Outcome, scope: set[str | None] | None, now: float
    ) -> None:
        """Set what this worker wakes up for by itself."""
        if scope is None:
            self._alarms.due.clear()
        self._alarms.due |= outcome.plan.due
        self._alarms.changed({c.ref.backend for c in outcome.changes}, now)
        waiting = {
            one.backend
            for one in self.status.all_unplaced()
            if one.cause is Cause.SLOT_BUSY and one.backend is not None
        }
        self._alarms.wait_for(waiting, now)

    def _note(
        self, outcome: Outcome | None, failure: RuntimeSocketError | None
    ) -> None:
        status = self.status
        if outcome is None:
            status.is_reached = False
            status.has_converged = False
            status.error = str(failure)
            self._failures += 1
            return
        status.is_reached = True
        status.has_converged = outcome.has_converged
        status.error = None
        if outcome.refusals:
            status.error = str(outcome.refusals[0][1])
            self._must_observe = "haproxy refused a command"
            self._failures += 1
        else:
            self._failures = 0


def _part(
    tables: dict[str, dict[str, Server]], scope: set[str | None] | None
) -> dict[str, dict[str, Server]]:
    if scope is None:
        return tables
    return {name: tables[name] for name in scope if name in tables and name is not None}
