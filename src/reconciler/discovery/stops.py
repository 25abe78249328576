"""Which containers are on their way out: their stop signal was sent, and they have not ended.

Neither a list nor an inspect tells. The engine's ``kill`` event does, before the process can
act on the signal (Docker API, ``SystemEvents``); and it comes for any signal, so each is
compared with the container's own stop signal. Pure: every time is handed in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from reconciler.core.model import StopRule
from reconciler.discovery.inspect import Effect, EngineEvent


REACH_BACK_SECONDS = 600.0
"""How far a subscription reaches back for signals: a reconciler that starts in the middle of
a stop has to know of it. The engine keeps its last 256 events, so this is never much."""

MARGIN_SECONDS = 1.0
"""On top of the stop time-out: then the engine kills, and takes a moment to say so."""

_SIGKILL = 9
"""Nobody survives it, so it means the same as the stop signal, whatever that is."""


SUSPECT_SECONDS = 2.0
"""How long a signal counts that came after the start of a life and is stamped a little before
it. The engine's clock slipped, or the event comes late: then nothing follows."""

_JUMP_SECONDS = 30.0
"""No event comes as late as this: the clock was set back, and the signal is to this life."""


@dataclass(frozen=True, slots=True)
class _Signal:
    number: int
    sent_at: float
    is_suspect: bool


_MOST_HEARD = 64
"""So many events of one container are told from their repetition."""


@dataclass(slots=True)
class _Life:
    """What was heard of one container."""

    began: float = float("-inf")
    """The engine's stamp of its last start, or of its last end."""
    signals: dict[float, _Signal] = field(default_factory=dict)
    """To the present life, by the engine's stamp."""
    heard: dict[tuple[str, float], float] = field(default_factory=dict)
    """When each event was heard first, by its action and stamp."""

    def first_heard(self, event: EngineEvent, at: float) -> float:
        """Return when an event was first heard; ``at`` if that is now."""
        first = self.heard.setdefault((event.action, event.at), at)
        if len(self.heard) > _MOST_HEARD:
            del self.heard[next(iter(self.heard))]
        return first


class Stops:
    """Signals by container, until its life ends.

    Events are believed in the order they come, and not by their stamps: the engine's clock
    may be set while it runs. A replay tells its part of the past anew, in order, so it may
    well begin with the end of an earlier life.
    """

    def __init__(self) -> None:
        self._lives: dict[str, _Life] = {}
        self._signalled: set[str] = set()
        """Those of them that have signals."""

    def note(self, event: EngineEvent, sent_at: float, *, is_news: bool) -> None:
        """Take in an event.

        ``sent_at`` is when it happened, in seconds on the clock of :meth:`remaining`; for
        what was heard before, that time counts. News that were heard before are none.
        """
        life = self._lives.setdefault(event.container_id, _Life())
        is_repeated = (event.action, event.at) in life.heard
        sent_at = life.first_heard(event, sent_at)
        if is_repeated and is_news:
            return
        if event.action == "start" or event.effect is Effect.GONE:
            life.signals.clear()
            self._signalled.discard(event.container_id)
            life.began = event.at
        elif event.effect is Effect.SIGNAL and event.signal is not None:
            is_suspect = is_news and 0 <= life.began - event.at <= _JUMP_SECONDS
            life.signals[event.at] = _Signal(event.signal, sent_at, is_suspect)
            self._signalled.add(event.container_id)

    def forget(self, container_id: str) -> None:
        """It has outlived what was sent to it."""
        life = self._lives.get(container_id)
        if life is not None:
            life.signals.clear()
            self._signalled.discard(container_id)

    def forget_before(self, container_id: str, began: float) -> None:
        """Its life began while nobody listened, at this time by the engine's stamps."""
        life = self._lives.get(container_id)
        if life is not None:
            life.signals = {k: v for k, v in life.signals.items() if k >= began}
            if not life.signals:
                self._signalled.discard(container_id)

    def keep_only(self, container_ids: Collection[str]) -> None:
        """Forget every other container."""
        self._lives = {k: v for k, v in self._lives.items() if k in container_ids}
        self._signalled &= self._lives.keys()

    def __len__(self) -> int:
        return len(self._lives)

    def is_signalled(self, container_id: str) -> bool:
        """Whether a container was sent any signal in its present life."""
        return container_id in self._signalled

    def signalled(self) -> set[str]:
        """Return the containers that were sent any signal in their present life."""
        return set(self._signalled)

    def remaining(self, container_id: str, rule: StopRule, now: float) -> float:
        """Return for how many seconds more it counts as stopping; 0 or less if it does not."""
        life = self._lives.get(container_id)
        ends = [
            each.sent_at + (SUSPECT_SECONDS if each.is_suspect else _patience(rule))
            for each in (life.signals.values() if life else ())
            if each.number in (rule.signal, _SIGKILL)
        ]
        return max(ends, default=now) - now


def _patience(rule: StopRule) -> float:
    return rule.timeout_seconds + MARGIN_SECONDS
