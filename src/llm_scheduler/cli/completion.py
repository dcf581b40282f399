"""`llms completion`: Tab in the shell."""

from __future__ import annotations

from typing import Final

import click

_HOW: Final = {
    "bash": 'eval "$(llms completion bash)"   # in ~/.bashrc',
    "zsh": 'eval "$(llms completion zsh)"   # in ~/.zshrc, after compinit',
    "fish": "llms completion fish > ~/.config/fish/completions/llms.fish",
}


@click.command(short_help="Print a shell completion script.")
@click.argument("shell", type=click.Choice(list(_HOW)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a completion script for SHELL, for both llms and llm-scheduler.

    Example: eval "$(llms completion bash)".
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"No completion for {shell}.")
    click.echo(f"# {_HOW[shell]}")
    for name in ("llms", "llm-scheduler"):
        variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
        # Not .source() of bash: it runs bash to learn its version.
        maker = kind(ctx.find_root().command, {}, name, variable)
        click.echo(maker.source_template % maker.source_vars())
