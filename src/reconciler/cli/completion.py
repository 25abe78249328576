"""``completion``: the script that makes a shell complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from reconciler.cli.exits import fail


PROGRAM = "reconciler"
VARIABLE = "_RECONCILER_COMPLETE"
"""What click asks for: the shell's script sets it when it asks us."""

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, containers and slots.

    Names of containers, backends and slots are read when they are asked for; where they
    cannot be read nothing is offered.

    \b
    bash: reconciler completion bash > /etc/bash_completion.d/reconciler
    zsh:  reconciler completion zsh > "${fpath[1]}/_reconciler"
    fish: reconciler completion fish > ~/.config/fish/completions/reconciler.fish
    """
    found = get_completion_class(shell)
    if found is None:  # click names them, and may drop one
        fail(f"no completion for {shell}: this version of click has none; update click")
    # source() would look for the shell on this machine, which may be a container without.
    script = found(ctx.find_root().command, {}, PROGRAM, VARIABLE)
    click.echo(script.source_template % script.source_vars())
