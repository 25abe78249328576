"""``slots``: the slot map for people and programs, once or live."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any

import click

from reconciler.cli import terminal
from reconciler.cli.complete import complete_backend
from reconciler.cli.exits import exit_on_errors, fail
from reconciler.cli.options import AS_JSON, with_settings
from reconciler.cli.page import Page
from reconciler.cli.slot_table import (
    SORTS,
    Choice,
    Key,
    Line,
    chosen,
    map_lines,
    ordered,
    page,
)
from reconciler.config import Settings
from reconciler.core.model import Unplaced
from reconciler.core.view import STATES, SlotRow, slot_map
from reconciler.inquiry import World, read_world


@click.command(cls=Page)
@click.option(
    "--backend",
    "backends",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_backend,
    help="Only this backend. Repeat for several.",
)
@click.option(
    "--state",
    "states",
    type=click.Choice([*STATES, "held"]),
    multiple=True,
    help="Only slots in this state. Repeat for several.",
)
@click.option(
    "--sort",
    type=click.Choice([sign + key for key in SORTS for sign in ("", "-")]),
    default="slot",
    show_default=True,
    metavar="[-]KEY",
    help=f"The order of the slots of a backend: {', '.join(SORTS)}. With - before it: "
    "the other way round.",
)
@click.option("--reverse", "is_reversed", is_flag=True, help="The other way round.")
@click.option("--all", "with_free", is_flag=True, help="List free slots too.")
@click.option("--wide", "is_wide", is_flag=True, help="Show all that is known.")
@click.option(
    "--watch",
    "interval",
    is_flag=False,
    flag_value="1",
    type=click.FloatRange(min=0.1, max=3600),
    metavar="[SECONDS]",
    help="Go on showing it, every second or as often as given; q or Ctrl-C ends it. "
    "With --json: an object a line, at first and whenever something changed.",
)
@AS_JSON
@with_settings
def slots(  # noqa: PLR0917 - click calls by name
    settings: Settings,
    backends: tuple[str, ...],
    states: tuple[str, ...],
    sort: str,
    is_reversed: bool,  # noqa: FBT001 - click calls by name
    with_free: bool,  # noqa: FBT001
    is_wide: bool,  # noqa: FBT001
    interval: float | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Show the slot map, read from HAProxy and Docker now.

    The daemon need not be running. JSON lists every slot, free ones included.
    """
    choice = Choice(
        states=frozenset(states),
        with_free=with_free or (as_json and not states),
        sort=sort.removeprefix("-"),
        is_reversed=is_reversed != sort.startswith("-"),
        is_wide=is_wide,
    )
    view = _Chosen(frozenset(backends), choice)
    if interval is not None:
        from reconciler.cli.watch import watch  # noqa: PLC0415 - not for all

        asyncio.run(watch(settings, view, interval, as_json=as_json))
        return
    gc.disable()  # so much is read, and so soon over: collecting takes a quarter of it
    world = asyncio.run(read_world(settings, with_connections=False))
    if as_json:
        click.echo(json_text(view.as_map(world)))
    elif text := page(view.lines(world, terminal.width())):
        click.echo(text, color=True)
    gc.freeze()  # nor at the end
    unknown = set(backends) - world.backends()
    if unknown and not world.errors:
        names = ", ".join(sorted(unknown))
        fail(f"no haproxy has a backend {names} with slots: see `reconciler slots`")
    exit_on_errors(world)


class _Chosen:
    """What was chosen of the map, of any reading of it."""

    def __init__(self, backends: frozenset[str], choice: Choice) -> None:
        self._backends = backends
        self._choice = choice

    def rows(self, world: World) -> list[SlotRow]:
        """Return the slots of the chosen backends, whatever their state."""
        return [row for row in world.slot_rows() if self._is_chosen(row.backend)]

    def lines(
        self, world: World, width: int | None, also: Collection[Key] = frozenset()
    ) -> list[Line]:
        """Return the map as lines that fit a width, None for any."""
        rows, unplaced = self.rows(world), self.unplaced(world)
        choice = self._choice._replace(also=also)
        return list(map_lines(rows, unplaced, choice, width=width))

    def as_map(self, world: World) -> dict[str, list[dict[str, Any]]]:
        """Return the map as the JSON's object."""
        by_backend = groupby(
            chosen(self.rows(world), self._choice),
            key=lambda row: (row.haproxy, row.backend),
        )
        rows = [row for _, group in by_backend for row in ordered(group, self._choice)]
        return slot_map(rows, self.unplaced(world))

    def unplaced(self, world: World) -> list[tuple[str, Unplaced]]:
        """Return who has no slot in the chosen backends."""
        found = world.unplaced()
        return [(h, one) for h, one in found if self._is_chosen(one.backend)]

    def _is_chosen(self, backend: str | None) -> bool:
        return not self._backends or backend in self._backends


def json_text(shown: Mapping[str, Sequence[object]]) -> str:
    """Return lists of objects as JSON, an object a line: quick to write and to search."""
    encode = json.JSONEncoder().encode
    lists = []
    for name, rows in shown.items():
        lines = ",\n".join(f"    {encode(row)}" for row in rows)
        lists.append(f'  "{name}": [\n{lines}\n  ]' if lines else f'  "{name}": []')
    return "{\n" + ",\n".join(lists) + "\n}"
