"""What all views share. Colours only on a terminal, and not with NO_COLOR."""

from __future__ import annotations

import sys
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reconciler.core.view import place
from reconciler.errors import printable


__all__ = [
    "SIGNS",
    "SIGN_STYLES",
    "Line",
    "change_line",
    "console",
    "endpoint_text",
    "place",
    "print_table",
]

_PIPED_WIDTH = 240

SIGNS = {"assign": "+", "finish": "+", "release": "-", "unplaced": "!", "refused": "!"}
"""The first letter of a line, by the kind of the change; all others have ``~``."""

SIGN_STYLES = {"+": "green", "-": "red", "~": "yellow", "!": "bold red", "*": "cyan"}


class Line(NamedTuple):
    """One line of a diff: its sign, the change, and the reason behind it ('': none)."""

    sign: str
    text: Text
    reason: str


def console(*, is_error: bool = False) -> Console:
    """Return where to print. Piped output is never cut at 80 columns."""
    stream = sys.stderr if is_error else sys.stdout
    width = None if stream.isatty() else _PIPED_WIDTH
    return Console(
        file=stream, width=width, highlight=False, markup=False, soft_wrap=True
    )


def print_table(out: Console, table: Table) -> None:
    """Print a table without the spaces that would fill its last column."""
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        out.out(line.rstrip(), highlight=False)


def endpoint_text(address: str, port: int | None) -> str:
    """Return address and port as one word; the address alone where no port is known."""
    return printable(address if port is None else place(address, port))


def change_line(
    kind: str,
    slot: str,
    container: str | None,
    where: str,
    reason: str,
    *,
    more: str = "",
) -> Line:
    """Return a change as a line: ``+ web/slot7 ← web-3 10.0.0.7:80``.

    ``more`` stands between the slot and the arrow (a weight), and ends with a space.
    """
    sign = SIGNS.get(kind, "~")
    verb = f"{kind} " if sign == "~" else ""
    head = Text(f"{sign} {verb}{slot} {more}".rstrip(), style=SIGN_STYLES[sign])
    who = " ".join(one for one in (printable(container or ""), where) if one)
    return Line(sign, head + Text(f" ← {who}", style=""), reason)
