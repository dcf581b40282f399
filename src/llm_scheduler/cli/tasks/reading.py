"""`llms tasks list|get|logs`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from llm_scheduler.cli.connection import segment
from llm_scheduler.cli.filters import Filter, filter_options
from llm_scheduler.cli.following import text_of
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.listing import SPARE_TASK_COLUMNS, TASK_COLUMNS, pages, task_row
from llm_scheduler.cli.screen import (
    count,
    local_time,
    money,
    say,
    seconds_between,
    show_facts,
    show_json,
    show_json_line,
    show_table,
    span,
)

if TYPE_CHECKING:
    from llm_scheduler.cli.connection import Connection


@click.command("list", short_help="List tasks, newest first.")
@filter_options
@click.option("--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@click.option("--all", "is_all", is_flag=True, help="All that match; with --json one on each line.")
@click.option("--oldest-first", is_flag=True, help="Else newest first.")
@click.option("--ids", "is_ids", is_flag=True, help="Only ids, one a line.")
@server_options
@click.pass_context
def list_(ctx: click.Context, where: Filter, **options: Any) -> None:
    """List tasks.

    \b
    Example: llms tasks list --status failed --model gpt-4o-mini
             llms tasks list --status failed --all --ids | xargs llms tasks retry
    """  # noqa: D301
    limit = None if options["is_all"] else options["limit"]
    params = {**where.params(), **({"order": "asc"} if options["oldest_first"] else {})}
    with here(ctx).connect() as connection:
        items = pages(connection, "/api/v1/tasks", params, limit)
        if options["is_ids"]:
            for task in items:
                click.echo(task["id"])
        elif here(ctx).is_json and options["is_all"]:
            for task in items:
                show_json_line(task)
        elif here(ctx).is_json:
            show_json({"items": list(items)})
        else:
            _show(list(items), limit)


def _show(items: list[dict[str, Any]], limit: int | None) -> None:
    if not items:
        say("No such tasks.")
        return
    show_table(TASK_COLUMNS, (task_row(task) for task in items), spare=SPARE_TASK_COLUMNS)
    if len(items) == limit:
        say("There may be more: --limit N or --all.")


@click.command(short_help="Show one task.")
@click.argument("task_id", type=int)
@server_options
@click.pass_context
def get(ctx: click.Context, task_id: int) -> None:
    """Show a task: how it stands, what was asked, what came back. Example: llms tasks get 42."""
    with here(ctx).connect() as connection:
        task = connection.get(f"/api/v1/tasks/{segment(task_id)}")
    if here(ctx).is_json:
        show_json(task)
        return
    show_facts(_facts(task))


def _facts(task: dict[str, Any]) -> list[tuple[str, Any]]:
    usage, error = task.get("usage") or {}, task.get("error")
    fallback = task.get("fallback")
    tokens = f"{count(usage.get('prompt_tokens'))} + {count(usage.get('completion_tokens'))}" if usage else None
    return [
        ("id", task["id"]),
        ("status", task["status"]),
        ("ahead of it", task.get("queue_position")),
        ("model", task["model"]),
        ("moved", f"from {fallback['from']} ({fallback['reason']})" if fallback else None),
        ("type", task["type"]),
        ("priority", task["priority"]),
        ("attempts", f"{task['attempt']} ({task['failures']} failed, {task['max_retries']} retries allowed)"),
        ("created", local_time(task["created_at"])),
        ("started", local_time(task.get("started_at"))),
        ("ended", local_time(task.get("completed_at"))),
        ("ran", span(seconds_between(task.get("started_at"), task.get("completed_at")))),
        ("tokens", tokens),
        ("cost", money(task.get("cost_microusd") or None)),
        ("metadata", " ".join(f"{key}={value}" for key, value in (task.get("metadata") or {}).items()) or None),
        ("input", json.dumps(task.get("input"), ensure_ascii=False, indent=2)),
        ("output", text_of(task) if task.get("output") else None),
        ("error", f"{error['code']}: {error['message']}" if error else None),
    ]


@click.command(short_help="Show what happened to a task, step by step.")
@click.argument("task_id", type=int)
@server_options
@click.pass_context
def logs(ctx: click.Context, task_id: int) -> None:
    """Show a task's log and its attempts. Example: llms tasks logs 42."""
    with here(ctx).connect() as connection:
        path = f"/api/v1/tasks/{segment(task_id)}"
        lines = _items(connection, f"{path}/logs")
        attempts = _items(connection, f"{path}/attempts")
    if here(ctx).is_json:
        show_json({"logs": lines, "attempts": attempts})
        return
    for line in lines:
        data = line.get("data")
        more = f"  {json.dumps(data, ensure_ascii=False)}" if data else ""
        click.echo(f"{local_time(line['created_at'])}  {line['level']:<7}  {line['message']}{more}")
    if attempts:
        click.echo()
        show_table(
            (">ATTEMPT", "OUTCOME", "ENDPOINT", "STARTED", ">RAN", ">FIRST TOKEN", ">TOKENS", "ERROR"),
            (_attempt_row(attempt) for attempt in attempts),
        )


def _items(connection: Connection, path: str) -> list[dict[str, Any]]:
    """A list of a task's own; the server gives it whole or in pages."""
    answer = connection.get(path)
    if isinstance(answer, list):
        return answer
    return answer["items"] if not answer.get("next_cursor") else list(pages(connection, path, {}))


def _attempt_row(attempt: dict[str, Any]) -> tuple[Any, ...]:
    error, ttft_ms = attempt.get("error") or {}, attempt.get("ttft_ms")
    return (
        attempt["attempt"],
        attempt.get("outcome") or "running",
        attempt.get("endpoint"),
        local_time(attempt.get("started_at")),
        span(seconds_between(attempt.get("started_at"), attempt.get("ended_at"))),
        span(None if ttft_ms is None else ttft_ms / 1000),
        count((attempt.get("usage") or {}).get("total_tokens")),
        f"{error['code']}: {error.get('message', '')}" if error else "",
    )
