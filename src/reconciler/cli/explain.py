"""``explain``: why a container is where it is, or nowhere; who lives in a slot, and why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reconciler.cli.complete import complete_target
from reconciler.cli.exits import exit_on_errors, fail
from reconciler.cli.options import AS_JSON, with_settings
from reconciler.cli.page import Page
from reconciler.cli.render import console, print_table
from reconciler.cli.suggest import did_you_mean
from reconciler.config import Settings
from reconciler.core.explain import explained, is_placed, verdict
from reconciler.core.homes import ProxyPart
from reconciler.core.membership import TASK_ID
from reconciler.core.model import Container, ServerRef
from reconciler.core.plan import slot_number, slots_of
from reconciler.core.slot_story import SlotPart, slot_steps, slot_verdict
from reconciler.core.tried import Step
from reconciler.core.view import Reading, Tenants, age_of, is_held
from reconciler.errors import printable, quoted
from reconciler.inquiry import ProxyWorld, World, find_container, read_world


SHORTEST_ID = 4
"""So many digits of an id are taken for its start."""


@click.command(cls=Page)
@click.argument("container", shell_complete=complete_target)
@AS_JSON
@with_settings
def explain(settings: Settings, container: str, as_json: bool) -> None:  # noqa: FBT001
    """Say why CONTAINER is where it is, or why it is nowhere.

    CONTAINER is a name or an id, running or not: every rule that was tried is shown in
    order, with what was found and what to change. It may also be a slot, BACKEND/SLOT: then
    who lives there, and why it is in its state.
    """
    world, found = asyncio.run(_world_and_container(settings, container))
    if "/" in container:
        tell_slot(world, container, as_json=as_json)
    elif found is not None:
        tell_container(world, found, as_json=as_json)
    elif world.engine_error is None:
        fail(nobody_called(world, container))
    exit_on_errors(world)


def tell_container(world: World, one: Container, *, as_json: bool) -> None:
    """Print why a container is where it is."""
    parts = [part for p in world.proxies if (part := _part(world, p)) is not None]
    steps = explained(one, world.claims.context, parts)
    if as_json:
        click.echo(json.dumps(container_json(one, steps), indent=2))
        return
    title = f"{one.name} ({one.id[:12]})"
    if one.service is not None:
        of = "" if one.project is None else f" of project {one.project}"
        title += f", service {one.service}{of}"
    print_story(console(), title, verdict(steps), steps)


def tell_slot(world: World, target: str, *, as_json: bool) -> None:
    """Print why a slot is in its state, in each HAProxy; exit 1 where it is none."""
    parts = _slot_parts(world, target)
    if as_json:
        shown = {"target": target, "slots": [slot_json(part) for part in parts]}
        click.echo(json.dumps(shown, indent=2))
        return
    for number, part in enumerate(parts):
        if number:
            click.echo()
        title = f"{part.server.ref} in {part.haproxy}"
        print_story(console(), title, slot_verdict(part), slot_steps(part))


async def _world_and_container(
    settings: Settings, name: str
) -> tuple[World, Container | None]:
    world = await read_world(settings)
    found = None
    if world.engine_error is None and "/" not in name:
        found = _task_called(world, name) or await find_container(settings, name)
    if found is not None:
        # Where it runs the list was read with its signals, which an inspect does not tell.
        found = world.claims.containers.get(found.id, found)
    return world, found


def _task_called(world: World, name: str) -> Container | None:
    """Return the task of a swarm that has a name or id, or the start of one.

    It may run on another node, whose containers this engine does not know. ``web.3`` is enough
    of a name, as `docker service ps` shows it.
    """
    tasks = [one for one in world.claims.containers.values() if one.is_task]
    found = [
        one
        for one in tasks
        if name in {one.name, one.id, one.labels[TASK_ID]}
        or one.name.startswith(f"{name}.")
        or (len(name) >= SHORTEST_ID and one.id.startswith(name))
    ]
    return found[0] if len(found) == 1 else None


def nobody_called(world: World, name: str) -> str:
    """Return what to say where Docker has no container of that name."""
    names = [one.name for one in world.claims.containers.values()]
    mend = did_you_mean(name, names) or "see `docker ps -a`"
    return f"docker has no container {quoted(name)}: {mend}"


def _part(world: World, proxy: ProxyWorld) -> ProxyPart | None:
    if proxy.observed is None:
        return None
    return ProxyPart(
        name=proxy.name,
        observed=proxy.observed,
        endpoints=proxy.desired.all_endpoints(),
        plan=proxy.plan,
        slot_prefix=world.settings.slot_prefix,
    )


def _slot_parts(world: World, target: str) -> list[SlotPart]:
    """Return a slot as each HAProxy has it; fail where it is none."""
    backend, _, server = target.partition("/")
    parts = [
        part
        for proxy in world.proxies
        if (part := _slot_part(world, proxy, ServerRef(backend, server))) is not None
    ]
    prefix = world.settings.slot_prefix
    if not parts and any(proxy.observed for proxy in world.proxies):
        fail(f"no haproxy has a server {quoted(target)}: {_meant_slot(world, backend)}")
    if parts and slot_number(server, prefix) is None:
        fail(
            f"{target} is no slot: those are named {prefix}1, {prefix}2, …; any other "
            "server is yours alone, see HAProxy's own statistics"
        )
    return parts


def _meant_slot(world: World, backend: str) -> str:
    """Return which slots a backend has, or which backend may be meant."""
    slots = [
        slot.ref
        for proxy in world.proxies
        if proxy.observed is not None
        for slot in slots_of(proxy.observed.servers(), world.settings.slot_prefix)
    ]
    there = [ref.server for ref in slots if ref.backend == backend]
    if there:
        return f"backend {backend} has {there[0]} to {there[-1]}"
    meant = did_you_mean(backend, (ref.backend for ref in slots))
    return meant or "see `reconciler slots --all`"


def _slot_part(world: World, proxy: ProxyWorld, ref: ServerRef) -> SlotPart | None:
    if proxy.observed is None:
        return None
    server = proxy.observed.backends.get(ref.backend, {}).get(ref.server)
    if server is None:
        return None
    endpoints = {one.key: one for one in proxy.desired.all_endpoints()}
    kept = next((one for one in proxy.plan.kept if one.ref == ref), None)
    if kept is not None:
        endpoints[kept.endpoint.key] = kept.endpoint
    tenants = Tenants(world.claims.containers.values(), endpoints.values())
    return SlotPart(
        haproxy=proxy.name,
        server=server,
        tenant=None if server.is_free else tenants.of(server),
        endpoint=endpoints.get((ref.backend, server.address, server.port)),
        reading=proxy.readings.get(ref, Reading()),
        changes=[change for change in proxy.plan.changes if change.ref == ref],
        kept=kept,
        is_docker_known=world.engine_error is None,
        age_seconds=age_of(server, world.now),
    )


def container_json(one: Container, steps: list[Step]) -> dict[str, object]:
    """Return why a container is where it is, as in the contract."""
    return {
        "container_id": one.id,
        "container": one.name,
        "placed": is_placed(steps),
        "steps": [asdict(step) for step in steps],
        "verdict": verdict(steps),
    }


def slot_json(part: SlotPart) -> dict[str, object]:
    """Return why a slot is in its state, as in the contract."""
    tenant = part.tenant
    return {
        "haproxy": part.haproxy,
        "backend": part.server.ref.backend,
        "slot": part.server.ref.server,
        "state": part.state,
        "held": is_held(part.server),
        "container_id": tenant.container_id if tenant else None,
        "container": tenant.container if tenant else None,
        "verdict": slot_verdict(part),
        "steps": [asdict(step) for step in slot_steps(part)],
    }


def print_story(out: Console, title: str, answer: str, steps: Iterable[Step]) -> None:
    """Print the answer, and every rule with what was tried for it."""
    out.print(Text(printable(title), style="bold"))
    out.print(Text(printable(answer)))
    out.print()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for step in steps:
        word = Text("yes", style="green") if step.passes else Text("no", style="red")
        mend = f" → {step.mend}" if step.mend else ""
        table.add_row(Text("  ") + word, step.rule, Text(printable(step.why + mend)))
        for tried in step.tried:
            rule = Text(f"  {printable(tried.rule)}", style="dim")
            table.add_row("", rule, Text(printable(tried.outcome), style="dim"))
    print_table(out, table)
