"""`llms archive …`: finished tasks that have left the database of this machine's server."""

from __future__ import annotations

import click

from llm_scheduler.cli.faults import CliError, explained
from llm_scheduler.cli.invocation import here, json_option
from llm_scheduler.cli.screen import count, show_json, show_table


@click.group()
def archive() -> None:
    """Find tasks that were archived. Example: llms archive get 4711."""


@archive.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List the archive's files. Example: llms archive list."""
    with explained():
        from llm_scheduler.app import commands

        files = commands.archive_files()
    if here(ctx).is_json:
        show_json(files)
        return
    rows = [
        (one["day"], count(one["tasks"]), one["first_id"], one["last_id"], count(one["bytes"]), one["file"])
        for one in files
    ]
    show_table(("DAY", ">TASKS", ">FIRST ID", ">LAST ID", ">BYTES", "FILE"), rows)


@archive.command()
@click.argument("task_id", type=int)
@json_option
@click.pass_context
def get(ctx: click.Context, task_id: int) -> None:
    """Show an archived task as JSON, with its attempts and its log. Example: llms archive get 4711."""
    del ctx
    with explained():
        from llm_scheduler.app import commands

        task = commands.archived_task(task_id)
    if task is None:
        raise CliError(f"Task {task_id} is not in the archive.", f"Perhaps it is still there: llms tasks get {task_id}")
    show_json(task)
