"""One container more, one less, many times; each waited for until HAProxy shows it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from peers.look import Look
from peers.observer import Observer
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
    """Started, until HAProxy calls it up."""
    out: list[float] = field(default_factory=list)
    """Told to stop, until it gets no new request."""


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
            address = self._add(container_id)
            self._pause()
            self._remove(container_id, address)

    def _pause(self) -> None:
        time.sleep(CALM_SECONDS + self._random.uniform(0, self._jitter_seconds))

    def _add(self, container_id: str) -> str:
        before = self._eyes.latest()
        self._eyes.sharpen()
        stamp, address = self._twins.start(container_id)
        for word, part, values in (
            ("known", known, self._times.known),
            ("up", up, self._times.up),
        ):
            look = self._eyes.wait(
                f"one server more is {word}",
                self._has(address, part, len(part(before)) + 1),
                after=before.at + 1,
            )
            values.append((look.at - stamp) / 1e6)
        return address

    def _remove(self, container_id: str, address: str) -> None:
        before = self._eyes.latest()
        self._eyes.sharpen()
        stamp = self._twins.stop(container_id)
        is_up = self._has(address, up, len(before.up))
        look = self._eyes.wait(
            "one server less is up", lambda one: not is_up(one), after=before.at + 1
        )
        self._times.out.append((look.at - stamp) / 1e6)
        self._twins.remove(container_id)
        # Else the next one may take its place with nothing to be seen of it.
        is_known = self._has(address, known, len(before.known))
        self._eyes.wait(
            "it has left the table", lambda one: not is_known(one), after=look.at
        )

    def _has(self, address: str, part: Part, count: int) -> Callable[[Look], bool]:
        """Tell whether a look has an address, or where it has names, so many of them."""
        if self._eyes.is_by_address:
            return lambda look: address in part(look)
        return lambda look: len(part(look)) >= count
