"""``check``: the doctor's report."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import asdict
from itertools import groupby

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
_SILENT_SECONDS = 1.0
"""After this long a terminal is told that somebody is being waited for."""
_ALIKE_SHOWN = 5
"""How many findings of one kind a section shows."""


@click.command(cls=Page)
@click.option(
    "--quiet", "-q", is_flag=True, help="Print only what needs attention; else nothing."
)
@AS_JSON
@with_settings
def check(settings: Settings, as_json: bool, quiet: bool) -> None:  # noqa: FBT001
    """Look at everything between Docker and HAProxy; say what is wrong and how to mend it.

    Settings, sockets, permissions, versions, slots, --base-cfg, labels and the daemon, which
    need not run. Nothing is changed.

    \b
    ok    is as it should be
    note  worth knowing, may be meant so
    warn  works, and will hurt some day
    FAIL  does not work

    \b
    Exit code 0: nothing is broken. 1: something is (a FAIL).
    """
    found = asyncio.run(watched(findings(settings), console(is_error=True)))
    if as_json:
        shown = _shown(found, quiet=quiet)
        listed = [asdict(one) | {"verdict": one.verdict.value} for one in shown]
        click.echo(json.dumps({"findings": listed}, indent=2))
    else:
        print_report(console(), found, quiet=quiet)
    if any(one.verdict is Verdict.FAIL for one in found):
        sys.exit(FAILED)


async def watched(
    looking: Coroutine[None, None, list[Finding]],
    err: Console,
    *,
    silent_seconds: float = _SILENT_SECONDS,
) -> list[Finding]:
    """Return what was found; a terminal is told meanwhile why it takes long, if it does."""
    task = asyncio.create_task(looking)
    if err.is_terminal:
        await asyncio.wait({task}, timeout=silent_seconds)
        if not task.done():
            with err.status("waiting for Docker, HAProxy or the daemon to answer …"):
                await asyncio.wait({task})
    return await task


def _shown(found: list[Finding], *, quiet: bool) -> list[Finding]:
    return [one for one in found if not quiet or one.verdict is not Verdict.OK]


def print_report(out: Console, found: list[Finding], *, quiet: bool = False) -> None:
    """Print a doctor's report, section by section; nothing if quiet and all is well."""
    shown = _shown(found, quiet=quiet)
    for section, some in groupby(shown, key=lambda finding: finding.section):
        out.print(Text(section, style="bold"))
        for finding in _few_alike(out, list(some)):
            _print_finding(out, finding)
    if shown:
        out.print(Text(summary(found)))


def _few_alike(out: Console, some: list[Finding]) -> Iterator[Finding]:
    """Yield findings, and only the first ones of a kind; say how many more there are."""
    counts, shown = Counter(one.code for one in some), Counter[str]()
    for finding in some:
        shown[finding.code] += 1
        is_fine = finding.verdict is Verdict.OK
        if is_fine or shown[finding.code] <= _ALIKE_SHOWN:
            yield finding
        elif shown[finding.code] == counts[finding.code]:
            more = counts[finding.code] - _ALIKE_SHOWN
            out.print(Text(f"       … and {more} more like this: --json lists them"))


def _print_finding(out: Console, finding: Finding) -> None:
    word = Text(f"  {finding.verdict.value:<4}", style=_VERDICT_STYLES[finding.verdict])
    # A section that is about one thing need not name it again.
    is_named = finding.section.endswith(finding.thing)
    text = finding.text if is_named else f"{finding.thing}: {finding.text}"
    out.print(word, Text(text))
    if finding.mend:
        out.print(Text(f"       → {finding.mend}"))


def summary(findings: Iterable[Finding]) -> str:
    """Return the last line: ``31 things looked at: 2 broken, 1 to look at``."""
    counts = Counter(one.verdict for one in findings)
    notes = "1 note" if counts[Verdict.NOTE] == 1 else f"{counts[Verdict.NOTE]} notes"
    parts = [
        (counts[Verdict.FAIL], f"{counts[Verdict.FAIL]} broken"),
        (counts[Verdict.WARN], f"{counts[Verdict.WARN]} to look at"),
        (counts[Verdict.NOTE], notes),
    ]
    said = ", ".join(text for count, text in parts if count) or "all is well"
    total = counts.total()
    return f"{total} thing{'s' if total != 1 else ''} looked at: {said}"
