"""What can go wrong with a request to the scripted engine."""

from __future__ import annotations

import asyncio
import enum
from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


class Fault(enum.Enum):
    """Which way a request goes wrong."""

    FAIL = "answered with an error status"
    DELAY = "answered late"
    STALE = "answered at once, and the answer comes late"
    STALL = "accepted and never answered"
    CUT = "the connection closes in the middle of the body"


@dataclass(slots=True, kw_only=True)
class Rule:
    """One fault for the requests whose path matches, ``remaining`` times (None: always)."""

    fault: Fault
    path: str
    remaining: int | None
    status: int = 500
    message: str = ""
    seconds: float = 0.0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def takes(self, path: str) -> bool:
        """Whether this request is hit; counts it if so."""
        if self.remaining == 0 or not fnmatchcase(path, self.path):
            return False
        if self.remaining is not None:
            self.remaining -= 1
        return True


class Faults:
    """The rules in force. ``path`` is a shell pattern on the path without its version.

    ``count`` is how many requests are hit, None for all until ``clear``; ``hits`` counts
    them by the fault.
    """

    def __init__(self) -> None:
        self.hits: Counter[Fault] = Counter()
        self._rules: list[Rule] = []

    def fail(
        self,
        path: str = "*",
        *,
        count: int | None = 1,
        status: int = 500,
        message: str = "scripted failure",
    ) -> None:
        """Answer with an error status and message."""
        rule = Rule(
            fault=Fault.FAIL, path=path, remaining=count, status=status, message=message
        )
        self._rules.append(rule)

    def delay(self, path: str = "*", *, seconds: float, count: int | None = 1) -> None:
        """Answer, but this much later."""
        self._rules.append(
            Rule(fault=Fault.DELAY, path=path, remaining=count, seconds=seconds)
        )

    def stale(self, path: str = "*", *, seconds: float, count: int | None = 1) -> None:
        """Make the answer now and send it this much later: what it says may be over."""
        self._rules.append(
            Rule(fault=Fault.STALE, path=path, remaining=count, seconds=seconds)
        )

    def stall(self, path: str = "*", *, count: int | None = 1) -> None:
        """Accept, and answer only after ``clear``."""
        self._rules.append(Rule(fault=Fault.STALL, path=path, remaining=count))

    def cut(self, path: str = "*", *, count: int | None = 1) -> None:
        """Send the head and half of the body, then close the connection."""
        self._rules.append(Rule(fault=Fault.CUT, path=path, remaining=count))

    def clear(self) -> None:
        """Forget every rule, and answer what was stalled."""
        for rule in self._rules:
            rule.released.set()
        self._rules.clear()

    def take(self, path: str) -> Rule | None:
        """Return the first rule that hits this request, counted as used."""
        taken = next((rule for rule in self._rules if rule.takes(path)), None)
        if taken is not None:
            self.hits[taken.fault] += 1
        return taken
