"""How commands end: exit codes, and errors on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def quiet_pipes() -> Iterator[None]:
    """End quietly where whoever read our output has gone (``| head``): no traceback.

    Python flushes the standard streams once more at its end and would complain there, so
    what is left goes to nowhere.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        sys.exit(FAILED)
