"""The command line: arguments in, text and exit codes out.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 changes pending (``plan``).
"""

from __future__ import annotations

import click

from reconciler import __version__
from reconciler.cli.check import check
from reconciler.cli.events import events
from reconciler.cli.exits import USAGE, fail
from reconciler.cli.explain import explain
from reconciler.cli.hand import drain, maint, ready
from reconciler.cli.plan import plan
from reconciler.cli.run import run
from reconciler.cli.slots import slots
from reconciler.errors import ConfigError, ReconcilerError


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


for _command in (run, slots, plan, explain, check, drain, ready, maint, events):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; the entry point of the ``reconciler`` script."""
    try:
        cli()
    except ConfigError as error:
        fail(str(error), USAGE)
    except ReconcilerError as error:
        fail(str(error))
