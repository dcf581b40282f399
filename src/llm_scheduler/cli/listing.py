"""Lists that come in pages, and tasks as rows of a table."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.cli.screen import count, excerpt, local_time, money, seconds_between, span
from llm_scheduler.cli.values import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llm_scheduler.cli.connection import Connection

PAGE: Final = 500
TASK_COLUMNS: Final = (
    "ID",
    "STATUS",
    "MODEL",
    ">PRI",
    "CREATED",
    ">WAITED",
    ">RAN",
    ">TOKENS",
    ">COST",
    "ANSWER OR ERROR",
)
SPARE_TASK_COLUMNS: Final = (">PRI", ">WAITED", ">RAN", ">TOKENS", ">COST")


def pages(
    connection: Connection, path: str, params: Mapping[str, Any], limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """The items of a list, page after page, at most `limit`."""
    return islice(_all(connection, path, params, PAGE if limit is None else min(PAGE, limit)), limit)


def _all(connection: Connection, path: str, params: Mapping[str, Any], size: int) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        where = {**params, "limit": size, **({"cursor": cursor} if cursor else {})}
        page = connection.get(path, where)
        yield from page["items"]
        cursor = page.get("next_cursor")
        if cursor is None:
            return


def task_row(task: Mapping[str, Any]) -> tuple[Any, ...]:
    """A task under `TASK_COLUMNS`."""
    usage = task.get("usage") or {}
    return (
        task["id"],
        task["status"],
        task["model"],
        task["priority"],
        local_time(task["created_at"]),
        span(seconds_between(task["created_at"], task.get("started_at"))),
        span(seconds_between(task.get("started_at"), task.get("completed_at"))),
        count(usage.get("total_tokens")) if task["status"] in TERMINAL else None,
        money(task.get("cost_microusd") or None),
        _gist(task),
    )


def _gist(task: Mapping[str, Any]) -> str:
    error = task.get("error")
    if error and task["status"] != "completed":
        return excerpt(f"{error.get('code')}: {error.get('message')}", 48)
    return excerpt((task.get("output") or {}).get("text"), 48)
