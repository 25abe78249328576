"""How commands end: exit codes, and errors on standard error."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from reconciler.errors import ReconcilerError
from reconciler.inquiry import World


FAILED, USAGE, PENDING = 1, 2, 3


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Say why on standard error, and end with ``code``."""
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def exit_on_errors(world: World) -> None:
    """Say what could not be read, and exit 1 if anything."""
    for error in world.errors:
        click.echo(f"error: {_naming_the_socket(error)}", err=True)
    if world.errors:
        sys.exit(FAILED)


def _naming_the_socket(error: ReconcilerError) -> str:
    address = getattr(error, "address", "")
    return str(error) if address in str(error) else f"{error} ({address})"
