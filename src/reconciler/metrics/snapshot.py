"""The state of the daemon, counted on the event loop at the moment of a scrape.

The workers change their tables there, so nothing else may walk them: about 7 ms for 10,000
slots. What comes out is small, and any thread may turn it into text.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.controller import Controller
from reconciler.core.model import Cause, KeptFor, Process, Server
from reconciler.core.plan import slot_number
from reconciler.core.view import is_held, state_of
from reconciler.status import WorkerStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The slots of one backend, counted."""

    by_state: Mapping[str, int]
    held: int

    @property
    def capacity(self) -> int:
        """How many there are."""
        return sum(self.by_state.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class HaproxyCounts:
    """One HAProxy, counted."""

    name: str
    is_reached: bool
    has_converged: bool
    process: Process | None
    generation: int
    connects: int
    resync_seconds: float
    slots: Mapping[str, Slots]
    """By backend; only those that have slots."""
    unplaced: Mapping[tuple[str, Cause], int]
    """By backend ('' where none is named) and cause."""
    kept: Mapping[tuple[str, KeptFor], int]
    """Tenants that nobody asks for, by backend and why they stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that a scrape tells beside the counters of the passes."""

    is_docker_followed: bool
    listed_at: float
    containers: int
    generation: int
    corrections: int
    events: Mapping[str, int]
    streams: int
    entries: int
    missing: int
    """Containers and sources by which a HAProxy should be found, and is not."""
    haproxies: tuple[HaproxyCounts, ...]


def snapshot_of(controller: Controller, *, streams: int, entries: int) -> Snapshot:
    """Count the state of the daemon. To be called on the event loop."""
    return Snapshot(
        is_docker_followed=controller.engine_error is None,
        listed_at=controller.listed_at,
        containers=len(controller.claims.containers),
        generation=controller.claims.generation,
        corrections=controller.corrections,
        events=dict(controller.events),
        streams=streams,
        entries=entries,
        missing=len(controller.problems),
        # One that ends is no trouble, however long it takes: nothing is told of it.
        haproxies=tuple(
            _counts(worker)
            for worker in controller.workers
            if worker.is_reached or not worker.is_leaving
        ),
    )


def _counts(worker: WorkerStatus) -> HaproxyCounts:
    counted = {
        backend: _slots(servers, worker.slot_prefix)
        for backend, servers in worker.tables.items()
    }
    return HaproxyCounts(
        name=worker.name,
        is_reached=worker.is_reached,
        has_converged=worker.has_converged,
        process=worker.process,
        generation=worker.generation,
        connects=worker.connects,
        resync_seconds=worker.resync_seconds,
        slots={backend: slots for backend, slots in counted.items() if slots.capacity},
        unplaced=Tally((u.backend or "", u.cause) for u in worker.all_unplaced()),
        kept=Tally((ref.backend, one.cause) for ref, one in worker.kept.items()),
    )


def _slots(servers: Mapping[str, Server], prefix: str) -> Slots:
    slots = [
        (server, state_of(server))
        for name, server in servers.items()
        if slot_number(name, prefix) is not None
    ]
    held = sum(state in _HOLDS and is_held(server) for server, state in slots)
    return Slots(by_state=Tally(state for _, state in slots), held=held)


_HOLDS = frozenset({"drain", "maint"})
