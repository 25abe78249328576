"""HAProxy's configuration as sections of lines. Reads text, changes nothing, never raises.

What a condition or a variable asks for is taken from what HAProxy tells of itself. Where it
does not tell, the file can be read in more than one way, and all of them are returned: what
holds in each of them holds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.core.cfg_conditions import (
    MARK,
    Predicate,
    decided,
    expression_of,
    truth_of,
)
from reconciler.core.cfg_facts import Environment, Facts, changes_in
from reconciler.core.cfg_words import (
    Variable,
    Word,
    as_assumed,
    as_written,
    expanded,
    is_open,
    words_of,
)


_SECTIONS = frozenset(
    [
        "acme",
        "backend",
        "cache",
        "crt-store",
        "defaults",
        "fcgi-app",
        "frontend",
        "global",
        "healthcheck",
        "http-errors",
        "listen",
        "log-forward",
        "log-profile",
        "mailers",
        "namespace_list",
        "peers",
        "program",
        "resolvers",
        "ring",
        "traces",
        "userlist",
    ]
)
_DEFINED = re.compile(r"defined\(([A-Za-z_]\w*)\)", re.ASCII)
_LONGEST_NAME = 255
_MOST_WAYS = 64
"""In how many ways a file is read, at most, so that all are: six open conditions."""
NO_FACTS = Facts()


class CfgFile(NamedTuple):
    """One file of a configuration, as it is written."""

    name: str
    text: str


class Spot(NamedTuple):
    """A line of a file."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line, split into words as HAProxy does.

    A variable that nobody knows stays in its word as it is written.
    """

    number: int
    words: tuple[str, ...]
    file: str = ""
    assumed: Mapping[int, str] = field(default_factory=dict)
    """The words that have such a variable, by their place: each as it is where none is set."""

    @property
    def spot(self) -> Spot:
        """Where it stands."""
        return Spot(self.file, self.number)

    def starts(self, *words: str) -> bool:
        """Whether the line begins with these words."""
        return self.words[: len(words)] == words


@dataclass(slots=True, kw_only=True)
class Section:
    """A section: its kind, its name ('' where it has none) and its lines."""

    kind: str
    name: str
    spot: Spot
    is_assumed: bool = False
    """Its name comes from a variable that nobody knows: it is what stands for it where it is
    not set."""
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
        return self.option(name) is not None

    def option(self, name: str) -> Line | None:
        """Return the line by which ``option NAME`` is in force, None where it is not."""
        for section in self.chain():
            for line in reversed(section.lines):
                if line.starts("option", name):
                    return line
                if line.words[1:3] == ("option", name):  # `no`, or `default`
                    return None
        return None

    @property
    def open_lines(self) -> list[Line]:
        """The lines in force that may say anything: they begin with such a variable."""
        return [
            line
            for section in self.chain()
            for line in section.lines
            if line.assumed and (0 in line.assumed or _is_open_option(line))
        ]


def _is_open_option(line: Line) -> bool:
    first = 1 if line.words[0] in {"no", "default"} else 0
    is_option = line.words[first : first + 1] == ("option",)
    return first in line.assumed or (is_option and first + 1 in line.assumed)


class Condition(NamedTuple):
    """A question of a condition that nobody can answer, and where it stands first."""

    text: str
    spot: Spot


@dataclass(frozen=True, slots=True, kw_only=True)
class Cfg:
    """A configuration as it is if the open questions are answered in one way."""

    sections: tuple[Section, ...]
    open: tuple[Condition, ...] = ()
    """The questions that were answered by chance."""


def ways_to_read(files: Iterable[CfgFile], facts: Facts = NO_FACTS) -> tuple[Cfg, ...]:
    """Return a configuration in each way that HAProxy may read it: one, mostly.

    With more open questions than are tried in every combination, the ways are those in
    which all are answered yes, all no, and each of them once unlike all others: whatever
    depends on up to three of them comes about in one.
    """
    text = _Text.of(files, facts)
    exact = list(_every_way(text))
    if len(exact) <= _MOST_WAYS:
        return tuple(exact)
    return tuple(_some_ways(text))


def sections(text: str, facts: Facts = NO_FACTS) -> tuple[Section, ...]:
    """Return a configuration's sections, read in the first of the possible ways."""
    return ways_to_read([CfgFile("", text)], facts)[0].sections


def variables_in(files: Iterable[CfgFile]) -> list[str]:
    """Return the names of the variables of HAProxy's environment that files ask for.

    Longer names than HAProxy is asked for are left out: those stay unknown.
    """
    found: set[str] = set()
    for raw in (line for file in files for line in _raw_lines(file)):
        for word in raw.words:
            found |= {one.name for one in word if isinstance(one, Variable)}
            if as_written(raw.words[0]) in {".if", ".elif"}:
                found |= set(_DEFINED.findall(as_written(word)))
    return sorted(
        name
        for name in found
        if not name.startswith(".") and len(name) <= _LONGEST_NAME
    )


@dataclass(frozen=True, slots=True)
class _Raw:
    """A line before anything is known of HAProxy."""

    spot: Spot
    words: tuple[Word, ...]
    is_first: bool
    """It is the first of its file: a section does not go on over the end of a file."""
    is_directive: bool
    """It begins with a dot: a condition, or a message."""
    line: Line | None
    """The line, where nothing of it depends on HAProxy."""


def _raw_lines(file: CfgFile) -> Iterator[_Raw]:
    # Only a line feed ends a line, whatever else str.splitlines() takes for an end.
    is_first = True
    for number, text in enumerate(file.text.split("\n"), start=1):
        if words := words_of(text):
            spot = Spot(file.name, number)
            is_directive = as_written(words[0]).startswith(".")
            line = None if any(map(is_open, words)) else _line(spot, words)
            yield _Raw(spot, words, is_first, is_directive, line)
            is_first = False


def _line(spot: Spot, words: Iterable[Word]) -> Line | None:
    """Return the line of these words; None where HAProxy reads none of them."""
    read = tuple(_until_empty(words))
    if not read:
        return None
    assumed = {at: as_assumed(word) for at, word in enumerate(read) if is_open(word)}
    return Line(spot.number, tuple(map(as_written, read)), spot.file, assumed)


class _Question(NamedTuple):
    """What a condition asks, in an environment that changes with some lines."""

    text: str
    generation: int


class _Answers:
    """Answers every question that came up before as before; notes those that are new."""

    def __init__(self, known: Mapping[_Question, bool], *, usual: bool = True) -> None:
        self._given = dict(known)
        self._usual = usual
        self.new: list[dict[_Question, bool]] = []
        """For each new question all answers up to it, with the other one to it."""

    def __call__(self, question: _Question) -> bool:
        """Return the answer."""
        if question not in self._given:
            self.new.append({**self._given, question: not self._usual})
            self._given[question] = self._usual
        return self._given[question]

    @property
    def asked(self) -> list[_Question]:
        """All questions there were."""
        return list(self._given)


class _Text(NamedTuple):
    """What every way to read a configuration has in common."""

    lines: list[_Raw]
    facts: Facts
    changes: Counter[str]
    is_reset: bool

    @classmethod
    def of(cls, files: Iterable[CfgFile], facts: Facts) -> _Text:
        """Return files split into lines and words, once for all ways."""
        lines = [line for file in files for line in _raw_lines(file)]
        return cls(lines, facts, *changes_in(line.words for line in lines))

    def environment(self) -> Environment:
        """Return HAProxy's environment before the first line."""
        return Environment(
            facts=self.facts, changes=self.changes, is_reset=self.is_reset
        )


def _every_way(text: _Text) -> Iterator[Cfg]:
    """Yield one way more than are looked at, at most."""
    left: list[dict[_Question, bool]] = [{}]
    for _ in range(_MOST_WAYS + 1):
        if not left:
            return
        answers = _Answers(left.pop())
        yield _Reader(text, answers).read()
        left += answers.new


def _some_ways(text: _Text) -> Iterator[Cfg]:
    for usual in (True, False):
        answers = _Answers({}, usual=usual)
        yield _Reader(text, answers).read()
        for unlike in answers.asked:
            others = _Answers({unlike: not usual}, usual=usual)
            yield _Reader(text, others).read()


class _Reader:
    """Reads a configuration once, from the first line to the last."""

    def __init__(self, text: _Text, answer: _Answers) -> None:
        self._lines = text.lines
        self._facts = text.facts
        self._answer = answer
        self._environment = text.environment()
        self._branches: list[_Branch] = []
        self._open: dict[str, Spot] = {}
        self._found: list[Section] = []
        self._named: dict[str, Section] = {}
        self._last: Section | None = None
        self._current: Section | None = None

    def read(self) -> Cfg:
        """Return the sections. Lines above a file's first section are left out."""
        for raw in self._lines:
            if raw.is_first:
                self._current, self._branches = None, []
            if raw.is_directive:
                self._turn(raw)
            elif all(b.counts for b in self._branches):
                self._take(raw)
        asked = tuple(Condition(text, spot) for text, spot in self._open.items())
        return Cfg(sections=tuple(self._found), open=asked)

    def _turn(self, raw: _Raw) -> None:
        """Take a line that opens, turns or closes a branch."""
        word = as_written(raw.words[0])
        if word == ".if":
            holds = all(b.counts for b in self._branches) and self._holds(raw)
            self._branches.append(_Branch(holds))
        elif word == ".elif" and self._branches:
            is_asked = not self._branches[-1].is_taken and all(
                b.counts for b in self._branches[:-1]
            )
            self._branches[-1].turn(is_asked and self._holds(raw))
        elif word == ".else" and self._branches:
            self._branches[-1].turn(not self._branches[-1].is_taken)
        elif word == ".endif" and self._branches:
            self._branches.pop()

    def _holds(self, raw: _Raw) -> bool:
        text = " ".join(_marked(word) for word in self._expanded(raw.words[1:]))
        expression = expression_of(text)
        found = decided(expression, self._truth)
        if found is not None:
            return found
        return decided(expression, lambda one: self._guess(one, raw.spot)) is True

    def _truth(self, predicate: Predicate) -> bool | None:
        return truth_of(predicate, self._facts, self._environment)

    def _guess(self, predicate: Predicate, spot: Spot) -> bool:
        known = self._truth(predicate)
        if known is not None:
            return known
        self._open.setdefault(str(predicate), spot)
        generation = self._environment.generation if predicate.is_of_environment else 0
        return self._answer(_Question(str(predicate), generation))

    def _expanded(self, words: tuple[Word, ...]) -> Iterator[Word]:
        for word in words:
            if is_open(word):
                yield from expanded(word, self._environment.value_of)
            else:
                yield word

    def _take(self, raw: _Raw) -> None:
        line = raw.line or _line(raw.spot, self._expanded(raw.words))
        if line is None:
            return
        if line.words[0] in _SECTIONS:
            self._open_section(line)
        elif self._current is not None:
            self._current.lines.append(line)
            if self._current.kind == "global":
                self._environment.change(tuple(self._expanded(raw.words)))

    def _open_section(self, line: Line) -> None:
        section = _opened(line, self._named, self._last)
        self._found.append(section)
        self._current = section
        if section.kind == "defaults":
            self._last = section
            self._named[section.name] = section


def _marked(word: Word) -> str:
    """Return a condition's word with what is unknown between marks."""
    return "".join(
        f"{MARK}{piece}{MARK}" if isinstance(piece, Variable) else piece
        for piece in word
    )


def _until_empty(words: Iterable[Word]) -> Iterator[Word]:
    """Yield the words up to one that comes to nothing: there HAProxy stops to read."""
    for word in words:
        if word == ("",) or not word:
            return
        yield word


def _opened(line: Line, named: dict[str, Section], last: Section | None) -> Section:
    kind, *rest = line.words
    has_name = bool(rest) and rest[0] != "from"
    source = rest[rest.index("from") + 1 :][:1] if "from" in rest else []
    defaults = named.get(source[0]) if source else last
    if kind == "defaults" and not source:
        defaults = None
    return Section(
        kind=kind,
        name=(line.assumed.get(1) or rest[0]) if has_name else "",
        spot=line.spot,
        is_assumed=has_name and 1 in line.assumed,
        defaults=defaults,
    )


@dataclass(slots=True)
class _Branch:
    """The branch of a condition that is read now."""

    counts: bool
    is_taken: bool = field(init=False)
    """This branch, or one before it, is taken."""

    def __post_init__(self) -> None:
        self.is_taken = self.counts

    def turn(self, holds: bool) -> None:  # noqa: FBT001 - what the condition came to
        """Go on to the next branch."""
        self.counts = holds and not self.is_taken
        self.is_taken = self.is_taken or holds
