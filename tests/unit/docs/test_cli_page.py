"""docs/cli.md against what every command's --help prints."""

from __future__ import annotations

import os

import click
from tests.unit.docs import pages
from tests.unit.docs.test_docs import COMMANDS

from reconciler.cli import cli


PAGE = pages.DOCS / "cli.md"
BEGIN = "`make docs-cli` writes them anew.\n"
WIDTH = 80


def help_of(command: click.Command, name: str) -> str:
    """Return a command's help on a terminal of 80 columns."""
    root = click.Context(cli, info_name="reconciler", **cli.context_settings)
    root.terminal_width = WIDTH
    context = root
    if command is not cli:
        context = click.Context(command, info_name=name, parent=root)
    return command.get_help(context)


def all_pages() -> str:
    """Return the pages of all commands, as Markdown."""
    commands = {"reconciler": cli, **COMMANDS}
    parts = []
    for name, command in commands.items():
        heading = name if command is cli else f"reconciler {name}"
        parts.append(f"\n### {heading}\n\n```text\n{help_of(command, name)}\n```\n")
    return "".join(parts)


def test_the_pages_are_what_help_prints() -> None:
    """Word for word; UPDATE_SNAPSHOTS=1 writes them anew."""
    head, begin, written = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        written = all_pages()
        PAGE.write_text(head + begin + written, encoding="utf-8")

    assert written == all_pages()


def test_every_command_has_examples_and_exit_codes() -> None:
    """The pages of all commands have the same parts."""
    parts = ("Examples:", "Exit codes:", "Environment:", "See also:", "Common options:")
    bare = {
        name
        for name, command in COMMANDS.items()
        for part in parts
        if f"\n{part}\n" not in help_of(command, name)
    }

    assert bare == {"completion"}
