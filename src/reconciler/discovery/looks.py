"""Looking at the containers that events were about: at once, a few at a time, many together.

A lone event is looked at with no delay. Where more wait than can be looked at at once, those
that have just started are read together, by one list of these containers. Whoever waits is
kept once, however many events were about it.

An engine may list a container a moment later than it tells of its start. So whoever is missing
in such a list is inspected by itself: only that answer says that somebody is gone. And where
lists tell less than inspects do, everybody is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from reconciler.core.model import Container
from reconciler.discovery.catalog import Catalog
from reconciler.discovery.engine import Engine
from reconciler.errors import DiscoveryError


MOST_LOOKERS = 4
"""So many requests are under way at once. An engine answers an inspect in half a millisecond;
more of them would fight for its processors, and for ours."""

MANY = 8
"""From so many that wait on, they are read together: a list of them costs no more than two
or three inspects."""

MOST_TOGETHER = 100
"""So many are read by one request at most: 7 kB of their ids."""


CONFIRM_SECONDS = 0.2
"""How long after its end somebody is looked for once more, together with all who ended
meanwhile. An end that was told out of order would take out who runs; and mostly it is true.
Whoever was expected is looked at so long after its start."""


Changes = Mapping[str, Container | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who hears of what was found."""

    judge: Callable[[str], Changes]
    """Returns what a container's signals change, now that it is known."""
    changed: Callable[[Changes, float | None], None]
    """Takes what is different, and the time of the event."""
    listed: Callable[[], None]
    """Some were read from a list, which does not tell how they stop."""
    failed: Callable[[DiscoveryError], None]
    """Somebody could not be looked at."""


class Looks:
    """Whoever has to be looked at, and the few tasks that do it."""

    def __init__(self, engine: Engine, catalog: Catalog, told: Told) -> None:
        self._engine = engine
        self._catalog = catalog
        self._told = told
        self._wanted: dict[str, float | None] = {}
        """The time of the last event, by container, until it was looked at."""
        self._waiting: dict[str, None] = {}
        self._waiting_starts: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self._begun: dict[str, None] = {}
        self._lookers: set[asyncio.Task[None]] = set()
        self._confirm_timer: asyncio.TimerHandle | None = None
        self._confirming: asyncio.Task[None] | None = None
        self._done = asyncio.Event()

    def __contains__(self, container_id: str) -> bool:
        return container_id in self._wanted

    @property
    def wanted(self) -> Collection[str]:
        """Who waits, or is being looked at."""
        return self._wanted.keys()

    def want(
        self,
        container_id: str,
        at: float | None,
        tasks: asyncio.TaskGroup,
        *,
        has_started: bool = False,
    ) -> None:
        """Look at a container; if that is under way, once more after it."""
        is_known = container_id in self._wanted
        self._wanted[container_id] = at
        if is_known and not has_started:
            # More happened to it than its start: that is seen by an inspect.
            if container_id in self._waiting_starts:
                del self._waiting_starts[container_id]
                self._waiting[container_id] = None
            return
        if is_known:
            return
        waiting = self._waiting_starts if has_started else self._waiting
        waiting[container_id] = None
        if len(self._lookers) < MOST_LOOKERS:
            self._lookers.add(tasks.create_task(self._look()))

    def drop(self, container_id: str) -> None:
        """Look no more for who is gone for good, unless that is under way."""
        has_waited = (
            container_id in self._waiting or container_id in self._waiting_starts
        )
        confirmed = (self._ended, self._begun)
        for waiting in (self._waiting, self._waiting_starts, *confirmed):
            waiting.pop(container_id, None)
        if has_waited:
            self._note_done(container_id)

    def confirm_end(self, container_id: str, tasks: asyncio.TaskGroup) -> None:
        """See, a little later, whether who ended by its event does not run."""
        if container_id in self._wanted:
            # A list might still show what it was before.
            self.want(container_id, None, tasks)
            return
        self._begun.pop(container_id, None)
        self._ended[container_id] = None
        self._confirm_soon(tasks)

    def confirm_start(self, container_id: str, tasks: asyncio.TaskGroup) -> None:
        """Look, a little later, at who began by its event, as it was expected to be."""
        self._ended.pop(container_id, None)
        self._begun[container_id] = None
        self._confirm_soon(tasks)

    def _confirm_soon(self, tasks: asyncio.TaskGroup) -> None:
        """Set a timer only: a newcomer waits for whatever is done here."""
        if self._confirm_timer is None:
            loop = asyncio.get_running_loop()
            self._confirm_timer = loop.call_later(
                CONFIRM_SECONDS, self._confirm_now, tasks
            )

    def _confirm_now(self, tasks: asyncio.TaskGroup) -> None:
        self._confirming = tasks.create_task(self._confirm(tasks))

    def stop(self) -> None:
        """Look at nobody any more."""
        for looker in (*self._lookers, self._confirm_timer, self._confirming):
            if looker is not None:
                looker.cancel()
        # One that had not begun yet never gets to leave by itself.
        self._lookers.clear()
        self._confirm_timer = self._confirming = None
        self._ended.clear()
        self._begun.clear()
        self._wanted.clear()
        self._waiting.clear()
        self._waiting_starts.clear()

    async def until_looked_at(self, container_ids: Collection[str]) -> None:
        """Return once none of these has to be looked at any more."""
        while not self._wanted.keys().isdisjoint(container_ids):
            await self._done.wait()

    async def _look(self) -> None:
        try:
            while waiting := self._waiting or self._waiting_starts:
                # First, or a processor that is too slow would never come to them.
                are_many = len(self._waiting_starts) >= MANY
                if are_many and not self._catalog.lists_less:
                    await self._look_at_many()
                    continue
                container_id = next(iter(waiting))
                del waiting[container_id]
                await self._look_at(container_id)
        finally:
            # In the same moment in which nobody waited any more: whoever comes next finds
            # a place for a new looker.
            looker = asyncio.current_task()
            if looker is not None:
                self._lookers.discard(looker)

    async def _look_at(self, container_id: str) -> None:
        """Inspect one until no event came during it."""
        try:
            while True:
                at = self._wanted[container_id]
                with self._catalog.reading() as moment:
                    container = await self._engine.container(container_id)
                    if self._catalog.is_outdated(container_id, moment):
                        continue
                    if container is None:
                        changes = self._catalog.note_gone(container_id)
                    else:
                        changes = self._catalog.put(container, moment)
                        changes |= self._told.judge(container_id)
                self._told.changed(changes, at)
                return
        except DiscoveryError as error:
            self._told.failed(error)
        finally:
            self._note_done(container_id)

    async def _look_at_many(self) -> None:
        """List some that have started; whoever is not in the list is inspected."""
        ids = list(self._waiting_starts)[:MOST_TOGETHER]
        for container_id in ids:
            del self._waiting_starts[container_id]
        looked_at: list[str] = []
        changes: dict[str, Container | None] = {}
        try:
            with self._catalog.reading() as moment:
                found = await self._engine.containers_of(ids)
                for container_id in ids:
                    container = found.get(container_id)
                    is_old = self._catalog.is_outdated(container_id, moment)
                    if container is None or is_old:
                        self._waiting[container_id] = None
                        continue
                    looked_at.append(container_id)
                    changes |= self._catalog.put(container, moment)
                    changes |= self._told.judge(container_id)
            at = [self._wanted[container_id] for container_id in looked_at]
            oldest = min((one for one in at if one is not None), default=None)
            self._told.changed(changes, oldest)
            self._told.listed()
        except DiscoveryError as error:
            looked_at = ids
            self._told.failed(error)
        finally:
            self._note_done(*looked_at)

    async def _confirm(self, tasks: asyncio.TaskGroup) -> None:
        """List those that have ended, and look at whoever seems to run all the same.

        The list alone would bring back somebody whose end it does not show yet. Whoever has
        begun is looked at in any case; who does so while a list is read, a little later.
        """
        begun, self._begun = self._begun, {}
        for container_id in begun:
            self.want(container_id, None, tasks, has_started=True)
        while self._ended:
            ids = list(self._ended)[:MOST_TOGETHER]
            for container_id in ids:
                del self._ended[container_id]
            try:
                found = await self._engine.containers_of(ids)
            except DiscoveryError as error:
                self._told.failed(error)
            else:
                for container_id in found:
                    self.want(container_id, None, tasks)
        self._confirm_timer = None
        if self._begun:
            self._confirm_soon(tasks)

    def _note_done(self, *container_ids: str) -> None:
        for container_id in container_ids:
            self._wanted.pop(container_id, None)
        done, self._done = self._done, asyncio.Event()
        done.set()
