"""Live news: of one task to its end, or of every task of the tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import stamp
from llm_scheduler.api.following import Rereads, watching
from llm_scheduler.api.operations import DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import no_query, task_id_of
from llm_scheduler.api.showing import sees_payloads, shown_task
from llm_scheduler.api.streams import KEEP_ALIVE, KEEP_ALIVE_S, EventStream, event
from llm_scheduler.api.telling import Told, is_end
from llm_scheduler.domain.status import TERMINAL
from llm_scheduler.ports.feed import Missed, TaskChanged, TaskDelta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from starlette.types import Receive

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.ids import TaskId
    from llm_scheduler.domain.task import Task
    from llm_scheduler.ports.feed import News

router: Final = APIRouter(route_class=DirectRoute)
_SSE: Final = "text/event-stream"


@router.get(
    "/api/v1/tasks/{task_id}/events",
    **operation(Tag.TASKS, "Follow a task", answers={200: "Server-sent events."}, media=_SSE, problems=(404, 503)),
)
async def task_events(request: Request) -> EventStream:
    """The task's news until it is over, beginning with where it stands.

    `status` `{id, model, status, attempt, at}` · `delta` `{attempt, text}`: a piece of the answer; a new attempt
    begins anew · `missed` `{count}`: deltas are lost, the result is not; `count` is how many events, because the
    reader was too slow, or 0 when it is not known, because another process was out of reach · `done`: the whole
    task with its output, then the stream ends. A comment comes every 15 s.

    A stream ends with `done` whatever was lost on the way. Deltas missing at the end of the text come before it;
    text missing at its beginning or in its middle (after `missed`, or when the stream was opened later) does not:
    take the output of `done`. Without `payloads:read` no `delta` comes, and `done` has neither input nor output.
    """
    caller = caller_of(request)
    no_query(request)
    task = await caller.parts.tasks.get(task_id_of(request), caller.tenant_id)
    return EventStream(lambda receive: _follow(caller, task.id, receive))


@router.get(
    "/api/v1/events",
    **operation(Tag.SYSTEM, "Follow all tasks", answers={200: "Server-sent events."}, media=_SSE),
)
async def all_events(request: Request) -> EventStream:
    """Status changes of every task, from now on.

    `status` `{id, model, status, attempt, at}` · `missed` `{count}`: events are lost, the reader was too slow or
    another process out of reach (then `count` is 0); read the list again.
    """
    caller = caller_of(request)
    no_query(request)
    return EventStream(lambda receive: _follow_all(caller, receive))


async def _follow(caller: Caller, task_id: TaskId, receive: Receive) -> AsyncGenerator[bytes, None]:
    sees = sees_payloads(caller)
    async with watching(caller, receive, task_id, with_text=sees) as watch:
        told, rereads = Told(), Rereads(caller.parts.feed, KEEP_ALIVE_S)
        is_stale = True
        while not watch.is_stopping:
            if is_stale:
                task = await caller.parts.store.task(task_id, caller.tenant_id)
                if task is None:
                    return
                for piece in _standing(caller, task, told):
                    yield piece
                if task.status in TERMINAL:
                    return
            news = await watch.next(rereads.next_s)
            rereads.heard(news)
            # Told is what the feed says; the record is asked at the end, after a gap, and when nothing comes.
            is_stale = news is None or isinstance(news, Missed) or is_end(news)
            is_for_them = sees or not isinstance(news, TaskDelta)
            if news is not None and is_for_them and told.takes(news):
                yield _piece(caller, news)
            elif rereads.silent_s >= KEEP_ALIVE_S:
                rereads.silent_s = 0.0
                yield KEEP_ALIVE


def _standing(caller: Caller, task: Task, told: Told) -> Iterator[bytes]:
    """What the record says and the reader does not know; with the end, if it is over."""
    is_over = task.status in TERMINAL
    rest = told.rest(task) if is_over and sees_payloads(caller) else ""
    if rest:
        yield _piece(caller, TaskDelta(task.id, task.tenant_id, task.attempt, rest))
    if not told.is_as(task):
        told.status(task.status, task.attempt)
        yield _status_of_task(caller, task)
    if is_over:
        yield event("done", shown_task(caller, task))


def _piece(caller: Caller, news: News) -> bytes:
    match news:
        case TaskDelta():
            return event("delta", {"attempt": news.attempt, "text": news.text})
        case TaskChanged():
            return _status(caller, news)
        case Missed():
            return event("missed", {"count": news.dropped})


async def _follow_all(caller: Caller, receive: Receive) -> AsyncGenerator[bytes, None]:
    async with watching(caller, receive) as watch:
        yield b": listening\n\n"
        while not watch.is_stopping:
            news = await watch.next(KEEP_ALIVE_S)
            if news is None:
                yield KEEP_ALIVE
            elif not isinstance(news, TaskChanged) or news.tenant_id == caller.tenant_id:
                yield _piece(caller, news)


def _status(caller: Caller, news: TaskChanged) -> bytes:
    return event(
        "status",
        {
            "id": news.task_id,
            "model": caller.parts.catalogue.name_of(news.model_id),
            "status": news.status,
            "attempt": news.attempt,
            "at": stamp(news.at),
        },
    )


def _status_of_task(caller: Caller, task: Task) -> bytes:
    news = TaskChanged(task.id, task.tenant_id, task.model_id, task.status, task.attempt, task.updated_at)
    return _status(caller, news)
