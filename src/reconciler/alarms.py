"""What a worker wakes up for by itself: no event comes when a session ends or a time is over.

Pure: the time is handed in, in seconds on the worker's clock.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from reconciler.core.model import ServerRef


BUSY_PAUSE_SECONDS = 0.05
"""How long until a slot whose old connections kept it from reuse is looked at again, at
first. Doubles while nothing changes."""

LONGEST_BUSY_PAUSE_SECONDS = 0.5

PROOF_SECONDS = 0.25
"""How long after a change the slots concerned are read once more. Another reconciler may
have written at the same moment, from another reading: then one of us has to notice."""

LATEST_PROOF_SECONDS = 2.0
"""While changes go on, the reading waits for the last of them, but no longer than this after
the first: in a burst it would read a large backend again and again."""


@dataclass(slots=True)
class Alarms:
    """What a quiet worker wakes up for, all by itself: backends, and when (loop time)."""

    busy: set[str] = field(default_factory=set)
    """Backends where somebody waits for connections to end."""
    busy_at: float = math.inf
    busy_looks: int = 0
    unproven: dict[ServerRef, float] = field(default_factory=dict)
    """When each was changed last."""
    unproven_since: float = math.inf
    proof_at: float = math.inf
    due: dict[str, float] = field(default_factory=dict)

    def next(self) -> float:
        """Return when the first of them is due, infinity where there is none."""
        return min(self.busy_at, self.proof_at, *self.due.values())

    def take(self, now: float) -> tuple[set[str], set[ServerRef]]:
        """Return backends to plan for now, and slots to read once more; forget both."""
        prove: set[ServerRef] = set()
        look: set[str] = set()
        if self.proof_at <= now:
            # What was changed a moment ago is not proven by a reading of this moment.
            young = {
                k: at for k, at in self.unproven.items() if at + PROOF_SECONDS > now
            }
            prove, self.unproven = self.unproven.keys() - young.keys(), young
            self.unproven_since = min(young.values(), default=math.inf)
            self.proof_at = max(young.values(), default=math.inf) + PROOF_SECONDS
        if self.busy_at <= now:
            look |= self.busy
            self.busy_at = math.inf
            self.busy_looks += 1
        for backend in [name for name, at in self.due.items() if at <= now]:
            look.add(backend)
            del self.due[backend]
        return look, prove

    def changed(self, slots: set[ServerRef], now: float) -> None:
        """Something was written to these slots."""
        if slots:
            self.unproven |= dict.fromkeys(slots, now)
            self.unproven_since = min(self.unproven_since, now)
            latest = self.unproven_since + LATEST_PROOF_SECONDS
            self.proof_at = min(latest, now + PROOF_SECONDS)

    def due_at(
        self, due: Mapping[str, float], whole: Collection[str | None] | None
    ) -> None:
        """The time alone changes something then; what is due in ``whole`` is all that is.

        ``whole`` None stands for all backends. Elsewhere only a part was planned for.
        """
        if whole is None:
            self.due.clear()
        for backend in whole or ():
            if backend is not None:
                self.due.pop(backend, None)
        for backend, at in due.items():
            self.due[backend] = min(at, self.due.get(backend, at))

    def wait_for(self, busy: set[str], now: float) -> None:
        """Somebody waits in these backends, and in no others."""
        if not busy <= self.busy or not busy:
            self.busy_looks, self.busy_at = 0, math.inf
        self.busy = busy
        if busy and math.isinf(self.busy_at):
            pause = BUSY_PAUSE_SECONDS * 2 ** min(self.busy_looks, 10)
            self.busy_at = now + min(pause, LONGEST_BUSY_PAUSE_SECONDS)
