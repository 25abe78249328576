"""docs/events.md against the tests that it names."""

from __future__ import annotations

import re

from tests.unit.docs import pages


def test_every_row_is_a_test_and_every_test_a_row() -> None:
    """The last column names the tests of tests/e2e/test_events.py, each of them, no other."""
    rows = pages.table(pages.text_of("docs/events.md"), "what happens")
    named = [pages.codes(row[-1]) for row in rows]
    tests = pages.text_of("tests/e2e/test_events.py")

    assert [len(words) for words in named] == [1] * len(rows)
    found = re.findall(r"^(?:async )?def (test_\w+)", tests, re.MULTILINE)
    assert {name for (name,) in named} == set(found)
    assert len(found) == len(set(found))
