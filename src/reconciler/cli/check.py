"""``check``: the doctor's report."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict

import click
from rich.console import Console
from rich.text import Text

from reconciler.cli.exits import FAILED
from reconciler.cli.options import AS_JSON, with_settings
from reconciler.cli.page import Page
from reconciler.cli.render import console
from reconciler.config import Settings
from reconciler.doctor import Finding, Verdict, findings


_VERDICT_STYLES = {
    Verdict.OK: "green",
    Verdict.NOTE: "cyan",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "red",
}


@click.command(cls=Page)
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


def print_findings(out: Console, findings: Iterable[Finding]) -> None:
    """Print a doctor's report."""
    for finding in findings:
        word = Text(
            f"{finding.verdict.value:<4}", style=_VERDICT_STYLES[finding.verdict]
        )
        out.print(word, Text(f"{finding.thing}: {finding.text}"))
        if finding.mend:
            out.print(Text(f"       → {finding.mend}"))
