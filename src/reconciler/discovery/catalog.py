"""What is known of the containers, and which reading may replace which.

Readings and events overtake each other: a list that began before an event may arrive after
it. Every event raises a counter; a reading carries the counter's value at its start; and a
reading that is older than an event already seen for a container is dropped. So a container
that died is never brought back by a slow answer, and nothing is removed on ignorance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import (
    Callable,
    Collection,
    Container as Membership,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import contextmanager
from typing import NamedTuple

from reconciler.core.model import Container, StopRule
from reconciler.discovery.listed import listed_over


FORGET_ABOVE = 1024
"""What is remembered of containers that are gone: as many as there are twice, and these."""

NEWCOMER_SECONDS = 2.0
"""Who became known by a reading of its own so short a time before a list was asked for may be
missing in it: a list may lag behind an event. Whoever is older is known to lists."""


class Moment(NamedTuple):
    """A point in the order of events, and in time. Later is larger."""

    order: int
    at: float
    """On the catalog's clock; 0 where that has none."""


class Catalog:
    """The containers that run, by id. Methods return what changed; None means gone."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """``clock`` tells seconds, and never jumps. None: nobody counts as new."""
        self._clock = clock
        self._containers: dict[str, Container] = {}
        self._stop_rules: dict[str, StopRule] = {}
        self._started: dict[str, float] = {}
        self.begun_anew: set[str] = set()
        """Of whom an inspect has told another life than the one before, since the last list."""
        self._expected: dict[str, Container] = {}
        """Who is about to start, as it will be once it runs."""
        self._stopping: set[str] = set()
        self._uncertain: set[str] = set()
        """Who has to be inspected again: a list told less than was known."""
        self._newcomers: dict[str, float] = {}
        """When somebody became known by a reading of its own, for a while."""
        self._last_event: dict[str, int] = {}
        self._now = 0
        self._open_readings: list[Moment] = []
        self.lists_less = False
        """Whether a list was seen to tell less than an inspect had."""

    @property
    def containers(self) -> Mapping[str, Container]:
        """The containers as known now. Do not keep it over an await."""
        return self._containers

    @contextmanager
    def reading(self) -> Iterator[Moment]:
        """Surround a reading of Docker; gives the moment to hand in with its result."""
        moment = Moment(self._now, self._clock() if self._clock else 0.0)
        self._open_readings.append(moment)
        try:
            yield moment
        finally:
            self._open_readings.remove(moment)
            if len(self._last_event) > 2 * len(self._containers) + FORGET_ABOVE:
                self._forget_fences()

    def note_event(self, container_id: str) -> None:
        """Something happened to a container: readings begun before are now too old."""
        self._now += 1
        if self._open_readings:  # one that begins later is younger than this anyway
            self._last_event[container_id] = self._now

    def is_outdated(self, container_id: str, moment: Moment) -> bool:
        """Whether an event came after a reading began."""
        return self._last_event.get(container_id, 0) > moment.order

    def note_gone(self, container_id: str) -> dict[str, Container | None]:
        """A container does not run any more, by its own event."""
        self._stopping.discard(container_id)
        self._uncertain.discard(container_id)
        self._newcomers.pop(container_id, None)
        self._expected.pop(container_id, None)
        if self._containers.pop(container_id, None) is None:
            return {}
        return {container_id: None}

    def expect(self, container: Container) -> dict[str, Container | None]:
        """A container is about to start: it has its address, and does not run yet."""
        if container.id in self._containers:
            return {}
        self.learn(container)
        expected = dataclasses.replace(container, is_starting=True)
        self._containers[container.id] = expected
        # Made now, since its start is waited for.
        self._expected[container.id] = dataclasses.replace(container, is_running=True)
        return {container.id: expected}

    def is_expected(self, container_id: str) -> bool:
        """Whether a container is about to start."""
        return container_id in self._expected

    def begin(self, container_id: str) -> dict[str, Container | None]:
        """A container that was about to start runs, by its own event."""
        begun = self._expected.pop(container_id, None)
        if begun is None:
            return {}
        self._containers[container_id] = begun
        self._note_newcomer(container_id)
        return {container_id: begun}

    def _note_newcomer(self, container_id: str) -> None:
        if self._clock is not None:
            self._newcomers[container_id] = self._clock()

    def stop_rule(self, container_id: str) -> StopRule | None:
        """Return how a container is stopped, None where it was never inspected."""
        return self._stop_rules.get(container_id)

    def learn(self, container: Container) -> None:
        """Remember what only an inspect tells."""
        if container.stop is None:
            return
        if len(self._stop_rules) > 2 * len(self._containers) + FORGET_ABOVE:
            self._forget_rules(self._containers)
        self._stop_rules[container.id] = container.stop
        if self._started.get(container.id, container.started) != container.started:
            self.begun_anew.add(container.id)
        self._started[container.id] = container.started

    def unlearned(self) -> list[str]:
        """Return the containers that have to be inspected.

        Those that were only listed, of which it is not known how they stop; and those of
        which a list told less than was known.
        """
        return [id_ for id_ in self._containers if self.is_unlearned(id_)]

    def is_unlearned(self, container_id: str) -> bool:
        """Whether a container that is known has to be inspected."""
        return (
            container_id not in self._stop_rules or container_id in self._uncertain
        ) and container_id in self._containers

    def note_stopping(
        self, container_id: str, *, is_stopping: bool
    ) -> dict[str, Container | None]:
        """A container that runs is about to end; or it is not, after all."""
        container = self._containers.get(container_id)
        if container is None or container.is_stopping is is_stopping:
            return {}
        if is_stopping:
            self._stopping.add(container_id)
        else:
            self._stopping.discard(container_id)
        changed = dataclasses.replace(container, is_stopping=is_stopping)
        self._containers[container_id] = changed
        return {container_id: changed}

    def put(self, container: Container, moment: Moment) -> dict[str, Container | None]:
        """Take in one container as read, unless an event overtook the reading.

        An inspect counts in full. A list does not overrule what one has told.
        """
        known = self._containers.get(container.id)
        if known is container and container.stop is None:
            return {}  # listed once more, in the same words
        self.learn(container)
        if self.is_outdated(container.id, moment):
            return {}
        if container.id in self._stopping:
            container = dataclasses.replace(container, is_stopping=True)
        if not container.is_running:
            return self.note_gone(container.id)
        is_inspected = container.stop is not None
        if is_inspected:
            self._uncertain.discard(container.id)
            if known is None:
                self._note_newcomer(container.id)
        if known == container:
            return {}
        if not is_inspected:
            container = self._listed(known, container)
            if known == container:
                return {}
        self._containers[container.id] = container
        self._expected.pop(container.id, None)
        return {container.id: container}

    def _listed(self, known: Container | None, listed: Container) -> Container:
        """Return what to make of a list's word, and see to it that an inspect follows."""
        if known is None:
            if self.lists_less:
                self._uncertain.add(listed.id)
            return listed
        if listed.id not in self._stop_rules:
            return listed
        found = listed_over(known, listed)
        if found != listed:
            self.lists_less = True
            self._uncertain.add(listed.id)
        return found

    def replace(
        self, listed: Iterable[Container], moment: Moment
    ) -> dict[str, Container | None]:
        """Take in a whole list, except for containers that an event overtook.

        Returns what the list corrected: on a resync, that is what events had missed.
        """
        changed: dict[str, Container | None] = {}
        seen: set[str] = set()
        for container in listed:
            seen.add(container.id)
            changed |= self.put(container, moment)
        return changed | self.keep_only(seen, moment)

    def keep_only(
        self, seen: Collection[str], moment: Moment
    ) -> dict[str, Container | None]:
        """Everybody who runs was seen in a list that was begun at a moment.

        It says nothing of those that do not run yet, nor of :meth:`newcomers_not_in` it.
        """
        newcomers = set(self.newcomers_not_in(seen, moment))
        changed: dict[str, Container | None] = {}
        for container_id in [id_ for id_ in self._containers if id_ not in seen]:
            is_told = not self.is_outdated(container_id, moment)
            is_sure = container_id not in newcomers
            if is_told and is_sure and not self.is_expected(container_id):
                changed |= self.note_gone(container_id)
        self.begun_anew.clear()
        self._forget_rules(seen)
        self._forget_fences()
        return changed

    def newcomers_not_in(self, seen: Collection[str], moment: Moment) -> list[str]:
        """Return who is missing in a list, and may be too new for it: inspect them."""
        since = moment.at - NEWCOMER_SECONDS
        self._newcomers = {id_: at for id_, at in self._newcomers.items() if at > since}
        return [id_ for id_ in self._newcomers if id_ not in seen]

    def _forget_rules(self, seen: Membership[str]) -> None:
        """Drop what is known of how others stop than these, and those that are known."""
        for container_id in [id_ for id_ in self._stop_rules if id_ not in seen]:
            if container_id not in self._containers:
                del self._stop_rules[container_id]
                self._started.pop(container_id, None)

    def _forget_fences(self) -> None:
        """Drop the fences that no reading, under way or still to begin, can run into."""
        orders = (reading.order for reading in self._open_readings)
        oldest = min(orders, default=self._now)
        self._last_event = {
            id_: at for id_, at in self._last_event.items() if at > oldest
        }
