"""What changed among the claims: whose, in which backends, and at which places.

Small enough to be planned for by itself, whatever the size of the backend.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.core.model import Place


Spots = dict[str, set[Place]]
"""Containers by id, with the places they claimed before the change or claim after it."""


@dataclass(slots=True)
class Touched:
    """The changes since somebody looked, by backend (None: claims that name none)."""

    by_backend: dict[str | None, Spots] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.by_backend)

    def __len__(self) -> int:
        return sum(map(len, self.by_backend.values()))

    @property
    def backends(self) -> set[str | None]:
        """The backends concerned."""
        return set(self.by_backend)

    def add(
        self, backend: str | None, container_id: str, places: Iterable[Place] = ()
    ) -> None:
        """One container's claim on one backend changed."""
        spots = self.by_backend.setdefault(backend, {})
        spots.setdefault(container_id, set()).update(places)

    def join(self, other: Touched) -> None:
        """Take in another's changes."""
        for backend, spots in other.by_backend.items():
            for container_id, places in spots.items():
                self.add(backend, container_id, places)

    def places(self, backend: str | None) -> set[Place]:
        """Return the places concerned in one backend; some with ``ANY_PORT``."""
        spots = self.by_backend.get(backend, {})
        return {place for places in spots.values() for place in places}

    def take(self, most: int) -> Touched:
        """Split off at most so many changes, and return them."""
        if len(self) <= most:
            taken = Touched(self.by_backend)
            self.by_backend = {}
            return taken
        taken = Touched()
        for backend, spots in list(self.by_backend.items()):
            for container_id in list(spots)[: most - len(taken)]:
                taken.add(backend, container_id, spots.pop(container_id))
            if not spots:
                del self.by_backend[backend]
            if len(taken) >= most:
                break
        return taken
