"""Tasks, attempts and log lines as answers show them, and whether the caller may see what was asked and answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from llm_scheduler.api.answers import maybe_stamp, stamp
from llm_scheduler.api.filters import task_filter
from llm_scheduler.api.permissions import forbidden
from llm_scheduler.domain.access import Permission
from llm_scheduler.domain.ids import TaskId

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.api.filters import FilterBody
    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.domain.task import Attempt, CacheUse, Task, TaskError, TaskLog, TaskOptions, Usage
    from llm_scheduler.ports.store import TaskFilter

HIDDEN_WORDS: Final = "Its words may quote the payload: they take 'payloads:read'."


def sees_payloads(caller: Caller) -> bool:
    """Whether inputs, outputs, words of errors, log lines and text as it comes are for this caller's eyes.

    The one place that decides. Whatever shows some of it asks here.
    """
    return caller.principal.may(Permission.PAYLOADS_READ)


def shown_task(caller: Caller, task: Task, position: int | None = None, *, is_brief: bool = False) -> dict[str, object]:
    """A task as this caller may see it. Brief: without input and output."""
    shown = task_json(task, caller.parts.catalogue.name_of, position, is_hidden=not sees_payloads(caller))
    return shown | {"input": None, "output": None} if is_brief else shown


def shown_attempt(caller: Caller, attempt: Attempt) -> dict[str, object]:
    """An attempt as this caller may see it."""
    return attempt_json(attempt, is_hidden=not sees_payloads(caller))


def asked_filter(caller: Caller, body: FilterBody) -> TaskFilter:
    """What the caller asks the record for.

    Raises:
        ModelNotFoundError: the model is not known.
        Problem: 403, it searches in payloads that the caller may not see.
    """
    if body.q is not None and not sees_payloads(caller):
        # How many tasks match tells what is in them.
        if not (body.q.isascii() and body.q.isdigit()):
            raise forbidden(caller.principal, Permission.PAYLOADS_READ)
        body = body.model_copy(update={"q": None, "ids": _both(body.ids, TaskId(int(body.q)))})
    return task_filter(body, caller.parts.catalogue, caller.tenant_id)


def _both(ids: list[int] | None, wanted: TaskId) -> list[int]:
    """Both conditions as one: an id that no task has where they exclude each other."""
    return [wanted if ids is None or wanted in ids else 0]


def usage_json(usage: Usage) -> dict[str, int]:
    """Tokens for an answer."""
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def error_json(error: TaskError | None, *, is_hidden: bool = False) -> dict[str, object] | None:
    """An error for an answer."""
    if error is None:
        return None
    return {
        "code": error.code,
        "message": HIDDEN_WORDS if is_hidden else error.message,
        "retryable": error.is_retryable,
        "http_status": error.http_status,
    }


def cache_json(use: CacheUse | None) -> dict[str, object] | None:
    """The use of the cache for an answer."""
    if use is None:
        return None
    return {"ttl_s": use.ttl_s, "hit": use.source_id is not None, "task_id": use.source_id or use.leader_id}


def fallback_json(options: TaskOptions) -> dict[str, object] | None:
    """Where a task came from, for an answer."""
    return None if options.first_model is None else {"from": options.first_model, "reason": options.moved_for}


def task_json(
    task: Task, name_of: Callable[[ModelId], str], position: int | None = None, *, is_hidden: bool = False
) -> dict[str, object]:
    """A task for an answer; its input and raw answer go in as the JSON text they are."""
    output: dict[str, object] | None = None
    if not is_hidden and (task.output is not None or task.raw is not None):
        output = {"text": task.output, "raw": None if task.raw is None else orjson.Fragment(task.raw)}
    return {
        "id": task.id,
        "model": name_of(task.model_id),
        "type": task.type,
        "status": task.status,
        "priority": task.priority,
        "input": None if is_hidden or not task.input else orjson.Fragment(task.input),
        "output": output,
        "payload_hidden": is_hidden,
        "payload_gone": not task.input,
        "error": error_json(task.error, is_hidden=is_hidden),
        "dead_reason": task.dead_reason,
        "attempt": task.attempt,
        "failures": task.failures,
        "max_retries": task.max_retries,
        "usage": usage_json(task.usage),
        "cost_microusd": task.cost_microusd,
        "cache": cache_json(task.cache),
        "template": task.options.template,
        "fallback": fallback_json(task.options),
        "queue_position": position,
        "metadata": task.metadata,
        "timeout_s": task.timeout_s,
        "run_at": maybe_stamp(task.run_at),
        "deadline_at": maybe_stamp(task.deadline_at),
        "created_at": stamp(task.created_at),
        "queued_at": maybe_stamp(task.queued_at),
        "started_at": maybe_stamp(task.started_at),
        "completed_at": maybe_stamp(task.completed_at),
        "updated_at": stamp(task.updated_at),
    }


def attempt_json(attempt: Attempt, *, is_hidden: bool = False) -> dict[str, object]:
    """An attempt for an answer."""
    return {
        "attempt": attempt.attempt,
        "session_id": attempt.session_id,
        "outcome": attempt.outcome,
        "error": error_json(attempt.error, is_hidden=is_hidden),
        "endpoint": attempt.endpoint,
        "usage": usage_json(attempt.usage),
        "cost_microusd": attempt.cost_microusd,
        "ttft_ms": attempt.ttft_ms,
        "started_at": stamp(attempt.started_at),
        "ended_at": maybe_stamp(attempt.ended_at),
    }


def log_json(line: TaskLog) -> dict[str, object]:
    """A log line for an answer."""
    return {
        "level": line.level,
        "message": line.message,
        "data": dict(line.data) if line.data is not None else None,
        "created_at": stamp(line.created_at),
    }
