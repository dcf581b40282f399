"""`llms dlq …`: dead letters, the failed tasks that nobody will retry unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llm_scheduler.cli.actions import confirm, watched
from llm_scheduler.cli.filters import Filter, filter_options
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.listing import PAGE, pages
from llm_scheduler.cli.screen import count, excerpt, local_time, say, show_json, show_table

if TYPE_CHECKING:
    from collections.abc import Callable


@click.group()
def dlq() -> None:
    """Look at dead letters; requeue or discard them. Example: llms dlq list."""


@dlq.command("list")
@filter_options
@click.option("--reason", type=click.Choice(["retries_exhausted", "not_retryable", "worker_crashes", "retry_budget"]))
@click.option("--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@server_options
@click.pass_context
def list_(ctx: click.Context, where: Filter, reason: str | None, limit: int) -> None:
    """List dead letters, newest first. Example: llms dlq list --model gpt-4o-mini."""
    params = {**where.params(), **({"reason": reason} if reason else {})}
    with here(ctx).connect() as connection:
        items = list(pages(connection, "/api/v1/dead-letters", params, limit))
    if here(ctx).is_json:
        show_json({"items": items})
        return
    if not items:
        say("No dead letters.")
        return
    show_table(("ID", "MODEL", "DIED", ">ATTEMPTS", "REASON", "ERROR"), (_row(task) for task in items))
    say("Queue again: llms dlq requeue ID …   Give up: llms dlq discard ID …")


def _row(task: dict[str, Any]) -> tuple[Any, ...]:
    error = task.get("error") or {}
    return (
        task["id"],
        task["model"],
        local_time(task.get("completed_at") or task.get("updated_at")),
        task.get("attempt"),
        task.get("dead_reason"),
        excerpt(f"{error.get('code')}: {error.get('message')}" if error else "", 70),
    )


def _moving(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.pass_context,
        server_options,
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--all", "is_all", is_flag=True, help="Every dead letter."),
        filter_options,
        click.argument("ids", nargs=-1, type=int),
    ):
        command = option(command)
    return command


@dlq.command()
@_moving
def requeue(ctx: click.Context, ids: tuple[int, ...], where: Filter, **options: Any) -> None:
    """Queue dead letters again, by id or by filter. Example: llms dlq requeue --model gpt-4o-mini."""
    _move(ctx, "requeue", ids, where, options)


@dlq.command()
@_moving
def discard(ctx: click.Context, ids: tuple[int, ...], where: Filter, **options: Any) -> None:
    """Delete dead letters for good, by id or by filter. Example: llms dlq discard 41 42."""
    _move(ctx, "discard", ids, where, options)


def _move(ctx: click.Context, action: str, ids: tuple[int, ...], where: Filter, options: dict[str, Any]) -> None:
    if bool(ids) == bool(where or options["is_all"]):
        raise click.UsageError("Give ids, or a filter, or --all.")
    with here(ctx).connect() as connection:
        path = f"/api/v1/dead-letters/{action}"
        if ids:
            parts = [list(ids[first : first + PAGE]) for first in range(0, len(ids), PAGE)]
            done = {"changed": sum(connection.post(path, {"ids": part})["changed"] for part in parts)}
        elif options["yes"] or confirm(connection, where, action, ("failed",)):
            done = watched(connection, connection.post(path, {"filter": where.body()}))
        else:
            return
    if here(ctx).is_json:
        show_json(done)
        return
    say(f"{count(done['changed'])} dead letters {'queued again' if action == 'requeue' else 'discarded'}.")
    if ids and done["changed"] < len(ids):
        say(f"{len(ids) - done['changed']} of the ids are no dead letters.")
