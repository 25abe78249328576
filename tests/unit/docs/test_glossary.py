"""docs/glossary.md: every word of the code that a reader cannot guess, in order."""

from __future__ import annotations

import pytest
from tests.unit.docs import pages

from reconciler.core.model import AdminState
from reconciler.core.view import STATES


ROWS = pages.table(pages.text_of("docs/glossary.md"), "word")
WORDS = [word for row in ROWS for word in row[0].split(", ")]
OF_THE_CODE = {
    "action",
    "admin state",
    "apply",
    "assign",
    "backend",
    "claim",
    "command",
    "container",
    "converge",
    "desired",
    "drain",
    "endpoint",
    "generation",
    "hold",
    "maint",
    "observed",
    "operational state",
    "outcome",
    "pass",
    "phase",
    "placeholder",
    "plan",
    "prepare",
    "ready",
    "reconcile",
    "release",
    "reply",
    "resync",
    "rotation",
    "server",
    "slot",
    "tenant",
    "unplaced",
    "wakeup",
}
BANNED = {"manager", "handler", "node", "instance", "upstream"}


def test_the_words_of_the_code_are_explained() -> None:
    """Each word that names a thing or a deed of the reconciler has its line."""
    states = {state.value for state in AdminState} | set(STATES)

    assert OF_THE_CODE | states <= set(WORDS)


def test_the_words_are_in_order_and_each_is_there_once() -> None:
    """A word can be found by the alphabet."""
    first = [row[0].split(", ")[0].lower() for row in ROWS]

    assert first == sorted(first)
    assert len(WORDS) == len(set(WORDS))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_word_has_a_meaning_without_the_words_that_are_not_used(
    row: list[str],
) -> None:
    """Each line has a meaning, and says it in words of this project."""
    assert row[1].endswith((".", ")"))
    assert not BANNED & set(row[1].lower().rstrip(".").split())
