"""A sink that remembers what discovery told it, and lets a test wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from reconciler.core.model import Container


WAIT_SECONDS = 10.0


class RecordingSink:
    """Everything a watcher said; implements :class:`reconciler.discovery.watch.Sink`."""

    def __init__(self) -> None:
        self.known: dict[str, Container] = {}
        """What all changes add up to."""
        self.changes: list[tuple[dict[str, Container | None], bool]] = []
        """Each batch, and whether a resync brought it."""
        self.lists = 0
        self.losses: list[str] = []
        self.removed: list[str] = []
        """Names of containers that went, in order."""
        self.heard_actions: list[str] = []
        """Events that were no replay, in order."""
        self._news = asyncio.Event()

    @property
    def names(self) -> list[str]:
        """The names of the known containers, sorted."""
        return sorted(one.name for one in self.known.values())

    def changed(
        self,
        changes: Mapping[str, Container | None],
        *,
        at: float | None,
        is_resync: bool,
    ) -> None:
        """Remember the changes."""
        assert at is None or not is_resync
        self.changes.append((dict(changes), is_resync))
        for container_id, container in changes.items():
            if container is not None:
                self.known[container_id] = container
            elif container_id in self.known:
                self.removed.append(self.known.pop(container_id).name)
        self._tell()

    def heard(self, action: str) -> None:
        """Remember what came."""
        self.heard_actions.append(action)
        self._tell()

    def listed(self) -> None:
        """Count a whole list."""
        self.lists += 1
        self._tell()

    def engine_lost(self, reason: str) -> None:
        """Remember why."""
        self.losses.append(reason)
        self._tell()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Return once the condition holds; it is looked at after everything that is told.

        Raises AssertionError, with what is known, where it does not within seconds.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while not condition():
                    await self._news.wait()
        except TimeoutError as error:
            raise AssertionError(
                f"not seen: {what}; known {self.names}, {self.lists} lists, "
                f"losses {self.losses}"
            ) from error

    async def until_names(self, *names: str) -> None:
        """Return once exactly these containers are known."""
        await self.until(lambda: self.names == sorted(names), f"exactly {names}")

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
