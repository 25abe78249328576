"""``plan``: what a pass would do now, as a diff for people and as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.text import Text

from reconciler.cli.exits import PENDING, exit_on_errors
from reconciler.cli.options import AS_JSON, with_settings
from reconciler.cli.render import console, place
from reconciler.config import Settings
from reconciler.core.model import Action, Change, Unplaced
from reconciler.core.view import unplaced_row
from reconciler.haproxy import commands as runtime
from reconciler.inquiry import World, read_world


_SIGNS = {"assign": "+", "finish": "+", "release": "-"}
_SIGN_STYLES = {"+": "green", "-": "red", "~": "yellow"}


@click.command()
@AS_JSON
@with_settings
def plan(settings: Settings, as_json: bool) -> None:  # noqa: FBT001
    """Show what a pass would do now, and change nothing.

    Exit code 0: nothing to do. 3: changes pending. 1: something could not be read.
    """
    world = asyncio.run(read_world(settings))
    changes = [(p.name, change) for p in world.proxies for change in p.plan.changes]
    unplaced = world.unplaced()
    if as_json:
        click.echo(json.dumps(_plan_json(world), indent=2))
    else:
        print_plan(console(), changes, unplaced)
        if not changes and not world.errors:
            click.echo(_nothing_to_do(len(unplaced)))
    exit_on_errors(world)
    if any(not p.plan.is_empty for p in world.proxies):
        sys.exit(PENDING)


def _nothing_to_do(unplaced: int) -> str:
    if unplaced:
        return f"nothing to do now; not placed, for the reasons above: {unplaced}"
    return "nothing to do: the slot map is as it should be"


def _plan_json(world: World) -> dict[str, object]:
    return {
        "converged": all(p.plan.is_empty for p in world.proxies) and not world.errors,
        "changes": [
            change_json(p.name, change, p.plan.actions)
            for p in world.proxies
            for change in p.plan.changes
        ],
        "unplaced": [unplaced_row(haproxy, one) for haproxy, one in world.unplaced()],
    }


def change_json(
    haproxy: str, change: Change, actions: tuple[Action, ...]
) -> dict[str, object]:
    tenant = change.tenant
    return {
        "haproxy": haproxy,
        "kind": change.kind,
        "backend": change.ref.backend,
        "slot": change.ref.server,
        "address": change.address,
        "port": change.port,
        "container_id": tenant.container_id if tenant else None,
        "container": tenant.container if tenant else None,
        "service": tenant.service if tenant else None,
        "project": tenant.project if tenant else None,
        "reason": change.reason,
        "commands": [
            line
            for action in actions
            if action.ref == change.ref
            for line in runtime.lines(action)
        ],
    }


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
        where = place(change.address, change.port)
        out.print(line, Text(f"{arrow} {who}{where}  {change.reason} ({haproxy})"))
    for haproxy, one in unplaced:
        out.print(
            Text(f"! {one.backend or '?'}", style="red"),
            Text(f"{one.tenant.container}: {one.reason} ({haproxy})"),
        )
