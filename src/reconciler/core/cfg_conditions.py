"""Conditions of HAProxy's configuration (manual 2.4), decided as far as they can be.

Three-valued: where HAProxy does not tell what a condition asks for, the answer is None, and
what follows of it is decided all the same where it can be: false and unknown is false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from reconciler.core.cfg_facts import UNKNOWN, UNSET, Environment, Facts


MARK = "\0"
"""Stands around a variable that nobody knows."""

_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", re.ASCII)
_NAME = re.compile(r"[a-z0-9_]+", re.ASCII)
_UNKNOWN_TEXT = re.compile(rf"{MARK}[^{MARK}]*{MARK}")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_ARGUMENT = re.compile(rf"[^,()\"'\\{MARK}]+|\(")
_ESCAPE = re.compile(r"\\([\\ \"'])?")
_ARGUMENTS = {"streq": 2, "strneq": 2, "strstr": 2}
"""How many arguments a predicate takes, where that is not one."""
_NEGATIONS = {
    "strneq": "streq",
    "version_before": "version_atleast",
    "openssl_version_before": "openssl_version_atleast",
    "awslc_api_before": "awslc_api_atleast",
}
_MOST_NESTED = 64


@dataclass(frozen=True, slots=True)
class Predicate:
    """One question to HAProxy, such as ``feature(OPENSSL)``."""

    name: str
    arguments: tuple[str, ...]

    @property
    def is_of_environment(self) -> bool:
        """Whether lines that change HAProxy's environment may change the answer."""
        return self.name == "defined" or any(MARK in one for one in self.arguments)

    def __str__(self) -> str:
        """Return it as it may be written."""
        text = ",".join(self.arguments).replace(MARK, "")
        return f"{self.name}({text})" if self.name else text


@dataclass(frozen=True, slots=True)
class Both:
    """``&&`` of all parts, or ``||`` where ``is_or``; negated where ``is_not``."""

    parts: tuple[Expression, ...]
    is_or: bool = False
    is_not: bool = False


Expression = bool | Predicate | Both
Truth = Callable[[Predicate], bool | None]


def decided(expression: Expression, truth: Truth) -> bool | None:
    """Return what an expression comes to, None where that is not known."""
    if isinstance(expression, bool):
        return expression
    if isinstance(expression, Predicate):
        return truth(expression)
    found: bool | None = not expression.is_or
    for part in expression.parts:
        value = decided(part, truth)
        if value is expression.is_or:  # it decides all: the rest is not asked
            found = value
            break
        found = None if value is None else found
    return found if found is None else found is not expression.is_not


def expression_of(text: str) -> Expression:
    """Return what a condition asks; the empty one is false.

    What HAProxy itself would not understand is a predicate that nobody can decide.
    """
    if not text.strip(" \t"):
        return False
    try:
        return _Parser(text).whole()
    except ValueError:
        return Predicate("", (text,))


class _Parser:
    """Goes through one condition once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> Expression:
        """Return all of it. Raises ValueError where something is left, or nothing fits."""
        found = self._any()
        if self._rest:
            raise ValueError("something is left")
        return found

    @property
    def _rest(self) -> str:
        while self._text[self._at : self._at + 1] in {" ", "\t"}:
            self._at += 1
        return self._text[self._at :]

    def _took(self, mark: str) -> bool:
        is_there = self._rest.startswith(mark)
        self._at += len(mark) * is_there
        return is_there

    def _any(self) -> Expression:
        parts = [self._all()]
        while self._took("||"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Both(tuple(parts), is_or=True)

    def _all(self) -> Expression:
        parts = [self._term()]
        while self._took("&&"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _term(self) -> Expression:
        is_not = False
        while self._took("!"):
            is_not = not is_not
        found = self._positive()
        return Both((found,), is_not=True) if is_not else found

    def _positive(self) -> Expression:
        rest = self._rest
        if number := _NUMBER.match(rest):
            self._at += number.end()
            return bool(int(number[0].lstrip("+-"), _base(number[0].lstrip("+-"))))
        if self._took("("):
            self._depth += 1
            if self._depth > _MOST_NESTED:
                raise ValueError("too many parentheses")
            found = self._any()
            if not self._took(")"):
                raise ValueError("no closing parenthesis")
            return found
        return self._predicate(rest)

    def _predicate(self, rest: str) -> Expression:
        name = _NAME.match(rest)
        if name is None:
            raise ValueError("no predicate")
        self._at += name.end()
        arguments = [""]
        if self._text.startswith("(", self._at):
            self._at += 1
            arguments = list(self._arguments())
        if len(arguments) != _ARGUMENTS.get(name[0], 1):
            raise ValueError("too few arguments, or too many")
        if name[0] in _NEGATIONS:
            asked = Predicate(_NEGATIONS[name[0]], tuple(arguments))
            return Both((asked,), is_not=True)
        return Predicate(name[0], tuple(arguments))

    def _arguments(self) -> Iterator[str]:
        found = ""
        while self._at < len(self._text):
            mark = self._text[self._at]
            if mark in ",)":
                self._at += 1
                yield found
                found = ""
                if mark == ")":
                    return
            else:
                found += self._argument()
        raise ValueError("no closing parenthesis")

    def _argument(self) -> str:
        """Read some of an argument: a quoted part, an escape, or plain text."""
        for pattern in (_UNKNOWN_TEXT, _QUOTED, _ESCAPE, _ARGUMENT):
            if part := pattern.match(self._text, self._at):
                self._at = part.end()
                if pattern is _QUOTED:
                    return part[1] or part[2] or ""
                return (part[1] or "\\") if pattern is _ESCAPE else part[0]
        raise ValueError("an odd quote")


def _base(number: str) -> int:
    if number[:2].lower() == "0x":
        return 16
    return 8 if number.startswith("0") else 10


def truth_of(
    predicate: Predicate, facts: Facts, environment: Environment
) -> bool | None:
    """Return HAProxy's answer to a question, None where nobody can tell."""
    if any(MARK in one for one in predicate.arguments):
        return None
    answer: bool | None = None
    match predicate.name, predicate.arguments:
        case "defined", (name,):
            value = environment.get(name)
            answer = None if value is UNKNOWN else value is not UNSET
        case "feature", (name,) if facts.features is not None:
            answer = name in facts.features
        case "streq", (one, other):
            answer = one == other
        case "strstr", (text, part):
            answer = part in text
        case "version_atleast", (asked,) if facts.version:
            answer = _is_at_least(facts.version, asked)
        case _:
            pass
    return answer


_LEADING = re.compile(r"\s*([+-]?\d*)", re.ASCII)
_TAG = re.compile(r"(dev|rc|pre)(\d*)", re.ASCII)
_TAGS = {"dev": 1, "rc": 2, "pre": 2, "": 3}
_MOST_NUMBERS = 4
_MOST_DIGITS = 18


def _is_at_least(version: str, asked: str) -> bool:
    """Compare as HAProxy does; with what is no version, everything is as recent."""
    wanted, ours = _version(asked), _version(version)
    if wanted is None or ours is None:
        return True
    pairs = zip_longest(ours, wanted, fillvalue=0)
    return next((one > other for one, other in pairs if one != other), True)


def _version(text: str) -> tuple[int, ...] | None:
    """Return a version's four numbers, its tag, the tag's number and its commit."""
    plain, dash, rest = text.partition("-")
    parts = plain.split(".")
    numbers = [_LEADING.fullmatch(part) for part in parts]
    if not text or len(parts) > _MOST_NUMBERS or None in numbers:
        return None
    found = [_integer(one[1]) for one in numbers if one is not None]
    tag = _TAG.match(rest)
    kind, count = (tag[1], _integer(tag[2])) if tag else ("", 0)
    commit = rest.rpartition("-")[2] if not tag or "-" in rest else ""
    is_number = dash and commit.isdecimal()
    padded = found + [0] * (_MOST_NUMBERS - len(found))
    return (*padded, _TAGS[kind], count, _integer(commit) if is_number else 0)


def _integer(text: str) -> int:
    return int(text[:_MOST_DIGITS]) if text.strip("+-") else 0
