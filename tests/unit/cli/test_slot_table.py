"""The slot map as text: what stands where, at every width, and nothing that harms."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from tests.support.snapshots import require_snapshot
from tests.unit.cli.maps import (
    HOSTILE,
    IPV6,
    LONG,
    MIXED,
    A,
    B,
    free,
    left_out,
    slot,
)

from reconciler.cli.slot_table import (
    SORTS,
    Choice,
    chosen,
    lasted,
    map_lines,
    ordered,
    styled,
)
from reconciler.core.model import Unplaced
from reconciler.core.view import SlotRow


USUAL, ALL, WIDE = Choice(), Choice(with_free=True), Choice(is_wide=True)
NOBODY: list[tuple[str, Unplaced]] = []
TWO = [
    slot(1),
    free(2),
    slot(1, backend="api", container="demo-api-1"),
    slot(1, haproxy=B, state="down", check="L4TOUT"),
]
WAITING = [
    (A, left_out("demo-web-9")),
    (A, left_out("odd\x1b[31m", None, 'label "haproxy.port" is "x": it must be …')),
]

VIEWS = [
    pytest.param("usual", MIXED, NOBODY, USUAL, None),
    pytest.param("all", MIXED, NOBODY, ALL, None),
    pytest.param("wide", MIXED, NOBODY, WIDE, None),
    pytest.param("wide-at-120", MIXED, NOBODY, WIDE, 120),
    pytest.param("at-80", MIXED, NOBODY, USUAL, 80),
    pytest.param("at-60", MIXED, NOBODY, USUAL, 60),
    pytest.param("at-40", MIXED, NOBODY, USUAL, 40),
    pytest.param("held", MIXED, NOBODY, Choice(states=frozenset({"held"})), None),
    pytest.param("down", TWO, NOBODY, Choice(states=frozenset({"down"})), None),
    pytest.param("nothing", [], NOBODY, USUAL, None),
    pytest.param("only-free", [free(1), free(2)], NOBODY, USUAL, None),
    pytest.param("unplaced", [slot(1), slot(2)], WAITING, USUAL, None),
    pytest.param("unplaced-at-60", [slot(1), slot(2)], WAITING, USUAL, 60),
    pytest.param("two-haproxies", TWO, NOBODY, USUAL, None),
    pytest.param("ipv6", IPV6, NOBODY, USUAL, None),
    pytest.param("ipv6-at-60", IPV6, NOBODY, USUAL, 60),
    pytest.param("long-names", LONG, NOBODY, USUAL, None),
    pytest.param("long-names-at-80", LONG, NOBODY, USUAL, 80),
    pytest.param("hostile", HOSTILE, NOBODY, WIDE, None),
    pytest.param("hostile-at-60", HOSTILE, NOBODY, USUAL, 60),
]


def shown(
    rows: list[SlotRow],
    unplaced: list[tuple[str, Unplaced]],
    choice: Choice,
    width: int | None,
) -> list[str]:
    """Return the lines of a map, without colours."""
    return [line.text for line in map_lines(rows, unplaced, choice, width=width)]


@pytest.mark.parametrize(("name", "rows", "unplaced", "choice", "width"), VIEWS)
def test_a_view(
    name: str,
    rows: list[SlotRow],
    unplaced: list[tuple[str, Unplaced]],
    choice: Choice,
    width: int | None,
) -> None:
    """It looks as it did when somebody last read its snapshot."""
    text = "\n".join(shown(rows, unplaced, choice, width))
    require_snapshot(f"slots-{name}", f"{text}\n")


def test_colours() -> None:
    """Each state's word has its colour, and nothing else of a row has one."""
    lines = map_lines(MIXED, WAITING[:1], ALL, width=None)
    text = "\n".join(styled(line, has_colours=True) for line in lines)

    require_snapshot("slots-colours", text.replace("\x1b", "␛") + "\n")


@pytest.mark.parametrize("width", [20, 33, 40, 60, 79, 80, 100, 132, 200])
@pytest.mark.parametrize("rows", [MIXED, TWO, IPV6, LONG, HOSTILE])
@pytest.mark.parametrize("choice", [ALL, WIDE])
def test_no_line_is_wider_than_the_terminal(
    rows: list[SlotRow], choice: Choice, width: int
) -> None:
    """Whatever the map and the width; and every slot still has its line."""
    lines = shown(rows, WAITING, choice, width)

    assert [line for line in lines if cell_len(line) > width] == []
    starts = [line.split()[0] for line in lines if line.startswith("  slot")]
    assert starts == [row.slot for row in rows if choice.with_free or row.address]


@pytest.mark.parametrize("width", [None, 30, 80])
def test_no_control_character_is_shown(width: int | None) -> None:
    """Names and reasons may hold anything; what is shown can be printed."""
    lines = shown(HOSTILE, WAITING, WIDE, width)

    assert [line for line in lines if not line.isprintable()] == []


def test_a_narrow_terminal_loses_no_word_of_a_reason() -> None:
    """Sentences are wrapped where rows are cut."""
    lines = shown([slot(1)], WAITING[:1], USUAL, 40)

    words = " ".join(" ".join(lines).split())
    assert left_out("x").reason in words


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("slot", "1 2 3 4 5 10"),
        ("state", "5 3 2 4 1 10"),
        ("address", "1 2 3 4 5 10"),
        ("container", "1 2 3 4 5 10"),
        ("weight", "2 1 4 5 10 3"),
        ("sessions", "5 1 3 4 2 10"),
        ("rate", "1 2 3 4 5 10"),
        ("age", "2 1 10 5 4 3"),
    ],
)
def test_the_order_of_slots(key: str, expected: str) -> None:
    """Numbers are numbers, the worst state is first, what is not known is last."""
    rows = [row for row in MIXED if row.state != "free"]

    found = ordered(rows, Choice(sort=key))

    assert " ".join(row.slot[4:] for row in found) == expected


def test_the_other_way_round() -> None:
    """What is not known stays last."""
    rows = [row for row in MIXED if row.state != "free"]

    by_age = ordered(rows, Choice(sort="age", is_reversed=True))
    by_slot = ordered(rows, Choice(is_reversed=True))

    assert [row.slot for row in by_age] == [
        *("slot4", "slot5", "slot1", "slot10", "slot2", "slot3"),
    ]
    assert [row.slot for row in by_slot] == [
        *("slot10", "slot5", "slot4", "slot3", "slot2", "slot1"),
    ]


@pytest.mark.parametrize("key", sorted(SORTS))
def test_every_order_takes_every_slot(key: str) -> None:
    """Free slots and addresses of any kind have a place, too."""
    odd = [*MIXED, *IPV6, *HOSTILE, slot(6, address="/tmp/abstract.sock")]

    found = ordered(odd, Choice(sort=key, is_reversed=True))

    assert sorted(map(id, found)) == sorted(map(id, odd))


def test_states_choose_slots() -> None:
    """A slot is chosen by its state or by its hold; free ones only when they are named."""

    def names(*states: str) -> str:
        rows = chosen(MIXED, Choice(states=frozenset(states)))
        return " ".join(row.slot[4:] for row in rows)

    assert names("drain") == "2 3"
    assert names("held") == "3 4"
    assert names("down", "held") == "3 4 5"
    assert names("free") == "11 12"
    assert names() == "1 2 3 4 5 10"


def test_what_has_just_become_free_may_be_shown_all_the_same() -> None:
    """So that a watch can show that it went."""
    key = (MIXED[-1].haproxy, "web", "slot12")

    rows = chosen(MIXED, Choice(also={key}))

    assert rows[-1].slot == "slot12"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0s"),
        (59, "59s"),
        (60, "1m00s"),
        (192, "3m12s"),
        (3599, "59m59s"),
        (3600, "1h"),
        (4 * 3600 + 1800, "4h"),
        (86400, "1d"),
        (86400 * 400, "400d"),
    ],
)
def test_a_time_in_few_letters(seconds: int | None, text: str) -> None:
    """The larger it is the coarser."""
    assert lasted(seconds) == text
