"""A JSON array in pieces: however it was cut, it is the array; and half of it is none."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from reconciler.discovery.json_elements import CONTAINERS_AGE, JsonElements


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
    ),
    max_leaves=6,
)
arrays = st.lists(st.dictionaries(st.text(max_size=4), values, max_size=4), max_size=8)
"""Of objects, which is what the engine lists."""


def read(pieces: list[bytes], most: int) -> list[Any]:
    """Return all elements of an array that comes in these pieces. Raises ValueError."""
    elements: JsonElements[Any] = JsonElements(lambda element: element)
    found: list[Any] = []
    for piece in pieces:
        elements.feed(piece)
        while some := elements.take(most):
            assert len(some) <= most
            found += some
    elements.end()
    return found


@st.composite
def cut(draw: st.DrawFn) -> tuple[list[Any], list[bytes]]:
    """An array, and its text in pieces."""
    array = draw(arrays)
    indent = draw(st.none() | st.just(1))
    text = json.dumps(array, ensure_ascii=draw(st.booleans()), indent=indent)
    body = draw(st.sampled_from(("", "\n", " "))).encode() + text.encode(
        errors="surrogatepass"
    )
    places = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    edges = [0, *places, len(body)]
    return array, [body[a:b] for a, b in itertools.pairwise(edges)]


@given(cut(), st.integers(1, 5))
def test_however_it_was_cut_it_is_the_array(
    given_: tuple[list[Any], list[bytes]], most: int
) -> None:
    """The same elements, in order, never more at once than asked for."""
    array, pieces = given_
    try:
        b"".join(pieces).decode()
    except UnicodeDecodeError:
        return  # lone surrogates are no UTF-8

    assert read(pieces, most) == array


listings = st.lists(
    st.dictionaries(st.sampled_from(("Id", "b", "},{")), values, max_size=3), max_size=6
)


@given(listings, listings, st.lists(st.integers(0, 300), max_size=4))
def test_what_was_read_before_is_not_read_again(
    before: list[Any], after: list[Any], places: list[int]
) -> None:
    """Whatever both arrays have in common, and wherever it was cut: it is the array."""
    first: JsonElements[str] = JsonElements(json.dumps, {})
    first.feed(json.dumps(before, separators=(",", ":")).encode())
    first.take(len(before) + 1)

    second = JsonElements(json.dumps, first.remembered)
    text = json.dumps(after, separators=(",", ":")).encode()
    edges = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    found: list[str] = []
    for a, b in itertools.pairwise(edges):
        second.feed(text[a:b])
        while some := second.take(2):
            found += some
    second.end()

    assert found == [json.dumps(element) for element in after]


def test_only_what_has_changed_is_read() -> None:
    """Of a list like Docker's: the one that changed, and the last, whose end is no seam."""
    entries = [{"Id": f"{number:064x}", "Status": "Up 1 second"} for number in range(5)]
    first: JsonElements[str] = JsonElements(lambda entry: entry["Id"], {})
    first.feed(json.dumps(entries, separators=(",", ":")).encode())
    assert len(first.take(9)) == 5

    entries[2]["Status"] = "Up 2 seconds"
    read_again: list[str] = []

    def read(entry: dict[str, str]) -> str:
        read_again.append(entry["Id"])
        return entry["Id"]

    second = JsonElements(read, first.remembered)
    second.feed(json.dumps(entries, separators=(",", ":")).encode())
    assert second.take(9) == [entry["Id"] for entry in entries]

    assert read_again == [entries[2]["Id"], entries[4]["Id"]]


@pytest.mark.parametrize(
    ("now", "is_read"),
    [
        ("Up 2 seconds", False),
        ("Up About an hour", False),
        ("Up 2 seconds (healthy)", True),
        ("Up 2 seconds (Paused)", True),
        ("Exited (0) 1 second ago", True),
    ],
)
def test_how_long_it_is_up_is_no_change(now: str, *, is_read: bool) -> None:
    """But what Docker's list says with it is."""
    before, after = (
        [{"Id": number, "Status": status, "State": "s"} for number in range(3)]
        for status in ("Up 1 second", now)
    )
    first: JsonElements[int] = JsonElements(
        lambda entry: entry["Id"], {}, blur=CONTAINERS_AGE
    )
    first.feed(json.dumps(before, separators=(",", ":")).encode())
    first.take(9)
    read_again: list[int] = []

    def read(entry: dict[str, int]) -> int:
        read_again.append(entry["Id"])
        return entry["Id"]

    second = JsonElements(read, first.remembered, blur=CONTAINERS_AGE)
    second.feed(json.dumps(after, separators=(",", ":")).encode())
    assert second.take(9) == [0, 1, 2]

    assert read_again == ([0, 1, 2] if is_read else [2])


@given(arrays, st.integers(0, 400))
def test_half_an_array_is_none(array: list[Any], length: int) -> None:
    """Whatever is missing at its end is noticed."""
    text = json.dumps(array).encode()

    if length >= len(text):
        assert read([text[:length]], 2) == array
    else:
        with pytest.raises(ValueError, match="JSON"):
            read([text[:length]], 2)


@pytest.mark.parametrize(
    "text", ['{"message": "no"}', "[1, 2]", '[{"a": 1} x]', '[{"a": nope}]', "[]]", "x"]
)
def test_what_is_no_array_of_objects_is_refused(text: str) -> None:
    """At once, or at its end."""
    with pytest.raises(ValueError, match="JSON"):
        read([text.encode()], 2)
