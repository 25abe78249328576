"""The command line: arguments in, text and exit codes out.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 changes pending (``plan``).
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import NoReturn

import click

from reconciler import __version__
from reconciler.app import run_daemon
from reconciler.cli.hand import drain, maint, ready
from reconciler.cli.options import AS_JSON, with_settings
from reconciler.cli.render import (
    console,
    print_findings,
    print_plan,
    print_slots,
    print_steps,
)
from reconciler.config import Settings
from reconciler.core.explain import ProxyPart, Step, explained
from reconciler.core.model import Action, Change, Container
from reconciler.core.view import slot_map, unplaced_row
from reconciler.doctor import Verdict, findings
from reconciler.errors import ConfigError, ReconcilerError
from reconciler.haproxy import commands as runtime
from reconciler.inquiry import ProxyWorld, World, find_container, read_world
from reconciler.logs import configure_logging


FAILED, USAGE, PENDING = 1, 2, 3


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="reconciler")
def cli() -> None:
    """Map live Docker containers onto HAProxy's pre-allocated server slots.

    HAProxy is never reloaded and no file is written: everything goes through its runtime
    socket. Every option is also an environment variable (RECONCILER_…) and a key of the
    --config file.

    \b
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 changes pending.
    """


for by_hand in (drain, ready, maint):
    cli.add_command(by_hand)


@cli.command()
@with_settings
def run(settings: Settings) -> None:
    """Reconcile until stopped. SIGTERM leaves the slot map as it is."""
    configure_logging(settings.log_format, settings.log_level)
    asyncio.run(run_daemon(settings))


@cli.command()
@click.option("--backend", metavar="NAME", help="Only this backend.")
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
        _fail(f"no haproxy has a backend {backend} with slots: see `reconciler slots`")
    _exit_on_errors(world)


@cli.command()
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
    _exit_on_errors(world)
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
            _change_json(p.name, change, p.plan.actions)
            for p in world.proxies
            for change in p.plan.changes
        ],
        "unplaced": [unplaced_row(haproxy, one) for haproxy, one in world.unplaced()],
    }


def _change_json(
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


@cli.command()
@click.argument("container")
@AS_JSON
@with_settings
def explain(settings: Settings, container: str, as_json: bool) -> None:  # noqa: FBT001
    """Say why CONTAINER (a name or an id) is where it is, or why it is nowhere."""
    world, found = asyncio.run(_world_and_container(settings, container))
    if found is None:
        if world.engine_error is None:
            _fail(f"docker has no container {container}: see `docker ps -a`")
        _exit_on_errors(world)
        return
    parts = [part for p in world.proxies if (part := _part(settings, p)) is not None]
    steps = explained(found, world.claims.context, parts)
    if as_json:
        click.echo(json.dumps(_steps_json(found, steps), indent=2))
    else:
        print_steps(console(), f"{found.name} ({found.id[:12]})", steps)
    _exit_on_errors(world)


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


@cli.command()
@AS_JSON
@with_settings
def check(settings: Settings, as_json: bool) -> None:  # noqa: FBT001
    """Look at sockets, permissions, versions, slots and labels; say how to mend them.

    Exit code 0: nothing is broken. 1: something is.
    """
    found = asyncio.run(findings(settings))
    if as_json:
        listed = [asdict(one) | {"verdict": one.verdict.value} for one in found]
        click.echo(json.dumps({"findings": listed}, indent=2))
    else:
        print_findings(console(), found)
    if any(one.verdict is Verdict.FAIL for one in found):
        sys.exit(FAILED)


def _fail(message: str, code: int = FAILED) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def _exit_on_errors(world: World) -> None:
    """Say what could not be read, and exit 1 if anything."""
    for error in world.errors:
        click.echo(f"error: {_naming_the_socket(error)}", err=True)
    if world.errors:
        sys.exit(FAILED)


def _naming_the_socket(error: ReconcilerError) -> str:
    address = getattr(error, "address", "")
    return str(error) if address in str(error) else f"{error} ({address})"


def main() -> None:
    """Run the command line; the entry point of the ``reconciler`` script."""
    try:
        cli()
    except ConfigError as error:
        _fail(str(error), USAGE)
    except ReconcilerError as error:
        _fail(str(error))
