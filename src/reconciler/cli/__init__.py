"""The command line: arguments in, text and exit codes out.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 changes pending (``plan``).
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import ClassVar

import click

from reconciler import __version__
from reconciler.cli.exits import USAGE, fail
from reconciler.cli.lazy import LazyGroup
from reconciler.errors import ConfigError, ReconcilerError


_LIBRARIES = ("docker", "aiohttp", "click", "rich")


class Commands(LazyGroup):
    """All commands of ``reconciler``."""

    places: ClassVar[Mapping[str, str]] = {
        **{
            name: f"reconciler.cli.{name}"
            for name in ("run", "slots", "plan", "explain", "check")
        },
        **dict.fromkeys(("drain", "ready", "maint"), "reconciler.cli.hand"),
        "events": "reconciler.cli.events",
        "completion": "reconciler.cli.completion",
    }


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    no_args_is_help=True,
)
@click.option("-V", "--version", is_flag=True, help="Show the version and exit.")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="As -v behind the command; with --version: those of the libraries, too.",
)
@click.pass_context
def cli(ctx: click.Context, version: bool, verbose: bool) -> None:  # noqa: FBT001
    """Map live Docker containers onto HAProxy's pre-allocated server slots.

    HAProxy is never reloaded and no file is written: everything goes through its runtime
    socket. Every option is also an environment variable (RECONCILER_…) and a key of the
    --config file. `reconciler COMMAND --help` has examples.

    \b
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 changes pending.
    """
    if version:
        click.echo(f"reconciler, version {__version__}")
        if verbose:
            click.echo("\n".join(_versions()))
        ctx.exit()
    if ctx.invoked_subcommand is None:
        raise click.UsageError("Missing command: say what to do, after -v too.", ctx)
    if verbose:
        ctx.default_map = {name: {"verbose": True} for name in Commands.places}


def _versions() -> list[str]:
    from importlib import metadata  # noqa: PLC0415 - only --version pays for it

    found = [f"{name} {metadata.version(name)}" for name in _LIBRARIES]
    return [f"python {platform.python_version()}", *found]


def main() -> None:
    """Run the command line; the entry point of the ``reconciler`` script.

    Where whoever read our output has gone (``| head``), click and rich end quietly with 1.
    """
    try:
        cli()
    except ConfigError as error:
        fail(str(error), USAGE)
    except ReconcilerError as error:
        fail(str(error))
