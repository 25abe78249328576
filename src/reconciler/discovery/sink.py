"""Who is told what was read of Docker, as a Protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from reconciler.core.model import Container


class Sink(Protocol):
    """Who is told. Every method returns at once."""

    def changed(
        self,
        changes: Mapping[str, Container | None],
        *,
        at: float | None,
        is_resync: bool,
    ) -> None:
        """Containers changed (None: gone); ``at`` is the event's time, None for a list."""

    def heard(self, action: str) -> None:
        """An event came, of one of ``ports.EVENT_ACTIONS``; for the metrics alone."""

    def listed(self) -> None:
        """A whole list was read: what is known now is everything there is."""

    def engine_lost(self, reason: str) -> None:
        """The engine does not answer, or its event stream has ended."""
