"""Dead letters: failed tasks, to be requeued, mended or discarded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.beginning import begin, noted_filter
from llm_scheduler.api.filters import only
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import checked, no_query, parsed, query_of, read_json_bytes
from llm_scheduler.api.running_again import may_run
from llm_scheduler.api.schemas.actions import ActionShown, ChangedShown, DeadQuery, DiscardBody, RequeueBody
from llm_scheduler.api.schemas.tasks import TaskPage
from llm_scheduler.api.showing import asked_filter, shown_task
from llm_scheduler.domain.ids import TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import TaskFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.task import Task

router: Final = APIRouter(route_class=DirectRoute)
_MOST_PAGES: Final = 20
"""Pages read for one answer when a reason is sought: the rest is behind the cursor."""
_MOST_NAMED: Final = 50
"""Ids that the audit log names."""


@router.get(
    "/api/v1/dead-letters",
    **operation(Tag.DEAD_LETTERS, "List dead letters", query=DeadQuery, answers={200: TaskPage}, problems=(404, 503)),
)
async def list_dead(request: Request) -> Answer:
    """Failed tasks, newest first. With `reason` a page may hold fewer than `limit`; follow `next_cursor`."""
    caller = caller_of(request)
    query = query_of(request, DeadQuery)
    where = only(asked_filter(caller, query), Status.FAILED)
    if where is None:
        return json_answer({"items": [], "next_cursor": None})
    found: list[Task] = []
    cursor = query.cursor
    for _ in range(_MOST_PAGES):
        page = await caller.parts.store.tasks(
            where,
            limit=query.limit - len(found),
            cursor=cursor,
            is_ascending=query.order == "asc",
        )
        found += [task for task in page.items if query.reason in (None, task.dead_reason)]
        cursor = page.next_cursor
        if cursor is None or len(found) >= query.limit:
            break
    return json_answer({"items": [shown_task(caller, task) for task in found], "next_cursor": cursor})


@router.post(
    "/api/v1/dead-letters/requeue",
    **operation(
        Tag.DEAD_LETTERS,
        "Requeue dead letters",
        body=RequeueBody,
        answers={200: ChangedShown, 202: ActionShown},
        problems=(404, 409, 413, 415, 503),
    ),
)
async def requeue(request: Request) -> Answer:
    """Queue failed tasks again, their counters at zero. By ids: 200 with how many; by filter: 202 with an action."""
    caller = caller_of(request)
    no_query(request)
    value = parsed(await read_json_bytes(request))
    body = checked(value, RequeueBody, "body")
    _note(caller, body.ids, value)
    if body.ids is None:
        return await begin(caller, "requeue", value)
    ids = [task.id for task in await _dead(caller, body.ids) if may_run(caller, task.model_id)]
    if body.input is None:
        return json_answer({"changed": await caller.parts.tasks.requeue_many(ids) if ids else 0})
    for task_id in ids:
        await caller.parts.tasks.retry(task_id, caller.tenant_id, body.input)
    return json_answer({"changed": len(ids)})


@router.post(
    "/api/v1/dead-letters/discard",
    **operation(
        Tag.DEAD_LETTERS,
        "Discard dead letters",
        body=DiscardBody,
        answers={200: ChangedShown, 202: ActionShown},
        problems=(404, 413, 415, 503),
    ),
)
async def discard(request: Request) -> Answer:
    """Delete failed tasks for good. By ids: 200 with how many; by filter: 202 with an action."""
    caller = caller_of(request)
    no_query(request)
    value = parsed(await read_json_bytes(request))
    body = checked(value, DiscardBody, "body")
    _note(caller, body.ids, value)
    if body.ids is None:
        return await begin(caller, "discard", value)
    ids = [task.id for task in await _dead(caller, body.ids)]
    return json_answer({"changed": await caller.parts.tasks.discard_many(ids) if ids else 0})


def _note(caller: Caller, ids: Sequence[int] | None, value: object) -> None:
    """What is to be moved: so many by ids, the first of them named, or a filter."""
    if ids is None:
        caller.audit(after={"filter": noted_filter(value)})
    else:
        caller.audit(after={"count": len(ids), "ids": list(ids[:_MOST_NAMED])})


async def _dead(caller: Caller, ids: Sequence[int]) -> Sequence[Task]:
    """Those of the ids that are the tenant's dead letters."""
    wanted = tuple(TaskId(task_id) for task_id in dict.fromkeys(ids))
    where = TaskFilter(tenant_id=caller.tenant_id, statuses=(Status.FAILED,), ids=wanted)
    return (await caller.parts.store.tasks(where, limit=len(wanted))).items
