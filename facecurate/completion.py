"""`facecurate completion SHELL`: the script that makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = {"bash": "~/.bashrc", "zsh": "~/.zshrc"}
_VARIABLE = "_FACECURATE_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of bash or zsh.

    \b
    Add this line to ~/.bashrc, or to ~/.zshrc with zsh in place of bash:
        eval "$(facecurate completion bash)"
    """
    complete = get_completion_class(shell)
    if complete is None:
        raise click.ClickException(f"this version of click has no completion for {shell}.")
    click.echo(
        f'# To switch completion on, add this line to {SHELLS[shell]}:\n# eval "$(facecurate completion {shell})"'
    )
    click.echo(complete(ctx.find_root().command, {}, "facecurate", _VARIABLE).source())
