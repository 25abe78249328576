"""What was seen of one container, in nanoseconds of the wall clock.

That is the clock of the engine's own stamp, ``timeNano``. A time that a role does not have
is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from latency.runtime_socket import Place


class Role(StrEnum):
    """What is done with a container's event, and by whom."""

    OURS = "ours"
    """The reconciler's: its slot is seen in rotation after the start event."""
    BLIND = "blind"
    """The reconciler's too, but HAProxy is not asked: it tells what watching costs."""
    OUT = "out"
    """The reconciler's: its slot is seen in drain after the stop signal's event."""
    FLOOR = "floor"
    """The same steps bare, in the same number of round trips."""
    ONE_WRITE = "one write"
    """Fewer steps bare: one round trip to HAProxy, the address unproven."""
    FLOOR_OUT = "floor out"
    """The way out, bare."""

    @property
    def is_out(self) -> bool:
        """Whether it begins with a stop signal, and not with a start."""
        return self in (Role.OUT, Role.FLOOR_OUT)

    @property
    def is_bare(self) -> bool:
        """Whether the prober does it itself, with the reconciler paused."""
        return self in (Role.FLOOR, Role.ONE_WRITE, Role.FLOOR_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One container: an event of it, and what followed."""

    role: Role
    container_id: str
    event: int
    """The engine's own stamp."""
    received: int
    """The event was here."""
    inspected: int = 0
    """The inspect's answer was here (floors)."""
    addressed: int = 0
    """HAProxy's answer that shows the new address was here (floor)."""
    answered: int = 0
    """HAProxy's answer to the last command was here (floors): their own clock."""
    noticed: int = 0
    """HAProxy's log line that made the observer ask was here (ours, out)."""
    seen: int = 0
    """The observer's answer was here that shows the slot in rotation, or on the way out in
    drain: never too early."""
    asked: int = 0
    """How often the new address was asked for (floors)."""
    where: Place | None = None
