"""`llms tasks watch`."""

from __future__ import annotations

import click

from llm_scheduler.cli.following import Printer, followed
from llm_scheduler.cli.invocation import here, server_options


@click.command(short_help="Follow a task to its end.")
@click.argument("task_id", type=int)
@server_options
@click.pass_context
def watch(ctx: click.Context, task_id: int) -> None:
    """Follow a task: its status on stderr, its text on stdout while it is written.

    Exit code 1 when it ends without a result. Example: llms tasks watch 42.
    """
    printer = Printer(is_json=here(ctx).is_json, is_telling=True)
    with here(ctx).connect() as connection:
        printer.end(followed(connection, task_id, printer))
