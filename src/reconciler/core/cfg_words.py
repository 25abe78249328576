"""One line of HAProxy's configuration as words. Reads text, evaluates nothing.

As HAProxy's own parser splits it (manual 2.2, 2.3; ``parse_line`` in its tools.c), which is
not quite as a shell does: variables count between double quotes only, backslashes count there
and outside of quotes, and of all white space only that of ASCII parts words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of HAProxy's environment, as it stands in a word."""

    name: str
    default: str | None = None
    """What stands for it where it is not set, None where nothing does."""
    is_list: bool = False
    """``${NAME[*]}``: white space in its value parts words."""

    def __str__(self) -> str:
        """Return it as it may be written in a file."""
        default = "" if self.default is None else f"-{self.default}"
        return f"${{{self.name}{'[*]' if self.is_list else ''}{default}}}"


Word = tuple["str | Variable", ...]

_SPACE = " \t\n\v\f\r"
_SPACES = re.compile(f"[{_SPACE}]+")
_PLAIN = re.compile(rf"[^{_SPACE}\"'\\#]+")
_WEAK = re.compile(r'[^"\\$]+')
_STRONG = re.compile(r"'([^']*)'")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|([ \\tnr#'\"]))")
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r"}
_VARIABLE = re.compile(
    r"\$(?:\{([A-Za-z_.]\w*)(\[\*\])?(?:-([^}]*))?\}|([A-Za-z_.]\w*))", re.ASCII
)


def words_of(line: str) -> tuple[Word, ...]:
    """Return the words of a line; none where it is empty, a comment or a scope.

    What HAProxy would not read (an odd quote) is split at white space: HAProxy complains of
    it, not we.
    """
    line = line.lstrip(_SPACE).partition("\r")[0].partition("\0")[0]
    if line.startswith("["):
        return ()
    if not any(mark in line for mark in "\"'\\#"):
        return tuple((word,) for word in _SPACES.split(line) if word)
    try:
        return tuple(_Scanner(line).words())
    except ValueError:
        return tuple((word,) for word in _SPACES.split(line) if word)


class _Scanner:
    """Goes through one line once."""

    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0

    def words(self) -> Iterator[Word]:
        """Yield each word. Raises ValueError where HAProxy would not read the line."""
        pieces: list[str | Variable] | None = None
        while self._at < len(self._line) and self._line[self._at] != "#":
            if self._take(_SPACES):
                if pieces is not None:
                    yield _joined(pieces)
                pieces = None
            else:
                pieces = [] if pieces is None else pieces
                pieces += self._outside()
        if pieces is not None:
            yield _joined(pieces)

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self._line, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _outside(self) -> list[str | Variable]:
        """Read what comes next outside of quotes."""
        if self._line[self._at] == '"':
            self._at += 1
            return list(self._weak())
        if found := self._take(_STRONG):
            return [found[1]]
        if self._line[self._at] == "'":
            raise ValueError("an odd quote")
        if found := self._take(_PLAIN):
            return [found[0]]
        return [self._escape()]

    def _weak(self) -> Iterator[str | Variable]:
        """Read up to the end of double quotes."""
        while self._at < len(self._line):
            mark = self._line[self._at]
            if mark == '"':
                self._at += 1
                return
            if mark == "$":
                yield self._variable()
            elif self._line.startswith(r"\$", self._at):
                self._at += 2
                yield "$"
            elif mark == "\\":
                yield self._escape()
            elif found := self._take(_WEAK):
                yield found[0]
        raise ValueError("an odd quote")

    def _escape(self) -> str:
        """Read from a backslash on; one that escapes nothing stands for itself."""
        if found := self._take(_ESCAPE):
            if found[1]:
                return chr(int(found[1], 16))
            return _ESCAPED.get(found[2], found[2])
        if self._line.startswith(r"\x", self._at):
            raise ValueError("no hexadecimal number")
        self._at += 1
        return "\\"

    def _variable(self) -> Variable:
        found = self._take(_VARIABLE)
        if found is None:
            raise ValueError("no name of a variable")
        return Variable(found[1] or found[4], found[3], is_list=bool(found[2]))


def _joined(pieces: list[str | Variable]) -> Word:
    """Return pieces with text that stands side by side in one."""
    found: list[str | Variable] = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(found[-1], str):
            found[-1] += piece
        else:
            found.append(piece)
    return tuple(found)


def expanded(word: Word, value_of: Callable[[Variable], str | None]) -> Iterator[Word]:
    """Yield a word with the values of its variables; a list may make several of it.

    Variables of which ``value_of`` knows none are left as they are.
    """
    pieces: list[str | Variable] = []
    for piece in word:
        value = piece if isinstance(piece, str) else value_of(piece)
        if value is None:
            pieces.append(piece)
        elif isinstance(piece, Variable) and piece.is_list:
            first, *others = _SPACES.split(value)
            pieces.append(first)
            for other in others:
                yield _joined(pieces)
                pieces = [other]
        else:
            pieces.append(value)
    yield _joined(pieces)


def as_written(word: Word) -> str:
    """Return a word with its variables as they may be written."""
    return "".join(map(str, word))


def as_assumed(word: Word) -> str:
    """Return what a word comes to where none of its variables is set."""
    return "".join(p if isinstance(p, str) else p.default or "" for p in word)


def is_open(word: Word) -> bool:
    """Whether a variable is left in a word."""
    return any(isinstance(piece, Variable) for piece in word)
