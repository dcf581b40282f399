"""`llms version`."""

from __future__ import annotations

import click

from llm_scheduler import __version__
from llm_scheduler.cli.invocation import here, json_option


@click.command()
@json_option
@click.pass_context
def version(ctx: click.Context) -> None:
    """Print the version. Example: llms version."""
    click.echo(f'{{"version": "{__version__}"}}' if here(ctx).is_json else f"llm-scheduler {__version__}")
