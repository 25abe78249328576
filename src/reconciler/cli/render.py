"""What commands print for people. Colours only on a terminal, and not with NO_COLOR."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reconciler.core.explain import Step
from reconciler.core.model import Change, Unplaced
from reconciler.core.view import FREE, SlotRow
from reconciler.doctor import Finding, Verdict
from reconciler.hand import Watched, counted


_STYLES = {
    "ready": "green",
    "drain": "yellow",
    "maint": "yellow",
    "down": "red",
    FREE: "dim",
}
_SIGNS = {"assign": "+", "finish": "+", "release": "-"}
_SIGN_STYLES = {"+": "green", "-": "red", "~": "yellow"}
_PIPED_WIDTH = 240
_SHORT_ID = 12


def console(*, is_error: bool = False) -> Console:
    """Return where to print. Piped output is never cut at 80 columns."""
    stream = sys.stderr if is_error else sys.stdout
    width = None if stream.isatty() else _PIPED_WIDTH
    return Console(
        file=stream, width=width, highlight=False, markup=False, soft_wrap=True
    )


def print_slots(
    out: Console,
    rows: Sequence[SlotRow],
    unplaced: Sequence[tuple[str, Unplaced]],
    *,
    with_free: bool,
) -> None:
    """Print the slot map, a table for each backend of each HAProxy."""
    for (haproxy, backend), group in groupby(
        rows, key=lambda r: (r.haproxy, r.backend)
    ):
        slots = list(group)
        left_out = sum(1 for h, u in unplaced if (h, u.backend) == (haproxy, backend))
        out.print(Text(f"{backend}", style="bold"), _summary(slots, left_out))
        shown = [row for row in slots if with_free or row.state != FREE]
        if shown:
            _print_table(out, _slot_table(shown))
        out.print()
    if unplaced:
        out.print(Text("not placed", style="bold red"))
        for haproxy, one in unplaced:
            name = f"{one.backend or '?'} ← {one.tenant.container}"
            out.print(Text(f"  {name}: {one.reason} ({haproxy})"))


def _print_table(out: Console, table: Table) -> None:
    """Print a table without the spaces that would fill its last column."""
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        out.out(line.rstrip(), highlight=False)


def _summary(slots: Sequence[SlotRow], left_out: int) -> Text:
    states = Counter(row.state for row in slots)
    parts = [f"{count} {state}" for state, count in sorted(states.items())]
    if left_out:
        parts.append(f"{left_out} not placed")
    return Text(f"({slots[0].haproxy}): {len(slots)} slots: {', '.join(parts)}")


def _slot_table(rows: Iterable[SlotRow]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("  SLOT", no_wrap=True)
    for name in ("STATE", "ADDRESS", "CONTAINER"):
        table.add_column(name, no_wrap=True)
    for name in ("WEIGHT", "SESSIONS"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("CHECK", no_wrap=True)
    for row in rows:
        table.add_row(
            f"  {row.slot}",
            Text(
                f"{row.state} (held)" if row.held else row.state,
                style=_STYLES.get(row.state, ""),
            ),
            "-" if row.address is None else _place(row.address, row.port),
            _who(row),
            str(row.weight),
            "-" if row.sessions is None else str(row.sessions),
            row.check or "-",
        )
    return table


def _who(row: SlotRow) -> str:
    if row.container_id is None:
        return "-" if row.state == FREE else "?"
    return f"{row.container} ({row.container_id[:_SHORT_ID]})"


def _place(address: str, port: int | None) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def print_plan(
    out: Console,
    changes: Iterable[tuple[str, Change]],
    unplaced: Sequence[tuple[str, Unplaced]],
) -> None:
    """Print what a pass would do, like a diff."""
    for haproxy, change in changes:
        sign = _SIGNS.get(change.kind, "~")
        line = Text(f"{sign} {change.ref}", style=_SIGN_STYLES[sign])
        arrow = {"+": "←", "-": "→"}.get(sign, change.kind)
        who = f"{change.tenant.container} " if change.tenant else ""
        place = _place(change.address, change.port)
        out.print(line, Text(f"{arrow} {who}{place}  {change.reason} ({haproxy})"))
    for haproxy, one in unplaced:
        out.print(
            Text(f"! {one.backend or '?'}", style="red"),
            Text(f"{one.tenant.container}: {one.reason} ({haproxy})"),
        )


class Progress:
    """Tells on a terminal how many sessions are left, whenever that changes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.last: list[Watched] = []

    def __call__(self, seen: list[Watched]) -> None:
        """Take in one look."""
        before = {(w.place.haproxy, w.place.ref): w.sessions for w in self.last}
        self.last = seen
        if not self._stream.isatty():
            return
        for one in seen:
            if before.get((one.place.haproxy, one.place.ref)) != one.sessions:
                self._stream.write(f"{one.place}: {counted(one.sessions)}\n")


def print_steps(out: Console, title: str, steps: Iterable[Step]) -> None:
    """Print why a container is where it is."""
    out.print(Text(title, style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for step in steps:
        word = Text("yes", style="green") if step.passes else Text("no", style="red")
        table.add_row(Text("  ") + word, step.rule, Text(step.evidence))
    _print_table(out, table)


_VERDICT_STYLES = {
    Verdict.OK: "green",
    Verdict.NOTE: "cyan",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "red",
}


def print_findings(out: Console, findings: Iterable[Finding]) -> None:
    """Print a doctor's report."""
    for finding in findings:
        word = Text(
            f"{finding.verdict.value:<4}", style=_VERDICT_STYLES[finding.verdict]
        )
        out.print(word, Text(f"{finding.thing}: {finding.text}"))
        if finding.mend:
            out.print(Text(f"       → {finding.mend}"))
