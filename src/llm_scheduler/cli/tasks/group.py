"""`llms tasks …`."""

from __future__ import annotations

import click

from llm_scheduler.cli.lazy import Entry, LazyGroup


@click.group(
    cls=LazyGroup,
    entries={
        "list": Entry("llm_scheduler.cli.tasks.reading:list_", "List tasks, newest first."),
        "get": Entry("llm_scheduler.cli.tasks.reading:get", "Show one task."),
        "logs": Entry("llm_scheduler.cli.tasks.reading:logs", "Show what happened to a task, step by step."),
        "why": Entry("llm_scheduler.cli.tasks.why:why", "Say why a task waits, and when it will start."),
        "watch": Entry("llm_scheduler.cli.tasks.watching:watch", "Follow a task to its end."),
        "cancel": Entry("llm_scheduler.cli.tasks.moving:cancel", "Cancel tasks, by id or by filter."),
        "retry": Entry("llm_scheduler.cli.tasks.moving:retry", "Queue failed or cancelled tasks again."),
    },
)
def tasks() -> None:
    """List, show, follow, cancel and retry tasks. Example: llms tasks list --status failed."""
