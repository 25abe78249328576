"""How commands end: exit codes, and errors on standard error."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from reconciler.errors import ReconcilerError, printable, without_credentials
from reconciler.inquiry import World


FAILED, USAGE, PENDING = 1, 2, 3


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Say why on standard error, and end with ``code``."""
    say(f"error: {message}")
    sys.exit(code)


def say(message: str) -> None:
    """Say something on standard error: one line, fit for a terminal, no credentials."""
    click.echo(without_credentials(printable(message)), err=True)


def exit_on_errors(world: World) -> None:
    """Say what could not be read, and exit 1 if anything."""
    for error in world.errors:
        say(f"error: {_naming_the_socket(error)}")
    if world.errors:
        sys.exit(FAILED)


def _naming_the_socket(error: ReconcilerError) -> str:
    address = getattr(error, "address", "")
    return str(error) if address in str(error) else f"{error} ({address})"
