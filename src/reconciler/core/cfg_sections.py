"""HAProxy's configuration as sections of lines. Reads text, changes nothing, never raises.

Environment variables are not evaluated: a word that has one stays as it is written. Of the
conditions only those on the version are, and only where the version is known; the lines
under any other condition count as they are written.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field


_SECTIONS = frozenset(
    [
        "global",
        "defaults",
        "frontend",
        "backend",
        "listen",
        "peers",
        "resolvers",
        "userlist",
        "mailers",
        "cache",
        "program",
        "http-errors",
        "ring",
        "log-forward",
        "fcgi-app",
        "crt-store",
        "traces",
    ]
)
_VERSION_TEST = re.compile(
    r"(!?)version_(atleast|before)\(\s*['\"]?(\d+)\.(\d+)(?:\.(\d+))?", re.ASCII
)

Release = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Line:
    """One line, split into words as HAProxy does."""

    number: int
    words: tuple[str, ...]

    def starts(self, *words: str) -> bool:
        """Whether the line begins with these words."""
        return self.words[: len(words)] == words


@dataclass(slots=True, kw_only=True)
class Section:
    """A section: its kind, its name ('' where it has none) and its lines."""

    kind: str
    name: str
    line_number: int
    defaults: Section | None = None
    """The ``defaults`` section it takes from: the one it names, else the last before it."""
    lines: list[Line] = field(default_factory=list)

    def chain(self) -> Iterator[Section]:
        """Yield the section, its defaults, their defaults and so on: the nearest first."""
        seen: Section | None = self
        while seen is not None:
            yield seen
            seen = seen.defaults

    def own(self, *words: str) -> list[Line]:
        """Return the section's own lines that begin with these words."""
        return [line for line in self.lines if line.starts(*words)]

    def nearest(self, *words: str) -> Line | None:
        """Return the line in force: the last of the nearest section that has one."""
        for section in self.chain():
            if found := section.own(*words):
                return found[-1]
        return None

    def has_option(self, name: str) -> bool:
        """Whether ``option NAME`` is in force, and no ``no option NAME`` is nearer."""
        for section in self.chain():
            for line in reversed(section.lines):
                if line.starts("option", name):
                    return True
                if line.starts("no", "option", name):
                    return False
        return False


def sections(text: str, release: Release | None = None) -> list[Section]:
    """Return a configuration's sections. Lines above the first are left out.

    ``release`` is the version that ``version_atleast`` and ``version_before`` ask for.
    """
    found: list[Section] = []
    named: dict[str, Section] = {}
    last: Section | None = None
    for line in _counted(_lines(text), release):
        if line.words[0] in _SECTIONS:
            section = _opened(line, named, last)
            found.append(section)
            if section.kind == "defaults":
                last = section
                named[section.name] = section
        elif found:
            found[-1].lines.append(line)
    return found


def _opened(line: Line, named: dict[str, Section], last: Section | None) -> Section:
    kind, *rest = line.words
    name = rest[0] if rest and rest[0] != "from" else ""
    source = rest[rest.index("from") + 1 :][:1] if "from" in rest else []
    defaults = named.get(source[0]) if source else last
    if kind == "defaults" and not source:
        defaults = None
    return Section(kind=kind, name=name, line_number=line.number, defaults=defaults)


def _lines(text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an odd quote: HAProxy will complain, not we
            words = line.split()
        if words:
            yield Line(number, tuple(words))


def _counted(lines: Iterator[Line], release: Release | None) -> Iterator[Line]:
    """Leave out the lines of branches that this release does not take."""
    open_ifs: list[_Branch] = []
    for line in lines:
        word = line.words[0]
        if word == ".if":
            open_ifs.append(_Branch(_holds(line, release)))
        elif word == ".elif" and open_ifs:
            open_ifs[-1] = open_ifs[-1].otherwise(_holds(line, release))
        elif word == ".else" and open_ifs:
            open_ifs[-1] = open_ifs[-1].otherwise(holds=True)
        elif word == ".endif" and open_ifs:
            open_ifs.pop()
        elif all(branch.counts for branch in open_ifs):
            yield line


@dataclass(frozen=True, slots=True)
class _Branch:
    """A branch of a condition; ``holds`` None where nobody can tell."""

    holds: bool | None
    is_decided: bool = False
    """An earlier branch is certainly taken."""

    @property
    def counts(self) -> bool:
        return not self.is_decided and self.holds is not False

    def otherwise(self, holds: bool | None) -> _Branch:  # noqa: FBT001 - tri-state
        return _Branch(holds, self.is_decided or self.holds is True)


def _holds(line: Line, release: Release | None) -> bool | None:
    test = _VERSION_TEST.match("".join(line.words[1:]))
    if test is None or release is None or release == (0, 0, 0):
        return None
    negated, which, *numbers = test.groups()
    asked = tuple(int(number or 0) for number in numbers)
    is_atleast = release >= asked
    holds = is_atleast if which == "atleast" else not is_atleast
    return holds is not bool(negated)
