"""Tasks by the thousand, as a stream: for spreadsheets and for programs."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson
from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.filters import FilterBody
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import query_of
from llm_scheduler.api.showing import asked_filter, shown_task
from llm_scheduler.api.spreadsheet import safe_cell
from llm_scheduler.api.streams import RowStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.task import Task
    from llm_scheduler.ports.store import Page, TaskFilter

router: Final = APIRouter(route_class=DirectRoute)
PAGE: Final = 500
_CSV: Final = "text/csv; charset=utf-8"
_NDJSON: Final = "application/x-ndjson"
COLUMNS: Final = (
    "id",
    "model",
    "type",
    "status",
    "priority",
    "attempt",
    "failures",
    "prompt_tokens",
    "completion_tokens",
    "cost_microusd",
    "error_code",
    "error_message",
    "created_at",
    "queued_at",
    "started_at",
    "completed_at",
    "metadata",
)


class ExportQuery(FilterBody):
    """Which tasks, and how they are written."""

    format: Literal["csv", "ndjson"] = "csv"
    """`csv`: a line for each task without its request and answer, safe to open in a spreadsheet. `ndjson`: each task
    as the list shows it."""


@router.get(
    "/api/v1/tasks/export",
    **operation(
        Tag.TASKS,
        "Export tasks",
        query=ExportQuery,
        answers={200: "Lines."},
        media="text/csv",
        problems=(404, 503),
    ),
)
async def export(request: Request) -> RowStream:
    """Every task that matches, newest first, as a stream: it takes as long as it takes, and no memory.

    The last line of NDJSON is `{"rows": N}`: without it the answer was cut off.
    """
    caller = caller_of(request)
    query = query_of(request, ExportQuery)
    where = asked_filter(caller, query)
    # The first page before the answer begins: a record that is away is a problem, not a broken stream.
    first = await _page(caller, where, None)
    if query.format == "csv":
        return RowStream(_csv_lines(caller, where, first), _CSV, "tasks.csv")
    return RowStream(_json_lines(caller, where, first), _NDJSON, "tasks.ndjson")


async def _page(caller: Caller, where: TaskFilter, cursor: str | None) -> Page:
    return await caller.parts.store.tasks(where, limit=PAGE, cursor=cursor)


async def _pages(caller: Caller, where: TaskFilter, page: Page) -> AsyncGenerator[Page, None]:
    while True:
        yield page
        if page.next_cursor is None:
            return
        page = await _page(caller, where, page.next_cursor)


async def _csv_lines(caller: Caller, where: TaskFilter, page: Page) -> AsyncGenerator[bytes, None]:
    # The mark tells spreadsheets that this is UTF-8.
    yield "\ufeff".encode() + _csv([COLUMNS])
    async for found in _pages(caller, where, page):
        yield _csv([_cells(caller, task) for task in found.items])


async def _json_lines(caller: Caller, where: TaskFilter, page: Page) -> AsyncGenerator[bytes, None]:
    rows = 0
    async for found in _pages(caller, where, page):
        rows += len(found.items)
        yield b"".join(orjson.dumps(shown_task(caller, task), option=orjson.OPT_APPEND_NEWLINE) for task in found.items)
    yield orjson.dumps({"rows": rows}, option=orjson.OPT_APPEND_NEWLINE)


def _cells(caller: Caller, task: Task) -> list[object]:
    shown: dict[str, Any] = shown_task(caller, task)
    error = shown["error"] or {}
    shown |= {
        "prompt_tokens": task.usage.prompt_tokens,
        "completion_tokens": task.usage.completion_tokens,
        "error_code": error.get("code"),
        "error_message": error.get("message"),
        "metadata": orjson.dumps(dict(task.metadata)).decode() if task.metadata else None,
    }
    return [safe_cell(shown[name]) for name in COLUMNS]


def _csv(rows: list[tuple[str, ...]] | list[list[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
