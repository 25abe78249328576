"""``slots``: the slot map for people and programs."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reconciler.cli.complete import complete_backend
from reconciler.cli.exits import exit_on_errors, fail
from reconciler.cli.options import AS_JSON, with_settings
from reconciler.cli.page import Page
from reconciler.cli.render import console, place, print_table
from reconciler.config import Settings
from reconciler.core.model import Unplaced
from reconciler.core.view import FREE, SlotRow, slot_map
from reconciler.inquiry import read_world


_STYLES = {
    "ready": "green",
    "drain": "yellow",
    "maint": "yellow",
    "down": "red",
    FREE: "dim",
}
_SHORT_ID = 12


@click.command(cls=Page)
@click.option(
    "--backend",
    metavar="NAME",
    shell_complete=complete_backend,
    help="Only this backend.",
)
@click.option("--all", "with_free", is_flag=True, help="List free slots too.")
@AS_JSON
@with_settings
def slots(
    settings: Settings,
    backend: str | None,
    with_free: bool,  # noqa: FBT001 - click calls by name
    as_json: bool,  # noqa: FBT001
) -> None:
    """Show the slot map, read from HAProxy and Docker now.

    The daemon need not be running. JSON lists every slot, free ones included.
    """
    world = asyncio.run(read_world(settings))
    rows = [r for r in world.slot_rows() if backend in (None, r.backend)]
    unplaced = [(h, u) for h, u in world.unplaced() if backend in (None, u.backend)]
    is_known = backend is None or bool(rows) or bool(world.errors)
    if as_json:
        click.echo(json.dumps(slot_map(rows, unplaced), indent=2))
    else:
        print_slots(console(), rows, unplaced, with_free=with_free)
    if not is_known:
        fail(f"no haproxy has a backend {backend} with slots: see `reconciler slots`")
    exit_on_errors(world)


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
            print_table(out, _slot_table(shown))
        out.print()
    if unplaced:
        out.print(Text("not placed", style="bold red"))
        for haproxy, one in unplaced:
            name = f"{one.backend or '?'} ← {one.tenant.container}"
            out.print(Text(f"  {name}: {one.reason} ({haproxy})"))


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
            "-" if row.address is None else place(row.address, row.port),
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
