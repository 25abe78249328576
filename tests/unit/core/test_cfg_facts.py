"""HAProxy's environment at each line of its file."""

from __future__ import annotations

import pytest

from reconciler.core.cfg_facts import (
    UNKNOWN,
    UNSET,
    Environment,
    Facts,
    Unset,
    changes_in,
)
from reconciler.core.cfg_words import words_of


TOLD = Facts(environment={"A": "left", "KEPT": "k", "B": None})


def after(lines: list[str], name: str, facts: Facts = TOLD, *, at: int) -> str | Unset:
    """Return a variable as it is once so many of the lines were read."""
    read = [words_of(line) for line in lines]
    changes, is_reset = changes_in(read)
    environment = Environment(facts=facts, changes=changes, is_reset=is_reset)
    for words in read[:at]:
        environment.change(words)
    return environment.get(name)


@pytest.mark.parametrize(
    ("lines", "name", "before", "later"),
    [
        ([], "A", "left", "left"),
        ([], "B", UNSET, UNSET),
        ([], "NEVER_ASKED", UNKNOWN, UNKNOWN),
        ([], "", UNSET, UNSET),
        ([], " A ", UNSET, UNSET),
        ([], "HAPROXY_CLI", UNKNOWN, UNKNOWN),
        ([], ".LINE", UNKNOWN, UNKNOWN),
        (["setenv A 1"], "A", UNKNOWN, "1"),
        (["setenv A 1"], "KEPT", "k", "k"),
        (['setenv A "$OTHER"'], "A", UNKNOWN, UNKNOWN),
        (["presetenv A 1"], "A", UNKNOWN, "left"),
        (["presetenv A 1", "setenv A 2"], "A", UNKNOWN, "2"),
        (["unsetenv A B"], "B", UNKNOWN, UNSET),
        (["unsetenv A", "presetenv A 3"], "A", UNKNOWN, "3"),
        (["resetenv KEPT"], "B", UNKNOWN, UNSET),
        (["resetenv KEPT"], "KEPT", "k", "k"),
        (["setenv B 1", "resetenv KEPT"], "B", UNKNOWN, UNSET),
        (["daemon"], "A", "left", "left"),
    ],
)
def test_lines_that_change_it(
    lines: list[str], name: str, before: str | Unset, later: str | Unset
) -> None:
    """What HAProxy tells is how its file left it; what a line changes is unknown before."""
    assert after(lines, name, at=0) == before
    assert after(lines, name, at=len(lines)) == later


def test_what_the_file_sets_needs_nobody_to_tell() -> None:
    """Of the rest nothing is known where HAProxy tells nothing."""
    assert after(["setenv A 1"], "A", Facts(), at=1) == "1"
    assert after(["presetenv A 1"], "A", Facts(), at=1) is UNKNOWN
    assert after([], "A", Facts(), at=0) is UNKNOWN
