"""The slot map as lines of text that fit a width: for `slots`, once or again and again.

Plain padded columns, not rich's tables: those take over 5 s for 10,000 rows, these 0.1 s
(docs/decisions/0021). A line knows where its one coloured word stands, so whoever prints it
decides on colours.
"""

from __future__ import annotations

import ipaddress
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size

from reconciler.cli import terminal
from reconciler.core.model import Unplaced
from reconciler.core.summary import Summary, summaries
from reconciler.core.view import DOWN, FREE, SlotRow, place
from reconciler.errors import printable


STYLES: Mapping[str, str] = {
    "ready": "green",
    "drain": "yellow",
    "maint": "yellow",
    DOWN: "red",
    FREE: "bright_black",
    "unplaced": "red",
}
"""The colour of a state's word. Colour only repeats what the word says."""

SHORT_ID = 12
_GAP = "  "
_SHORTEST_NAME = 12
"""A container's name is shortened to this before anything else of the line is given up."""
_NONE = "-"
_HOUR, _DAY = 3600, 86400


Key = tuple[str, str, str]
"""HAProxy, backend and slot."""


class Line(NamedTuple):
    """One line: its text, and which part of it has a style."""

    text: str
    style: str = ""
    start: int = 0
    end: int = 0
    key: Key | None = None
    """Where the line is a slot's."""


class Choice(NamedTuple):
    """What of the map is shown, and how."""

    states: frozenset[str] = frozenset()
    """Only slots in these states, or ``held``; empty for all that are not free."""
    with_free: bool = False
    sort: str = "slot"
    is_reversed: bool = False
    is_wide: bool = False
    also: Collection[Key] = frozenset()
    """Slots that are shown whatever their state."""


class _Column(NamedTuple):
    title: str
    cell: Callable[[SlotRow], str]
    is_number: bool = False


def lasted(seconds: int | None) -> str:
    """Return a time as short as it can be read: ``42s``, ``3m12s``, ``4h``, ``2d``."""
    if seconds is None:
        return _NONE
    if seconds >= _DAY:
        return f"{seconds // _DAY}d"
    if seconds >= _HOUR:
        return f"{seconds // _HOUR}h"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _state(row: SlotRow) -> str:
    return f"{row.state} (held)" if row.held else row.state


def _address(row: SlotRow) -> str:
    return _NONE if row.address is None else printable(place(row.address, row.port))


def _name(row: SlotRow) -> str:
    if row.container is None:
        return _NONE if row.state == FREE else "?"
    return printable(row.container)


def _container(row: SlotRow) -> str:
    short = "" if row.container_id is None else f" ({row.container_id[:SHORT_ID]})"
    return f"{_name(row)}{short}"


def _or_none(value: object) -> str:
    return _NONE if value is None else printable(str(value))


_SLOT = _Column("SLOT", lambda row: printable(row.slot))
_STATE = _Column("STATE", _state)
_ADDRESS = _Column("ADDRESS", _address)
_CONTAINER = _Column("CONTAINER", _container)
_NAME = _Column("CONTAINER", _name)
_WEIGHT = _Column("WEIGHT", lambda row: str(row.weight), is_number=True)
_SESSIONS = _Column("SESSIONS", lambda row: _or_none(row.sessions), is_number=True)
_RATE = _Column("REQ/S", lambda row: _or_none(row.requests_per_second), is_number=True)
_CHECK = _Column("CHECK", lambda row: _or_none(row.check))
_AGE = _Column("AGE", lambda row: lasted(row.age_seconds), is_number=True)
_MORE = (
    _Column("PROJECT", lambda row: _or_none(row.project)),
    _Column("SERVICE", lambda row: _or_none(row.service)),
    _Column("CONTAINER ID", lambda row: _or_none(row.container_id)),
    _Column("HAPROXY", lambda row: printable(row.haproxy)),
)

_USUAL = (
    *(_SLOT, _STATE, _ADDRESS, _CONTAINER),
    *(_WEIGHT, _SESSIONS, _RATE, _CHECK, _AGE),
)
_WIDE = (*_USUAL[:3], _NAME, *_USUAL[4:], *_MORE)
_LEFT_OUT = (
    *reversed(_MORE),
    *(_CONTAINER, _WEIGHT, _AGE, _RATE, _CHECK, _SESSIONS, _ADDRESS),
)
"""What a narrow terminal does without, the first first; the name of a container stays."""

_BY_URGENCY = {
    word: rank for rank, word in enumerate((DOWN, "drain", "maint", "ready"))
}
_DIGITS = re.compile(r"([0-9]+)")


def _natural(text: str) -> tuple[tuple[bool, int, str], ...]:
    """Order text with its numbers as numbers: web-2 before web-10."""
    return tuple(
        (part.isascii() and part.isdigit(), int(part) if index % 2 else 0, part)
        for index, part in enumerate(_DIGITS.split(text))
    )


def _place_rank(row: SlotRow) -> tuple[int, int, int] | None:
    if row.address is None:
        return None
    try:
        address = ipaddress.ip_address(row.address)
    except ValueError:  # HAProxy has a host name, or an abstract socket
        return (0, 0, row.port or 0)
    return (address.version, int(address), row.port or 0)


SORTS: Mapping[str, Callable[[SlotRow], Any]] = {
    "slot": lambda row: _natural(row.slot),
    "state": lambda row: (_BY_URGENCY.get(row.state, len(_BY_URGENCY)), not row.held),
    "address": _place_rank,
    "container": lambda row: None if row.container is None else _natural(row.container),
    "weight": lambda row: row.weight,
    "sessions": lambda row: row.sessions,
    "rate": lambda row: row.requests_per_second,
    "age": lambda row: row.age_seconds,
}
"""By what the slots of a backend are ordered, by the word for it. None is not known."""


def ordered(rows: Iterable[SlotRow], choice: Choice) -> list[SlotRow]:
    """Return rows of one backend in the order that is chosen; what is not known is last."""
    listed = list(rows)
    if choice.sort == "slot" and not choice.is_reversed:
        return listed  # they come so
    key = SORTS[choice.sort]
    known = [row for row in listed if key(row) is not None]
    unknown = [row for row in listed if key(row) is None]
    return sorted(known, key=key, reverse=choice.is_reversed) + unknown


def chosen(rows: Iterable[SlotRow], choice: Choice) -> list[SlotRow]:
    """Return the rows in the states that are chosen, in their order."""
    states, also = choice.states, choice.also
    return [
        row
        for row in rows
        if (
            (row.state in states or (row.held and "held" in states))
            if states
            else (choice.with_free or row.state != FREE)
        )
        or (also and (row.haproxy, row.backend, row.slot) in also)
    ]


def map_lines(
    rows: Sequence[SlotRow],
    unplaced: Sequence[tuple[str, Unplaced]],
    choice: Choice,
    *,
    width: int | None,
) -> Iterator[Line]:
    """Yield the map, a table for each backend of each HAProxy; ``width`` None cuts nothing.

    A summary counts all slots of its backend, whatever is chosen.
    """
    found = summaries(rows, unplaced)
    listed = {(one.haproxy, one.backend) for one in found}
    shown = {
        key: list(group)
        for key, group in groupby(
            chosen(rows, choice), key=lambda row: (row.haproxy, row.backend)
        )
    }
    for summary in found:
        key = (summary.haproxy, summary.backend)
        if choice.states and key not in shown and not summary.unplaced:
            continue
        yield clipped(_head(summary), width)
        yield from _table(shown.get(key, []), choice, width)
        yield from _left_out(summary, unplaced, width)
        yield Line("")
    homeless = [(h, one) for h, one in unplaced if (h, one.backend) not in listed]
    if homeless:
        yield Line("not placed", "red", 0, 10)
        for haproxy, one in homeless:
            backend = printable(one.backend or "?")
            text = f"{backend} ← {_reason(one)} ({printable(haproxy)})"
            yield from _wrapped(f"  ! {text}", width, 3)


def _head(summary: Summary) -> Line:
    name = printable(summary.backend)
    states = [
        f"{count} {word}"
        for word, count in (
            ("ready", summary.ready),
            ("draining", summary.drain),
            ("in maint", summary.maint),
            ("down", summary.down),
        )
        if count
    ]
    held = f" ({summary.held} held)" if summary.held else ""
    # What matters most comes first: a narrow terminal cuts the end.
    parts = [f"{summary.used} of {summary.slots} slots used"]
    if summary.free:
        parts.append(f"{summary.free} free, {summary.head_room:.0%} head-room")
    else:
        parts.append("no head-room: none is free")
    if summary.unplaced:
        parts.append(f"{summary.unplaced} not placed")
    if states:
        parts.append(", ".join(states) + held)
    text = f"{name}: {'; '.join(parts)} ({printable(summary.haproxy)})"
    return Line(text, "bold", 0, len(name))


def _left_out(
    summary: Summary, unplaced: Sequence[tuple[str, Unplaced]], width: int | None
) -> Iterator[Line]:
    if summary.unplaced:
        for haproxy, one in unplaced:
            if (haproxy, one.backend) == (summary.haproxy, summary.backend):
                yield from _wrapped(f"  ! not placed: {_reason(one)}", width, 15)


def _reason(one: Unplaced) -> str:
    return f"{printable(one.tenant.container)}: {printable(one.reason)}"


def _table(
    rows: Sequence[SlotRow], choice: Choice, width: int | None
) -> Iterator[Line]:
    if not rows:
        return
    rows = ordered(rows, choice)
    columns, widths, cells = _fitting(rows, choice, width)
    state_at = len(_GAP) + sum(
        size + len(_GAP) for size in widths[: columns.index(_STATE)]
    )
    titles = [column.title for column in columns]
    title = _joined(titles, columns, widths)
    yield clipped(Line(title, "bright_black", 0, len(title)), width)
    for row, values in zip(rows, cells, strict=True):
        line = Line(
            _joined(values, columns, widths),
            STYLES.get(row.state, ""),
            state_at,
            state_at + len(_state(row)),
            (row.haproxy, row.backend, row.slot),
        )
        yield clipped(line, width)


def _fitting(
    rows: Sequence[SlotRow], choice: Choice, width: int | None
) -> tuple[list[_Column], list[int], list[list[str]]]:
    """Return columns, their widths and all cells, as far as they fit."""
    columns = list(_WIDE if choice.is_wide else _USUAL)
    sized = {column: _sized(rows, column) for column in (*columns, _NAME)}
    if width is not None and _total(columns, sized) > width:
        columns = _narrowed(columns, sized, width)
        over = _total(columns, sized) - width
        if over > 0:
            sized[_NAME] = _shortened(sized[_NAME], over)
    widths = [sized[column][0] for column in columns]
    cells = zip(*(sized[column][1] for column in columns), strict=True)
    return columns, widths, [list(one) for one in cells]


def _narrowed(
    columns: list[_Column], sized: Mapping[_Column, tuple[int, object]], width: int
) -> list[_Column]:
    """Return the columns that a narrow terminal has room for, names being cut short."""
    for spare in _LEFT_OUT:
        short = max(0, sized[_NAME][0] - _SHORTEST_NAME) if _NAME in columns else 0
        if _total(columns, sized) - short <= width:
            break
        if spare is _CONTAINER:
            columns = [_NAME if one is _CONTAINER else one for one in columns]
        else:
            columns = [one for one in columns if one is not spare]
    return columns


def _sized(rows: Sequence[SlotRow], column: _Column) -> tuple[int, list[str]]:
    values = [column.cell(row) for row in rows]
    return max(len(column.title), *map(_cells, values)), values


def _cells(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _total(
    columns: Sequence[_Column], sized: Mapping[_Column, tuple[int, object]]
) -> int:
    return sum(len(_GAP) + sized[column][0] for column in columns)


def _shortened(sized: tuple[int, list[str]], over: int) -> tuple[int, list[str]]:
    size, values = sized
    target = max(_SHORTEST_NAME, size - over)
    return target, [_cut(value, target) for value in values]


def _cut(text: str, width: int) -> str:
    """Return a text in at most ``width`` cells, with ``…`` where something is missing."""
    if _cells(text) <= width:
        return text
    return f"{set_cell_size(text, max(0, width - 1)).rstrip()}…"


def _joined(
    values: Sequence[str], columns: Sequence[_Column], widths: Sequence[int]
) -> str:
    cells = [
        _padded(value, size, is_number=column.is_number)
        for value, column, size in zip(values, columns, widths, strict=True)
    ]
    return f"{_GAP}{_GAP.join(cells)}".rstrip()


def _padded(text: str, width: int, *, is_number: bool) -> str:
    if not text.isascii():
        width -= cell_len(text) - len(text)
    return text.rjust(width) if is_number else text.ljust(width)


def clipped(line: Line, width: int | None) -> Line:
    """Return a line that fits; a style reaches no further than its text."""
    if width is None or _cells(line.text) <= width:
        return line
    text = _cut(line.text, width)
    return line._replace(text=text, end=min(line.end, len(text)))


def _wrapped(text: str, width: int | None, marked_to: int) -> Iterator[Line]:
    """Yield a sentence in as many lines as it needs, its beginning in red."""
    texts = [text]
    if width is not None and _cells(text) > width:
        # Some letters are two columns wide.
        room = max(width if text.isascii() else width // 2, _SHORTEST_NAME)
        texts = textwrap.wrap(text, room, subsequent_indent="    ")
    for number, part in enumerate(texts):
        end = 0 if number else min(marked_to, len(part))
        yield clipped(Line(part, "" if number else "red", min(2, end), end), width)


_STYLE_CODES = {
    "bold": "1",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "bright_black": "90",
}


def styled(line: Line, *, has_colours: bool) -> str:
    """Return a line with its style, or without."""
    if not line.style or not has_colours:
        return line.text
    text, start, end = line.text, line.start, line.end
    code = _STYLE_CODES[line.style]
    return f"{text[:start]}\x1b[{code}m{text[start:end]}\x1b[0m{text[end:]}"


def page(lines: Iterable[Line]) -> str:
    """Return lines as standard output takes them: with colours or without."""
    has_colours = terminal.has_colours()
    texts = (styled(line, has_colours=has_colours) for line in lines)
    return "\n".join(texts).rstrip("\n")
