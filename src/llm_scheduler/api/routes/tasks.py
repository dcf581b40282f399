"""Tasks, one at a time: submit, look, cancel, run again, delete; and lists of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, Nothing, json_answer
from llm_scheduler.api.errors import invalid
from llm_scheduler.api.filters import FilterBody
from llm_scheduler.api.following import when_over
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import (
    checked,
    idempotency_key,
    no_query,
    parsed,
    query_of,
    read_json_bytes,
    read_optional_body,
    task_id_of,
)
from llm_scheduler.api.running_again import check_runs
from llm_scheduler.api.schemas.bulk import ForecastShown, forecast_json
from llm_scheduler.api.schemas.tasks import (
    AttemptList,
    CountsShown,
    ListQuery,
    LogList,
    RetryTaskBody,
    SubmitQuery,
    TaskBody,
    TaskPage,
    TaskShown,
    WaitQuery,
)
from llm_scheduler.api.showing import asked_filter, log_json, shown_attempt, shown_task

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.task import Task

router: Final = APIRouter(route_class=DirectRoute)


@router.post(
    "/api/v1/tasks",
    **operation(
        Tag.TASKS,
        "Submit a task",
        body=TaskBody,
        query=SubmitQuery,
        answers={201: TaskShown, 200: TaskShown | ForecastShown},
        problems=(404, 409, 413, 415, 429, 503),
        headers=("Idempotency-Key",),
    ),
)
async def submit(request: Request) -> Answer:
    """Record one task. When this is answered, the task is on disk.

    With `wait`, the answer comes when the task is over or that many seconds later, with its result.
    201 for a new task; 200 when the Idempotency-Key (or the body's `idempotency_key`) was used with the same
    body before: then the task as it stands. With `dry_run=true` nothing is recorded: the answer says what the task
    would cost and when it would be done.
    """
    caller = caller_of(request)
    body = checked(parsed(await read_json_bytes(request)), TaskBody, "body")
    asked = query_of(request, SubmitQuery) if request.scope["query_string"] else None
    wait_s = None if asked is None else asked.wait
    key = idempotency_key(request)
    if key is not None:
        if body.idempotency_key not in (None, key):
            raise invalid("It differs from the Idempotency-Key header; send one of the two.", "body", "idempotency_key")
        body.idempotency_key = key
    submissions = caller.parts.submissions
    principal = caller.principal
    new_task = submissions.check(body, caller.tenant_id, principal.allowed_models, principal.key_id)
    if asked is not None and asked.dry_run:
        tasks = [new_task]
        return json_answer(forecast_json(await caller.parts.forecasts.forecast(tasks, caller.tenant_id)))
    task, is_new = await submissions.submit_one(new_task)
    if wait_s is not None:
        task = await when_over(caller, request.receive, task.id, wait_s)
    return _task_answer(caller, task, status=201 if is_new else 200, location=f"/api/v1/tasks/{task.id}")


@router.get(
    "/api/v1/tasks",
    **operation(Tag.TASKS, "List tasks", query=ListQuery, answers={200: TaskPage}, problems=(404, 503)),
)
async def list_tasks(request: Request) -> Answer:
    """A page of tasks, newest first unless `order=asc`. Follow `next_cursor` until it is null."""
    caller = caller_of(request)
    query = query_of(request, ListQuery)
    where = asked_filter(caller, query)
    page = await caller.parts.store.tasks(
        where, limit=query.limit, cursor=query.cursor, is_ascending=query.order == "asc"
    )
    is_brief = query.payload == "none"
    shown = [shown_task(caller, task, is_brief=is_brief) for task in page.items]
    return json_answer({"items": shown, "next_cursor": page.next_cursor})


@router.get(
    "/api/v1/tasks/counts",
    **operation(Tag.TASKS, "Count tasks by status", query=FilterBody, answers={200: CountsShown}, problems=(404, 503)),
)
async def counts(request: Request) -> Answer:
    """How many tasks of each status match the filter."""
    caller = caller_of(request)
    where = asked_filter(caller, query_of(request, FilterBody))
    found = await caller.parts.store.counts(where)
    shown = {status.value: count for status, count in found.items()}
    return json_answer({"counts": shown, "total": sum(shown.values())})


@router.get(
    "/api/v1/tasks/{task_id}",
    **operation(Tag.TASKS, "Get a task", query=WaitQuery, answers={200: TaskShown}, problems=(404, 503)),
)
async def get_task(request: Request) -> Answer:
    """One task with its result. With `wait`, the answer comes when it is over or that many seconds later."""
    caller = caller_of(request)
    task_id = task_id_of(request)
    wait_s = query_of(request, WaitQuery).wait if request.scope["query_string"] else None
    if wait_s is None:
        task = await caller.parts.tasks.get(task_id, caller.tenant_id)
    else:
        task = await when_over(caller, request.receive, task_id, wait_s)
    return _task_answer(caller, task, await caller.parts.tasks.position(task))


@router.delete(
    "/api/v1/tasks/{task_id}",
    **operation(Tag.TASKS, "Delete a task", answers={204: "It is gone."}, problems=(404, 409, 503)),
)
async def delete_task(request: Request) -> Nothing:
    """Remove a task that is over, with its attempts, logs and result."""
    caller = caller_of(request)
    no_query(request)
    await caller.parts.tasks.delete(task_id_of(request), caller.tenant_id)
    return Nothing()


@router.get(
    "/api/v1/tasks/{task_id}/attempts",
    **operation(Tag.TASKS, "List a task's attempts", answers={200: AttemptList}, problems=(404, 503)),
)
async def attempts(request: Request) -> Answer:
    """Every start of the task, oldest first."""
    caller = caller_of(request)
    no_query(request)
    task = await caller.parts.tasks.get(task_id_of(request), caller.tenant_id)
    found = await caller.parts.store.attempts(task.id)
    return json_answer({"items": [shown_attempt(caller, attempt) for attempt in found]})


@router.get(
    "/api/v1/tasks/{task_id}/logs",
    **operation(Tag.TASKS, "List a task's log lines", answers={200: LogList}, problems=(404, 503)),
)
async def logs(request: Request) -> Answer:
    """What happened to the task, step by step, oldest first; at most 500 lines."""
    caller = caller_of(request)
    no_query(request)
    task = await caller.parts.tasks.get(task_id_of(request), caller.tenant_id)
    found = await caller.parts.store.logs(task.id)
    return json_answer({"items": [log_json(line) for line in found]})


@router.post(
    "/api/v1/tasks/{task_id}/cancel",
    **operation(Tag.TASKS, "Cancel a task", answers={200: TaskShown}, problems=(404, 409, 503)),
)
async def cancel(request: Request) -> Answer:
    """Cancel a task that is not over. A running call is aborted: the answer may still say `running`."""
    caller = caller_of(request)
    no_query(request)
    return _task_answer(caller, await caller.parts.tasks.cancel(task_id_of(request), caller.tenant_id))


@router.post(
    "/api/v1/tasks/{task_id}/retry",
    **operation(
        Tag.TASKS,
        "Run a task again",
        body=RetryTaskBody,
        needs_body=False,
        answers={200: TaskShown},
        problems=(404, 409, 413, 415, 503),
    ),
)
async def retry(request: Request) -> Answer:
    """Queue a failed or cancelled task again, its counters at zero, perhaps with another input."""
    caller = caller_of(request)
    no_query(request)
    body = await read_optional_body(request, RetryTaskBody)
    new_input = None if body is None else body.input
    task_id = task_id_of(request)
    if caller.principal.allowed_models is not None:
        check_runs(caller, (await caller.parts.tasks.get(task_id, caller.tenant_id)).model_id)
    task = await caller.parts.tasks.retry(task_id, caller.tenant_id, new_input)
    return _task_answer(caller, task, await caller.parts.tasks.position(task))


def _task_answer(
    caller: Caller, task: Task, position: int | None = None, status: int = 200, location: str | None = None
) -> Answer:
    return json_answer(shown_task(caller, task, position), status, location)
