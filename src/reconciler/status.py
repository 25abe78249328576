"""What a worker says of itself: its state, each of its passes, and who hears of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.core.instances import Instance
from reconciler.core.model import (
    Change,
    Kept,
    KeptFor,
    Process,
    Server,
    ServerRef,
    Unplaced,
)
from reconciler.core.plan import slot_number
from reconciler.core.view import is_held
from reconciler.errors import RuntimeSocketError
from reconciler.reconcile import Outcome


LONGEST_LATE_SECONDS = 300.0
"""An event that seems older than this, when it has been answered, has another clock's stamp."""

FULL_READINGS = frozenset({"start", "resync"})
"""Reasons of passes that begin with a reading of everything."""


@dataclass(slots=True, kw_only=True)
class WorkerStatus:
    """What is known of one HAProxy, for health, metrics and views."""

    name: str
    number: int = 0
    """Which of the daemon's HAProxies it is. No other ever gets the number of one that left."""
    slot_prefix: str = "slot"
    is_leaving: bool = False
    """Its container is about to end: that it does not answer any more is no trouble."""
    is_reached: bool = False
    has_converged: bool = False
    error: str | None = None
    process: Process | None = None
    tables: dict[str, dict[str, Server]] = field(default_factory=dict)
    unplaced: dict[str, tuple[Unplaced, ...]] = field(default_factory=dict)
    kept: dict[ServerRef, Kept] = field(default_factory=dict)
    """Who keeps a slot though nobody asks for it."""
    free_ports: dict[str, frozenset[int]] = field(default_factory=dict)
    """The ports of the free slots by backend: one where they agree."""
    file_ports: dict[str, int] = field(default_factory=dict)
    """The ports of the slots' lines in HAProxy's configuration, where that is known."""
    unreached: set[str] = field(default_factory=set)
    """Backends whose tenants we reach and HAProxy does not: nobody is called up there."""
    generation: int = 0
    connects: int = 0
    """How often a session was opened."""
    resync_seconds: float = 0.0
    """How often at least everything is read."""

    def all_unplaced(self) -> list[Unplaced]:
        """Everyone without a slot, over all backends."""
        return [one for some in self.unplaced.values() for one in some]

    def count_kept(self, cause: KeptFor) -> int:
        """Return how many keep their slot for this cause."""
        return sum(one.cause is cause for one in self.kept.values())

    def holds(self) -> dict[ServerRef, Server]:
        """The slots that an operator took out of rotation, as of the last reading."""
        return {
            server.ref: server
            for servers in self.tables.values()
            for server in servers.values()
            # Mostly none is out of rotation: names are looked at last.
            if is_held(server)
            and slot_number(server.ref.server, self.slot_prefix) is not None
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
    ended_at: float = 0.0
    """Unix seconds at which HAProxy had answered; 0 stands for the moment of the report."""

    def late_seconds(self, now: float) -> float | None:
        """Return how long after its event this pass is over, at ``now`` in Unix seconds.

        None where no event caused it, or where the two clocks cannot be one.
        """
        if self.event_at is None:
            return None
        late = (self.ended_at or now) - self.event_at
        return max(0.0, late) if -1.0 <= late <= LONGEST_LATE_SECONDS else None


class Reporter(Protocol):
    """Who hears of every pass: logs and metrics."""

    def changed(
        self, worker: WorkerStatus, changes: Sequence[Change], late: float | None
    ) -> None:
        """Some changes took effect, ``late`` seconds after the event that asked for them.

        A pass with many changes tells them in parts. After the last, it has :meth:`passed`.
        """

    def passed(self, report: PassReport) -> None:
        """A pass is over."""

    def reconnected(self, worker: WorkerStatus, why: str) -> None:
        """A worker starts from an observed table again."""

    def haproxy_found(self, worker: WorkerStatus, instance: Instance) -> None:
        """A HAProxy was found, and is driven from now on."""

    def haproxy_gone(self, worker: WorkerStatus) -> None:
        """A HAProxy that was found has gone, and will be told of no more."""

    def haproxy_missing(self, problem: str) -> None:
        """A HAProxy that should be found is not: for this reason, in words."""

    def docker_lost(self, reason: str) -> None:
        """Docker is not followed any more, or still not, now for this reason."""

    def docker_followed(self) -> None:
        """Docker was read after it had been lost, or for the first time."""
