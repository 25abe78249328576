"""One container more, one less, many times; each waited for until HAProxy shows it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from peers.look import Look
from peers.observer import Observer, UnseenError
from peers.twins import Twins


CALM_SECONDS = 0.3

Part = Callable[[Look], frozenset[str]]


def known(look: Look) -> frozenset[str]:
    """Return what HAProxy has in its table."""
    return look.known


def up(look: Look) -> frozenset[str]:
    """Return what HAProxy calls up."""
    return look.up


@dataclass(slots=True)
class Times:
    """Milliseconds after the engine's stamp."""

    known: list[float] = field(default_factory=list)
    """Started, until HAProxy has it in its table and no administrator keeps it out."""
    up: list[float] = field(default_factory=list)
    """Started, until HAProxy calls it up, and goes on to do so."""
    out: list[float] = field(default_factory=list)
    """Told to stop, until it gets no new request any more."""

    @property
    def off(self) -> list[float]:
        """How far from the start it came into the table, before it or after it."""
        return [abs(one) for one in self.known]


class Steps:
    """A contender's changes, one after another."""

    def __init__(
        self, twins: Twins, eyes: Observer, times: Times, jitter_seconds: float
    ) -> None:
        self._times = times
        self._twins = twins
        self._eyes = eyes
        self._jitter_seconds = jitter_seconds
        # A fixed seed: runs differ by what they measure, not by their timetable.
        self._random = random.Random(3)

    def run(self, count: int) -> None:
        """Do so many of both. Raises UnseenError."""
        for _ in range(count):
            container_id = self._twins.create()
            self._pause()
            before = self._eyes.latest()
            address = self._add(container_id, before)
            self._remove(container_id, address, before)

    def _pause(self) -> None:
        time.sleep(CALM_SECONDS + self._random.uniform(0, self._jitter_seconds))

    def _add(self, container_id: str, before: Look) -> str:
        stamp, address = self._twins.start(container_id)
        has_it = self._has(address, known, len(before.known) + 1)
        look = self._eyes.wait("it is in the table", has_it, after=before.at + 1)
        self._times.known.append((look.at - stamp) / 1e6)
        is_up = self._has(address, up, len(before.up) + 1)
        self._eyes.wait("it is up", is_up, after=before.at + 1)
        self._pause()
        # A check that comes too early may have called it down meanwhile.
        self._eyes.wait("it is still up", is_up, newest=True)
        look = last_turn(self._eyes.since(before.at), is_up)
        self._times.up.append((look.at - stamp) / 1e6)
        return address

    def _remove(self, container_id: str, address: str, before: Look) -> None:
        while_up = self._eyes.latest()
        stamp = self._twins.stop(container_id)
        is_up = self._has(address, up, len(before.up) + 1)
        # Else the next one may take its place with nothing to be seen of it.
        is_known = self._has(address, known, len(before.known) + 1)
        self._eyes.wait("it has left", lambda one: not is_known(one), newest=True)
        looks = self._eyes.since(while_up.at)
        look = last_turn(looks, lambda one: not is_up(one))
        self._times.out.append((look.at - stamp) / 1e6)
        self._twins.remove(container_id)

    def _has(self, address: str, part: Part, count: int) -> Callable[[Look], bool]:
        """Tell whether a look has an address, or where it has names, so many of them."""
        if self._eyes.is_by_address:
            return lambda look: address in part(look)
        return lambda look: len(part(look)) >= count


def last_turn(looks: Sequence[Look], is_so: Callable[[Look], bool]) -> Look:
    """Return the look at which it became so for good. Raises UnseenError if it is not so."""
    since: Look | None = None
    for look in looks:
        if not is_so(look):
            since = None
        elif since is None:
            since = look
    if since is None:
        raise UnseenError("what was so a moment ago is so no more")
    return since
