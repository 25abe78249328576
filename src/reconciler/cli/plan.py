"""``plan``: what a pass would do now, as a diff for people and as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import click
from rich.console import Console
from rich.text import Text

from reconciler.cli.exits import PENDING, exit_on_errors
from reconciler.cli.options import AS_JSON, with_settings
from reconciler.cli.page import Page
from reconciler.cli.render import SIGN_STYLES, Line, change_line, console, endpoint_text
from reconciler.config import Settings
from reconciler.core.explain import explained
from reconciler.core.model import (
    Action,
    Change,
    Kept,
    Server,
    ServerRef,
    SetWeight,
    Tenant,
    Unplaced,
)
from reconciler.core.view import Tenants, unplaced_row
from reconciler.errors import printable
from reconciler.haproxy import commands as runtime
from reconciler.inquiry import ProxyWorld, World, read_world


_KINDS = {
    "assign": "to assign",
    "finish": "to finish assigning",
    "release": "to release",
    "drain": "to drain",
    "shutdown": "to shut down",
    "ready": "to make ready again",
    "weight": "to weigh anew",
}
"""What the summary says of each kind of change, in its order."""


@click.command(cls=Page)
@click.option(
    "--commands",
    "with_commands",
    is_flag=True,
    help="Show the runtime commands that each slot would get.",
)
@AS_JSON
@with_settings
def plan(settings: Settings, with_commands: bool, as_json: bool) -> None:  # noqa: FBT001
    """Show what a pass would do now, and change nothing.

    Each line is one change of the map: + gives a slot to a container, - takes it away,
    ~ keeps the container where it is and changes something else, ! is a container that
    gets no slot, = one that keeps its slot though nothing asks for it there (--max-release,
    or its network or port became unclear). The reason stands behind it.

    The commands are those that would be sent for that slot, in order. A pass sends them in
    phases over all slots: first everything out, then the addresses, then everything in.
    """
    world = asyncio.run(read_world(settings))
    if as_json:
        click.echo(json.dumps(_plan_json(world), indent=2))
    else:
        print_plan(console(), world, with_commands=with_commands)
    exit_on_errors(world)
    if any(not p.plan.is_empty for p in world.proxies):
        sys.exit(PENDING)


def _plan_json(world: World) -> dict[str, object]:
    return {
        "converged": all(p.plan.is_empty for p in world.proxies) and not world.errors,
        "changes": [
            change_json(p.name, change, p.plan.actions, _server(p, change.ref))
            for p in world.proxies
            for change in _changes(world, p)
        ],
        "unplaced": [unplaced_row(haproxy, one) for haproxy, one in world.unplaced()],
        "kept": [
            kept_json(proxy.name, one)
            for proxy in world.proxies
            for one in proxy.plan.kept
        ],
    }


def kept_json(haproxy: str, one: Kept) -> dict[str, object]:
    """Return who keeps a slot that nothing asks for, as in the contract."""
    endpoint, tenant = one.endpoint, one.endpoint.tenant
    return {
        "haproxy": haproxy,
        "backend": one.ref.backend,
        "slot": one.ref.server,
        "address": endpoint.address,
        "port": endpoint.port,
        "container_id": tenant.container_id,
        "container": tenant.container,
        "service": tenant.service,
        "project": tenant.project,
        "cause": one.cause.value,
        "reason": one.reason,
    }


def _changes(world: World, proxy: ProxyWorld) -> Iterator[Change]:
    """Yield what would change in one HAProxy; who is released is named where known.

    The planner only knows who is desired. Whoever runs and is not (paused, disabled) is
    known by its address; of a container that has ended Docker tells no address.
    """
    tenants = Tenants(world.claims.containers.values(), proxy.desired.all_endpoints())
    for change in proxy.plan.changes:
        server = _server(proxy, change.ref)
        tenant = tenants.of(server) if server is not None else None
        if change.tenant is not None or tenant is None:
            yield change
        else:
            reason = _with_cause(world, change.reason, tenant)
            yield change._replace(tenant=tenant, reason=reason)


def _with_cause(world: World, reason: str, tenant: Tenant) -> str:
    """Return why somebody is released who still runs: the rule that keeps them out."""
    one = world.claims.containers.get(tenant.container_id)
    steps = [] if one is None else explained(one, world.claims.context, [])
    failing = [step.why for step in steps if not step.passes]
    return f"{reason}: {failing[0]}" if failing else reason


def _server(proxy: ProxyWorld, ref: ServerRef) -> Server | None:
    if proxy.observed is None:
        return None
    return proxy.observed.backends[ref.backend][ref.server]


def change_json(
    haproxy: str,
    change: Change,
    actions: Sequence[Action],
    server: Server | None = None,
) -> dict[str, object]:
    """Return one change, as in the contract. ``server`` is the slot as it was read."""
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
        "commands": _commands(change.ref, actions),
        "weight_from": server.weight if server else None,
        "weight_to": _weight_after(change.ref, actions, server),
    }


def _commands(ref: ServerRef, actions: Iterable[Action]) -> list[str]:
    return [
        line
        for action in actions
        if action.ref == ref
        for line in runtime.lines(action)
    ]


def _weight_after(
    ref: ServerRef, actions: Iterable[Action], server: Server | None
) -> int | None:
    after = server.weight if server else None
    for action in actions:
        if isinstance(action, SetWeight) and action.ref == ref:
            after = action.weight
    return after


def print_plan(out: Console, world: World, *, with_commands: bool = False) -> None:
    """Print what a pass would do, like a diff, and a line that sums it up."""
    has_several = len(world.proxies) > 1
    unplaced = world.unplaced()
    total: Counter[str] = Counter()
    kept = sum(len(proxy.plan.kept) for proxy in world.proxies)
    for proxy in world.proxies:
        changes = list(_changes(world, proxy))
        total.update(change.kind for change in changes)
        mine = [one for haproxy, one in unplaced if haproxy == proxy.name]
        lines = [*_diff(proxy, changes, with_commands=with_commands)]
        lines += map(unplaced_line, mine)
        lines += map(kept_line, proxy.plan.kept)
        if has_several and (lines or proxy.error is None):
            out.print(Text(proxy.name, style="bold"))
            lines = lines or [Line("", Text("nothing to do"), "")]
        print_lines(out, lines, indent=2 if has_several else 0)
    if not world.errors or total or unplaced:
        out.print(
            Text(_summary(total, len(unplaced)) + (f"; {kept} kept" if kept else ""))
        )


def _diff(
    proxy: ProxyWorld, changes: Iterable[Change], *, with_commands: bool
) -> Iterator[Line]:
    actions = proxy.plan.actions
    for ref, group in groupby(changes, key=lambda change: change.ref):
        for change in group:
            yield _line(change, actions, _server(proxy, ref))
        if with_commands:
            for command in _commands(ref, actions):
                yield Line("", Text(f"    {command}", style="dim"), "")


def _line(change: Change, actions: Sequence[Action], server: Server | None) -> Line:
    what = ""
    if change.kind == "weight" and server is not None:
        what = f"{server.weight} → {_weight_after(change.ref, actions, server)} "
    return change_line(
        change.kind,
        str(change.ref),
        change.tenant.container if change.tenant else None,
        endpoint_text(change.address, change.port),
        change.reason,
        more=what,
    )


def unplaced_line(one: Unplaced) -> Line:
    """Return the line of a container that gets no slot."""
    who = printable(one.tenant.container)
    where = "" if one.address is None else f" {endpoint_text(one.address, one.port)}"
    text = Text(f"! {one.backend or '?'}", style=SIGN_STYLES["!"])
    return Line(
        "!", text + Text(f" ← {who}{where}", style=""), f"not placed: {one.reason}"
    )


def kept_line(one: Kept) -> Line:
    """Return the line of a container that keeps a slot that nothing asks for."""
    endpoint = one.endpoint
    who = (
        f"{endpoint.tenant.container} {endpoint_text(endpoint.address, endpoint.port)}"
    )
    text = Text(f"= {one.ref}", style=SIGN_STYLES["!"])
    return Line(
        "=", text + Text(f" ← {printable(who)}", style=""), f"kept: {one.reason}"
    )


def print_lines(out: Console, lines: Sequence[Line], *, indent: int = 0) -> None:
    """Print lines with their reasons below each other, where the width allows it."""
    column = max((line.text.cell_len for line in lines if line.reason), default=0)
    for line in lines:
        text = Text(" " * indent) + line.text
        if line.reason:
            text.pad_right(max(0, column - line.text.cell_len) + 2)
            text.append(printable(line.reason))
        out.print(text)


def _summary(total: Mapping[str, int], unplaced: int) -> str:
    parts = [f"{total[kind]} {words}" for kind, words in _KINDS.items() if total[kind]]
    if parts:
        left = f"; {unplaced} not placed" if unplaced else ""
        return ", ".join(parts) + left
    if unplaced:
        return f"nothing to do now; not placed, for the reasons above: {unplaced}"
    return "nothing to do: the slot map is as it should be"
