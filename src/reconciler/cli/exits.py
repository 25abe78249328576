"""How commands end: exit codes, and errors on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol

import click

from reconciler.errors import ReconcilerError


FAILED, USAGE, PENDING = 1, 2, 3


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Say why on standard error, and end with ``code``."""
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


class Reading(Protocol):
    """What was read, as far as errors go: ``inquiry.World``, which takes long to load."""

    @property
    def errors(self) -> Sequence[ReconcilerError]:
        """Whatever could not be read."""


def exit_on_errors(world: Reading) -> None:
    """Say what could not be read, and exit 1 if anything."""
    for error in world.errors:
        click.echo(f"error: {naming_the_socket(error)}", err=True)
    if world.errors:
        sys.exit(FAILED)


def naming_the_socket(error: ReconcilerError) -> str:
    """Return an error's message, with its HAProxy's socket where it does not say that."""
    address = getattr(error, "address", "")
    return str(error) if address in str(error) else f"{error} ({address})"
