"""One line for each thing that happened: when, what, where, who, why, how late."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from reconciler.cli.render import SIGN_STYLES, change_line, endpoint_text
from reconciler.errors import printable
from reconciler.metrics import KINDS


_WORDS = {
    "unplaced": "not placed: ",
    "refused": "haproxy refused: ",
}


def event_line(
    entry: Mapping[str, Any], *, today: dt.date, with_haproxy: bool = False
) -> Text:
    """Return an entry as one line. ``today`` is the reader's: other days are named.

    ``with_haproxy`` names the HAProxy of what happened to a slot.
    """
    line = Text(_moment(entry["at"], today), style="dim")
    line.append(" ")
    slot, reason = _slot(entry), printable(str(entry["reason"]))
    if entry["kind"] in KINDS or entry["kind"] == "unplaced":
        line.append_text(_change(entry, slot))
        line.append(f"  {_WORDS.get(entry['kind'], '')}{reason}", style="")
    else:
        sign = "!" if entry["kind"].endswith(("lost", "refused")) else "*"
        what = printable(entry["kind"].replace("_", " "))
        where = slot or printable(entry["haproxy"] or "")
        line.append(f"{sign} {what}", style=SIGN_STYLES[sign])
        line.append(f" {where}" if where else "", style="")
        line.append(f"  {reason}" if reason else "", style="")
    if with_haproxy and slot and entry["haproxy"]:
        line.append(f" ({printable(entry['haproxy'])})", style="")
    if entry["latency_ms"] is not None:
        line.append(f"  {entry['latency_ms']:g} ms", style="dim")
    return line


def _change(entry: Mapping[str, Any], slot: str) -> Text:
    where = ""
    if entry["address"] is not None:
        where = endpoint_text(entry["address"], entry["port"])
    kind = entry["kind"]
    return change_line(kind, slot or "?", entry["container"], where, "").text


def _slot(entry: Mapping[str, Any]) -> str:
    """Return ``backend/slot``, or the backend alone, or ''."""
    parts = [one for one in (entry["backend"], entry["slot"]) if one]
    return printable("/".join(parts))


def _moment(at: float, today: dt.date) -> str:
    """Return a time of day, in the reader's own zone; with the date on another day."""
    when = dt.datetime.fromtimestamp(at).astimezone()
    day = "" if when.date() == today else f"{when.date().isoformat()} "
    return f"{day}{when:%H:%M:%S}.{when.microsecond // 1000:03d}"
