"""One line of HAProxy's configuration as words; see also the comparison with HAProxy."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from reconciler.core.cfg_words import (
    Variable,
    as_assumed,
    as_written,
    expanded,
    is_open,
    words_of,
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  bind  :80\t# comment", ["bind", ":80"]),
        ("", []),
        ("# comment", []),
        ("[scope]", []),
        ("a\rb", ["a"]),
        ("a\fb\vc", ["a", "b", "c"]),
        ("a\u2028b \x85 \xa0", ["a\u2028b", "\x85", "\xa0"]),
        ('"a b"c \'d \\n\' ""', ["a bc", "d \\n", ""]),
        ("a\\ b \\#c \\x41 \\q \\t", ["a b", "#c", "A", "\\q", "\t"]),
        ("$A '$A' \"\\$A\"", ["$A", "$A", "$A"]),
        ("it's odd", ["it's", "odd"]),
        ('"odd', ['"odd']),
        ('"${A" b', ['"${A"', "b"]),
        ("\\xZZ", ["\\xZZ"]),
    ],
)
def test_words(line: str, expected: list[str]) -> None:
    """Quotes, escapes and comments as HAProxy reads them; what it would refuse is split."""
    assert [as_written(word) for word in words_of(line)] == expected


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        ('"$A"', "1", ["1"]),
        ('"${A}b"', "1", ["1b"]),
        ('"${A-2}"', "1", ["1"]),
        ('"${A-2}"', None, ["${A-2}"]),
        ('"x${A[*]}y"', "1 2  3", ["x1", "2", "3y"]),
    ],
)
def test_variables(written: str, value: str | None, expected: list[str]) -> None:
    """A known value takes its place, one of several words makes several; else it stays."""
    (word,) = words_of(written)

    found = list(expanded(word, lambda _: value))

    assert [as_written(one) for one in found] == expected
    assert any(map(is_open, found)) is (value is None)


def test_what_a_word_comes_to_where_nothing_is_set() -> None:
    """Defaults count, and variables without one come to nothing."""
    (word,) = words_of('"a${B-web}c$D"')

    assert word == ("a", Variable("B", "web"), "c", Variable("D"))
    assert as_assumed(word) == "awebc"


@given(st.text() | st.text(alphabet="a $\"'\\{}[*]-#x41\r\f"))
def test_any_line_is_read(line: str) -> None:
    """Nothing that stands in one makes reading it fail."""
    for word in words_of(line):
        assert list(expanded(word, lambda _: " a b "))
