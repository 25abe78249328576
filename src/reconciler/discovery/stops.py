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


@dataclass(frozen=True, slots=True)
class _Signal:
    number: int
    sent_at: float


@dataclass(slots=True)
class _Life:
    """What was seen of one container, by the engine's own stamps."""

    began: float = float("-inf")
    """No signal up to here counts: the last start, or the last end."""
    signals: dict[float, _Signal] = field(default_factory=dict)


class Stops:
    """Signals by container, until its life ends."""

    def __init__(self) -> None:
        self._lives: dict[str, _Life] = {}

    def note(self, event: EngineEvent, sent_at: float) -> None:
        """Take in an event, in any order and as often as it comes.

        ``sent_at`` is when it happened, in seconds on the clock of :meth:`remaining`.
        """
        if event.action == "start" or event.effect is Effect.GONE:
            # An end may be replayed after a signal to the next life: the stamps decide.
            life = self._lives.setdefault(event.container_id, _Life())
            life.began = max(life.began, event.at)
            life.signals = {at: s for at, s in life.signals.items() if at > event.at}
        elif event.effect is Effect.SIGNAL and event.signal is not None:
            life = self._lives.setdefault(event.container_id, _Life())
            if event.at > life.began:
                life.signals.setdefault(event.at, _Signal(event.signal, sent_at))

    def forget(self, container_id: str) -> None:
        """It has outlived what was sent to it."""
        life = self._lives.get(container_id)
        if life is not None:
            life.signals.clear()

    def keep_only(self, container_ids: Collection[str]) -> None:
        """Forget every other container."""
        self._lives = {k: v for k, v in self._lives.items() if k in container_ids}

    def signalled(self) -> set[str]:
        """Return the containers that were sent any signal in their present life."""
        return {container_id for container_id, v in self._lives.items() if v.signals}

    def remaining(self, container_id: str, rule: StopRule, now: float) -> float:
        """Return for how many seconds more it counts as stopping; 0 or less if it does not."""
        life = self._lives.get(container_id)
        ends = {rule.signal, _SIGKILL}
        sent = (
            [s.sent_at for s in life.signals.values() if s.number in ends]
            if life
            else []
        )
        if not sent:
            return 0.0
        return max(sent) + rule.timeout_seconds + MARGIN_SECONDS - now
