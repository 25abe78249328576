"""What all views share. Colours only on a terminal, and not with NO_COLOR."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from reconciler.core.view import place


__all__ = ["console", "place", "print_table"]

_PIPED_WIDTH = 240


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
