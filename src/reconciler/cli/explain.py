"""``explain``: why a container is where it is, or why it is nowhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reconciler.cli.exits import exit_on_errors, fail
from reconciler.cli.options import AS_JSON, with_settings
from reconciler.cli.render import console, print_table
from reconciler.config import Settings
from reconciler.core.explain import ProxyPart, Step, explained
from reconciler.core.model import Container
from reconciler.inquiry import ProxyWorld, World, find_container, read_world


@click.command()
@click.argument("container")
@AS_JSON
@with_settings
def explain(settings: Settings, container: str, as_json: bool) -> None:  # noqa: FBT001
    """Say why CONTAINER (a name or an id) is where it is, or why it is nowhere."""
    world, found = asyncio.run(_world_and_container(settings, container))
    if found is None:
        if world.engine_error is None:
            fail(f"docker has no container {container}: see `docker ps -a`")
        exit_on_errors(world)
        return
    parts = [part for p in world.proxies if (part := _part(settings, p)) is not None]
    steps = explained(found, world.claims.context, parts)
    if as_json:
        click.echo(json.dumps(_steps_json(found, steps), indent=2))
    else:
        print_steps(console(), f"{found.name} ({found.id[:12]})", steps)
    exit_on_errors(world)


async def _world_and_container(
    settings: Settings, name: str
) -> tuple[World, Container | None]:
    world = await read_world(settings)
    found = None
    if world.engine_error is None:
        found = await find_container(settings, name)
    if found is not None:
        # Where it runs the list was read with its signals, which an inspect does not tell.
        found = world.claims.containers.get(found.id, found)
    return world, found


def _part(settings: Settings, proxy: ProxyWorld) -> ProxyPart | None:
    if proxy.observed is None:
        return None
    return ProxyPart(
        name=proxy.name,
        observed=proxy.observed,
        endpoints=proxy.desired.all_endpoints(),
        plan=proxy.plan,
        slot_prefix=settings.slot_prefix,
    )


def _steps_json(container: Container, steps: list[Step]) -> dict[str, object]:
    return {
        "container_id": container.id,
        "container": container.name,
        "placed": all(step.passes for step in steps),
        "steps": [asdict(step) for step in steps],
    }


def print_steps(out: Console, title: str, steps: Iterable[Step]) -> None:
    """Print why a container is where it is."""
    out.print(Text(title, style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for step in steps:
        word = Text("yes", style="green") if step.passes else Text("no", style="red")
        table.add_row(Text("  ") + word, step.rule, Text(step.evidence))
    print_table(out, table)
