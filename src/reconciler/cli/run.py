"""``run``: the daemon."""

from __future__ import annotations

import asyncio

import click

from reconciler.app import run_daemon
from reconciler.cli.options import with_settings
from reconciler.cli.page import Page
from reconciler.config import Settings
from reconciler.logs import configure_logging


@click.command(cls=Page)
@with_settings
def run(settings: Settings) -> None:
    """Reconcile until stopped. SIGTERM leaves the slot map as it is."""
    configure_logging(settings.log_format, settings.log_level)
    asyncio.run(run_daemon(settings))
