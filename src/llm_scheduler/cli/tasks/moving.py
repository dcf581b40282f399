"""`llms tasks cancel|retry`: by id, or by filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.actions import confirm, watched
from llm_scheduler.cli.connection import segment
from llm_scheduler.cli.faults import CliError, RefusedError
from llm_scheduler.cli.filters import Filter, filter_options
from llm_scheduler.cli.invocation import Invocation, here, server_options
from llm_scheduler.cli.screen import count, say, show_json

if TYPE_CHECKING:
    from llm_scheduler.cli.connection import Connection

_TOUCHES: Final = {
    "cancel": ("blocked", "scheduled", "queued", "held", "running"),
    "retry": ("failed", "cancelled"),
}
_DONE: Final = {"cancel": "cancelled", "retry": "queued again"}


def _moving(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.pass_context,
        server_options,
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--all", "is_all", is_flag=True, help="Every task; with a filter not needed."),
        filter_options,
        click.argument("ids", nargs=-1, type=int),
    ):
        command = option(command)
    return command


@click.command(short_help="Cancel tasks, by id or by filter.")
@_moving
def cancel(ctx: click.Context, ids: tuple[int, ...], where: Filter, **options: Any) -> None:
    """Cancel tasks that are not over.

    \b
    Example: llms tasks cancel 41 42
             llms tasks cancel --model gpt-4o-mini --status queued
    """  # noqa: D301
    _move(here(ctx), "cancel", ids, where, options)


@click.command(short_help="Queue failed or cancelled tasks again.")
@_moving
def retry(ctx: click.Context, ids: tuple[int, ...], where: Filter, **options: Any) -> None:
    """Queue failed or cancelled tasks again, with their retries restored.

    \b
    Example: llms tasks retry 42
             llms tasks retry --status failed --created-after 2026-01-31
    """  # noqa: D301
    _move(here(ctx), "retry", ids, where, options)


def _move(invocation: Invocation, action: str, ids: tuple[int, ...], where: Filter, options: dict[str, Any]) -> None:
    if bool(ids) == bool(where or options["is_all"]):
        raise click.UsageError("Give ids, or a filter, or --all.")
    with invocation.connect() as connection:
        if ids:
            _one_by_one(invocation, connection, action, ids)
            return
        if not options["yes"] and not confirm(connection, where, action, _TOUCHES[action]):
            return
        begun = connection.post("/api/v1/tasks/actions", {"action": action, "filter": where.body()})
        done = watched(connection, begun)
    if invocation.is_json:
        show_json(done)
    else:
        say(f"{count(done['changed'])} tasks {_DONE[action]}.")


def _one_by_one(invocation: Invocation, connection: Connection, action: str, ids: tuple[int, ...]) -> None:
    """Each id on its own: one that cannot be moved does not keep the others back."""
    moved: list[dict[str, Any]] = []
    refused: list[tuple[int, RefusedError]] = []
    for task_id in ids:
        try:
            moved.append(connection.post(f"/api/v1/tasks/{segment(task_id)}/{action}"))
        except RefusedError as error:
            if error.status not in (404, 409) or len(ids) == 1:
                raise
            refused.append((task_id, error))
    if invocation.is_json:
        show_json({"changed": moved, "refused": [{"id": task_id, **error.facts()} for task_id, error in refused]})
    else:
        for task in moved:
            say(f"Task {task['id']} is {task['status']}." if action == "retry" else _cancelled(task))
        for _, error in refused:
            error.show()
    if refused:
        raise SystemExit(CliError.exit_code)


def _cancelled(task: dict[str, Any]) -> str:
    ended = task["status"] == "cancelled"
    return f"Task {task['id']} is cancelled." if ended else f"Task {task['id']} is running; it is being stopped."
