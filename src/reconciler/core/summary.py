"""How full every backend is, as people ask for it. Pure: from rows to counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.core.model import Unplaced
from reconciler.core.view import DOWN, FREE, SlotRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One backend of one HAProxy, counted. Every slot is in exactly one of the states."""

    haproxy: str
    backend: str
    slots: int
    free: int
    ready: int
    drain: int
    maint: int
    down: int
    held: int
    """Of those in drain and maint: by an operator's hand."""
    unplaced: int

    @property
    def used(self) -> int:
        """Slots that somebody lives in."""
        return self.slots - self.free

    @property
    def head_room(self) -> float:
        """What part of the slots is free, 0 to 1."""
        return self.free / self.slots if self.slots else 0.0


def summaries(
    rows: Iterable[SlotRow], unplaced: Sequence[tuple[str, Unplaced]]
) -> list[Summary]:
    """Return a summary for every backend that has rows, in their order."""
    states: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        counter = states.setdefault((row.haproxy, row.backend), Counter())
        counter[row.state] += 1
        counter["held"] += row.held
    left_out = Counter((haproxy, one.backend) for haproxy, one in unplaced)
    return [
        Summary(
            haproxy=haproxy,
            backend=backend,
            slots=counter.total() - counter["held"],
            free=counter[FREE],
            ready=counter["ready"],
            drain=counter["drain"],
            maint=counter["maint"],
            down=counter[DOWN],
            held=counter["held"],
            unplaced=left_out[haproxy, backend],
        )
        for (haproxy, backend), counter in states.items()
    ]
