"""Commands whose modules are only loaded when they are called.

Loading every command's libraries (a web server and client, metrics, Docker) takes longer
than most commands do.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import ClassVar

import click


class LazyGroup(click.Group):
    """A group whose commands are named in advance, and imported when they are needed."""

    places: ClassVar[Mapping[str, str]] = {}
    """The module of each command, in the order in which ``--help`` lists them. The command
    has its own name there."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every name, without loading anything."""
        return [*self.places, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, loading no other; None where there is none of that name."""
        module = self.places.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(module), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is called. Raises NoSuchCommand, with close names.

        click itself knows the names of loaded commands only.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(
                error.command_name, possibilities=self.list_commands(ctx), ctx=ctx
            ) from error
