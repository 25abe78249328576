"""How commands end: exit codes, and errors on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol

import click

from reconciler.errors import ReconcilerError, printable, without_credentials


FAILED, USAGE, PENDING = 1, 2, 3


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Say why on standard error, and end with ``code``."""
    say(f"error: {message}")
    sys.exit(code)


def say(message: str) -> None:
    """Say something on standard error: one line, fit for a terminal, no credentials."""
    click.echo(without_credentials(printable(message)), err=True)


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
    """Return an error's message, with its HAProxy's socket where it does not say that.

    Fit for a terminal, and without credentials.
    """
    address = getattr(error, "address", "")
    message = str(error) if address in str(error) else f"{error} ({address})"
    return without_credentials(printable(message))
