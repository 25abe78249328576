"""What a HAProxy tells of itself, and what its environment is at each line of its file."""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.core.cfg_words import Variable, Word, as_written, is_open


_OWN = frozenset(
    [
        "HAPROXY_BRANCH",
        "HAPROXY_CFGFILES",
        "HAPROXY_CLI",
        "HAPROXY_HTTPS_LOG_FMT",
        "HAPROXY_HTTP_CLF_LOG_FMT",
        "HAPROXY_HTTP_LOG_FMT",
        "HAPROXY_KEYLOG_FC_LOG_FMT",
        "HAPROXY_KEYLOG_BC_LOG_FMT",
        "HAPROXY_LOAD_SUCCESS",
        "HAPROXY_LOCALPEER",
        "HAPROXY_MASTER_CLI",
        "HAPROXY_MWORKER",
        "HAPROXY_MWORKER_REEXEC",
        "HAPROXY_MWORKER_WAIT_ONLY",
        "HAPROXY_PROCESSES",
        "HAPROXY_STARTUPLOGS_FD",
        "HAPROXY_STARTUP_VERSION",
        "HAPROXY_TCP_LOG_FMT",
        "HAPROXY_TCP_CLF_LOG_FMT",
    ]
)
"""Variables that HAProxy itself sets, some before it reads its file and some after."""
_NAME = re.compile(r"\S+")
"""What may be a variable's name: nobody sets one with a space in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What one HAProxy tells of itself: what the conditions in its file ask for."""

    version: str = ""
    """As it reports it, such as ``3.0.11-1+deb13u4``; '' where it is not known."""
    features: frozenset[str] | None = None
    """Those it was built with, as of ``show dev`` (3.0 and later); None: not known."""
    environment: Mapping[str, str | None] | None = None
    """Variables of its own, once its file was read, as of ``show env``: those that were asked
    for, None where one is not set. None: not known."""


class Unset(enum.Enum):
    """That a variable is not set, and that nobody can tell."""

    UNSET = "unset"
    UNKNOWN = "unknown"


UNSET, UNKNOWN = Unset


@dataclass(slots=True, kw_only=True)
class Environment:
    """HAProxy's environment while it reads its file, as far as it can be known.

    What HAProxy reports is how the environment was left by the lines of ``global`` that
    change it. What they change is not known before them, and after them it is.
    """

    facts: Facts
    changes: Counter[str] = field(default_factory=Counter)
    """How many lines of the file change each variable."""
    is_reset: bool = False
    """Some line takes all variables away but some."""
    generation: int = 0
    """Rises with each line that changes something."""
    _since: dict[str, str | Unset] = field(default_factory=dict)
    _kept: frozenset[str] | None = None

    def get(self, name: str) -> str | Unset:
        """Return a variable's value at this line."""
        if name in self._since:
            return self._since[name]
        is_gone = self._kept is not None and name not in self._kept
        if is_gone or not _NAME.fullmatch(name):
            return UNSET
        given = self.facts.environment or {}
        if name in _OWN or name in self.changes or name not in given:
            return UNKNOWN
        value = given[name]
        if value is None:
            return UNKNOWN if self.is_reset else UNSET
        return value

    def value_of(self, variable: Variable) -> str | None:
        """Return what stands for a variable in a word; None where nobody can tell."""
        value = self.get(variable.name)
        if value is UNKNOWN:
            return None
        return value if isinstance(value, str) else variable.default or ""

    def change(self, words: Sequence[Word]) -> None:
        """Take in a line of ``global`` that may change the environment."""
        match [as_written(word) for word in words]:
            case ["setenv", name, _, *_]:
                self._set(name, words[2])
            case ["presetenv", name, _, *_]:
                self._preset(name, words[2])
            case ["unsetenv", *names]:
                self._since |= dict.fromkeys(names, UNSET)
            case ["resetenv", *names]:
                kept = frozenset(names)
                self._kept = kept if self._kept is None else kept & self._kept
                self._since = {k: v for k, v in self._since.items() if k in kept}
            case _:
                return
        self.generation += 1

    def _set(self, name: str, value: Word) -> None:
        self._since[name] = UNKNOWN if is_open(value) else as_written(value)

    def _preset(self, name: str, value: Word) -> None:
        found, given = self.get(name), (self.facts.environment or {}).get(name)
        if found is UNSET:
            self._set(name, value)
        elif found is UNKNOWN and given is not None and self.changes[name] == 1:
            self._since[name] = given


def changes_in(lines: Iterable[Sequence[Word]]) -> tuple[Counter[str], bool]:
    """Return how many lines change each variable, and whether some line resets them all."""
    changes: Counter[str] = Counter()
    is_reset = False
    for words in lines:
        match [as_written(word) for word in words[:2]]:
            case ["setenv" | "presetenv", name]:
                changes[name] += 1
            case ["unsetenv", *_]:
                changes.update(as_written(word) for word in words[1:])
            case ["resetenv", *_]:
                is_reset = True
            case _:
                pass
    return changes, is_reset
