"""What happened to the map: a bounded memory of it, and a way to follow it live.

Fed by every pass, read by ``reconciler events``, the page's timeline and whoever asks
``/api/events``. It is a ring in memory: nothing is written anywhere, and a new daemon begins
with an empty one. A reader keeps nothing here but its place, so a slow one costs nothing;
it is told how many entries it missed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass

from reconciler.core.instances import Instance
from reconciler.core.model import Cause, Change, Server, ServerRef, Tenant, Unplaced
from reconciler.status import FULL_READINGS, PassReport, WorkerStatus


KEPT = 2000
"""How many entries are remembered: hours of an ordinary day, 1 MB of memory at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. The fields and their order are the contract of ``events``."""

    id: int
    """Rises by one; begins anew with every daemon."""
    at: float
    """Unix seconds, by the daemon's clock."""
    kind: str
    """A change's kind, or one of ``NEWS``."""
    haproxy: str | None = None
    backend: str | None = None
    slot: str | None = None
    address: str | None = None
    port: int | None = None
    container_id: str | None = None
    container: str | None = None
    service: str | None = None
    project: str | None = None
    reason: str = ""
    latency_ms: float | None = None
    """From Docker's event to the end of the pass; None where no event caused it."""


NEWS = (
    "unplaced",
    "refused",
    "held",
    "unheld",
    "haproxy_lost",
    "haproxy_reached",
    "haproxy_replaced",
    "haproxy_found",
    "haproxy_gone",
    "docker_lost",
    "docker_followed",
)
"""Kinds of entries that are no change of ours, in addition to the changes' kinds."""


class Journal:
    """Remembers the last entries, and lets any number of readers follow."""

    def __init__(
        self, *, kept: int = KEPT, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock`` tells Unix seconds."""
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._clock = clock
        self._last_id = 0
        self._news = asyncio.Event()
        self._reached: dict[str, bool] = {}
        self._unplaced: dict[str, frozenset[tuple[str | None, str, str]]] = {}
        self._held: dict[str, dict[ServerRef, Server]] = {}

    @property
    def last_id(self) -> int:
        """The id of the youngest entry, 0 where nothing has happened yet."""
        return self._last_id

    def entries(self, *, after: int = 0, since: float = 0.0) -> list[Entry]:
        """Return what is remembered after an id, and not before a time in Unix seconds."""
        missing = self._last_id - after
        if missing <= 0:
            return []
        kept = list(self._entries)[-missing:]
        return [entry for entry in kept if entry.at >= since]

    def missed(self, *, after: int) -> int:
        """Return how many entries after an id are not remembered any more."""
        oldest = self._entries[0].id if self._entries else self._last_id + 1
        return max(0, oldest - after - 1)

    async def follow(self, *, after: int) -> AsyncGenerator[list[Entry]]:
        """Yield what comes after an id, in batches, for ever. Nothing is yielded twice."""
        place = min(after, self._last_id)
        while True:
            news = self._news
            found = self.entries(after=place)
            if found:
                place = found[-1].id
                yield found
            else:
                await news.wait()

    def passed(self, report: PassReport) -> None:
        """Note one pass: its changes, refusals, who is newly unplaced, who is held."""
        worker = report.worker
        self._note_reach(report)
        if report.outcome is None:
            return
        self.changed(worker, report.outcome.changes, report.late_seconds(self._clock()))
        refused: dict[ServerRef, str] = {}
        for action, error in report.outcome.refusals:
            # What follows a refusal in the same slot is refused because of it.
            refused.setdefault(action.ref, str(error))
        for ref, reason in refused.items():
            self._note("refused", worker.name, ref=ref, reason=reason)
        self._note_unplaced(worker)
        if report.reason in FULL_READINGS:
            self._note_holds(worker)

    def changed(
        self, worker: WorkerStatus, changes: Sequence[Change], late: float | None
    ) -> None:
        """Note some changes of a pass."""
        latency = None if late is None else round(late * 1000, 1)
        for change in changes:
            if not change.is_preparing:
                self._note_change(worker.name, change, latency)

    def reconnected(self, worker: WorkerStatus, why: str) -> None:
        """Note that another HAProxy process answers; the first one is no replacement."""
        if worker.process is not None:
            self._note("haproxy_replaced", worker.name, reason=why)

    def haproxy_found(self, worker: WorkerStatus, instance: Instance) -> None:
        """Note that a HAProxy was found."""
        said = f"container {instance.container}, by {instance.source}"
        self._note("haproxy_found", worker.name, reason=said)

    def haproxy_gone(self, worker: WorkerStatus) -> None:
        """Note that a HAProxy has gone, and forget what is known of it."""
        for known in (self._reached, self._unplaced, self._held):
            known.pop(worker.name, None)
        self._note("haproxy_gone", worker.name, reason="its container has gone")

    def haproxy_missing(self, problem: str) -> None:
        """Not noted: it is nothing that happened to the map, and names no HAProxy."""

    def docker_lost(self, reason: str) -> None:
        """Note that Docker is not followed."""
        self._note("docker_lost", None, reason=reason)

    def docker_followed(self) -> None:
        """Note that Docker is followed."""
        self._note("docker_followed", None, reason="a whole list was read")

    def _note_reach(self, report: PassReport) -> None:
        name, is_reached = report.worker.name, report.outcome is not None
        if self._reached.get(name) is is_reached:
            return
        self._reached[name] = is_reached
        if is_reached:
            process = report.worker.process
            said = f"haproxy {process.version}, pid {process.pid}" if process else ""
            self._note("haproxy_reached", name, reason=said)
        else:
            self._note("haproxy_lost", name, reason=str(report.error))

    def _note_change(
        self, haproxy: str, change: Change, latency_ms: float | None
    ) -> None:
        self._note(
            change.kind,
            haproxy,
            ref=change.ref,
            place=(change.address, change.port),
            tenant=change.tenant,
            reason=change.reason,
            latency_ms=latency_ms,
        )

    def _note_unplaced(self, worker: WorkerStatus) -> None:
        """Note once who has no slot, and again only when the reason changes."""
        now = {_sign(one): one for one in _missing(worker)}
        before = self._unplaced.get(worker.name, frozenset())
        self._unplaced[worker.name] = frozenset(now)
        for sign, one in now.items():
            if sign not in before:
                self._note(
                    "unplaced",
                    worker.name,
                    ref=ServerRef(one.backend or "", ""),
                    place=(one.address, one.port),
                    tenant=one.tenant,
                    reason=one.reason,
                )

    def _note_holds(self, worker: WorkerStatus) -> None:
        """Note what an operator did by hand since the last full reading."""
        now = worker.holds()
        before = self._held.get(worker.name, {})
        self._held[worker.name] = now
        for ref, slot in now.items():
            if ref not in before:
                said = f"an operator put it in {slot.admin.value}"
                where = (slot.address, slot.port)
                self._note("held", worker.name, ref=ref, place=where, reason=said)
        for ref, slot in before.items():
            if ref not in now:
                where = (slot.address, slot.port)
                said = "no operator holds it any more"
                self._note("unheld", worker.name, ref=ref, place=where, reason=said)

    def _note(
        self,
        kind: str,
        haproxy: str | None,
        *,
        ref: ServerRef | None = None,
        place: tuple[str | None, int | None] = (None, None),
        tenant: Tenant | None = None,
        reason: str = "",
        latency_ms: float | None = None,
    ) -> None:
        self._last_id += 1
        entry = Entry(
            id=self._last_id,
            at=self._clock(),
            kind=kind,
            haproxy=haproxy,
            backend=(ref.backend or None) if ref else None,
            slot=(ref.server or None) if ref else None,
            address=place[0],
            port=place[1],
            container_id=tenant.container_id if tenant else None,
            container=tenant.container if tenant else None,
            service=tenant.service if tenant else None,
            project=tenant.project if tenant else None,
            reason=reason,
            latency_ms=latency_ms,
        )
        self._entries.append(entry)
        news, self._news = self._news, asyncio.Event()
        news.set()


def _missing(worker: WorkerStatus) -> Iterator[Unplaced]:
    """Return who has no slot and would want one: whoever is about to end misses nothing."""
    return (u for u in worker.all_unplaced() if u.cause is not Cause.STOPPING)


def _sign(one: Unplaced) -> tuple[str | None, str, str]:
    return (one.backend, one.tenant.container_id, one.reason)
