"""The command line: arguments in, text and exit codes out.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 changes pending (``plan``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import click

from reconciler import __version__
from reconciler.cli.exits import USAGE, fail
from reconciler.cli.lazy import LazyGroup
from reconciler.errors import ConfigError, ReconcilerError


class Commands(LazyGroup):
    """All commands of ``reconciler``."""

    places: ClassVar[Mapping[str, str]] = {
        **{
            name: f"reconciler.cli.{name}"
            for name in ("run", "slots", "plan", "explain", "check")
        },
        **dict.fromkeys(("drain", "ready", "maint"), "reconciler.cli.hand"),
        "events": "reconciler.cli.events",
    }


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="reconciler")
def cli() -> None:
    """Map live Docker containers onto HAProxy's pre-allocated server slots.

    HAProxy is never reloaded and no file is written: everything goes through its runtime
    socket. Every option is also an environment variable (RECONCILER_…) and a key of the
    --config file.

    \b
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 changes pending.
    """


def main() -> None:
    """Run the command line; the entry point of the ``reconciler`` script."""
    try:
        cli()
    except ConfigError as error:
        fail(str(error), USAGE)
    except ReconcilerError as error:
        fail(str(error))
