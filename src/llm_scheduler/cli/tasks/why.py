"""`llms tasks why`."""

from __future__ import annotations

from typing import Any

import click

from llm_scheduler.cli.connection import segment
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.screen import count, local_time, say, show_facts, show_json


@click.command(short_help="Say why a task waits, and when it will start.")
@click.argument("task_id", type=int)
@server_options
@click.pass_context
def why(ctx: click.Context, task_id: int) -> None:
    """Say what a task waits for, what comes before it, and when it is expected to start.

    \b
    Example: llms tasks why 42
    """  # noqa: D301
    with here(ctx).connect() as connection:
        found = connection.get(f"/api/v1/tasks/{segment(task_id)}/explain")
    if here(ctx).is_json:
        show_json(found)
        return
    show_facts(_facts(found))
    for reason in found["reasons"]:
        until = f" (until {local_time(reason['until'])})" if reason["until"] else ""
        click.echo(f"- {reason['code']}: {reason['detail']}{until}")
    if not found["reasons"]:
        say(_nothing(found["status"]))


def _facts(found: dict[str, Any]) -> list[tuple[str, Any]]:
    start = found["expected_start"]
    expected = None
    if start is not None:
        likely, earliest, latest = (local_time(start[f"{name}_at"]) for name in ("likely", "earliest", "latest"))
        expected = f"about {likely}, between {earliest} and {latest}"
    return [
        ("task", found["task_id"]),
        ("status", found["status"]),
        ("model", f"{found['model']} ({found['strategy']})"),
        ("before it, of its class", count(found["ahead"]) if found["ahead"] is not None else None),
        ("before it, higher classes", count(found["ahead_in_earlier_classes"]) or None),
        ("expected to start", expected),
    ]


def _nothing(status: str) -> str:
    if status == "running":
        return "It does not wait: it runs."
    return "Nothing holds it: it is next." if status == "queued" else f"It does not wait: it is {status}."
