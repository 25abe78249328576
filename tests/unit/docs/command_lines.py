"""Command lines as the documents show them, in code spans and in fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.unit.docs import pages


_FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SHELL = {"", "bash", "console", "sh", "shell"}
_BREAK = re.compile(r"\s*(?:&&|\|\|?|;|&)\s*|\$\(")
_COMMENT = re.compile(r"(?:^|\s)#\s.*")


class Call(NamedTuple):
    """One call of this project's command line."""

    words: tuple[str, ...]
    shown: str

    @property
    def options(self) -> set[str]:
        """The options that are given, without their values."""
        flags = (word.strip("[].,").partition("=")[0] for word in self.words)
        return {flag for flag in flags if re.fullmatch(r"--?[a-zA-Z][\w-]*", flag)}


def lines(page: str) -> Iterator[str]:
    """Return every code span, and every command line of a fenced shell block."""
    for language, block in _FENCED.findall(page):
        if language == "console":
            yield from (line[2:] for line in block.splitlines() if line[:2] == "$ ")
        elif language in _SHELL:
            yield from block.replace("\\\n", " ").splitlines()
    yield from pages.codes(pages.prose(page))


def commands(page: str) -> Iterator[list[str]]:
    """Return the words of each single command of those lines."""
    for line in lines(page):
        for command in _BREAK.split(_COMMENT.sub("", line)):
            if words := command.strip().strip('()"').split():
                yield words


def calls(page: str) -> Iterator[Call]:
    """Return each call of `reconciler`: by itself, in a container, as a module."""
    for words in commands(page):
        for index, word in enumerate(words[:-1]):
            if word == "reconciler" and _is_call(words[:index], words[index + 1]):
                yield Call(tuple(words[index + 1 :]), " ".join(words))


def _is_call(before: list[str], following: str) -> bool:
    """Tell the program from the Compose service of that name."""
    if following == "reconciler" or "$" in following:
        return False
    return before[-1:] in ([], ["-m"], ["reconciler"]) or "run" in before


def lone_options(page: str) -> Iterator[str]:
    """Return each option that stands in a code span without a command before it."""
    for span in pages.codes(pages.prose(page)):
        if found := re.match(r"--[a-z][\w-]*", span):
            yield found[0]


def make_targets(page: str) -> Iterator[str]:
    """Return the targets of each `make`."""
    for words in commands(page):
        if words[0] == "make":
            yield from (word for word in words[1:] if "=" not in word)
