"""Errors in OpenAI's words, for everything under `/v1`: the one table from our codes to their types."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from llm_scheduler.api.errors import Problem, redacted
from llm_scheduler.domain.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_scheduler.domain.task import Task, TaskError

PREFIX: Final = "/v1/"
INVALID: Final = "invalid_request_error"
_SERVER: Final = "server_error"
_REQUESTS: Final = "requests"
"""OpenAI's type of a 429 that counts requests."""
NO_RETRY: Final[Mapping[str, str]] = {"X-Should-Retry": "false"}
"""SDKs send nothing again by themselves: it would not help, or the task was taken and tried again here."""


class Words(NamedTuple):
    """How OpenAI would say it."""

    kind: str
    code: str | None


WORDS: Final[Mapping[str, Words]] = {
    "unauthorized": Words(INVALID, "invalid_api_key"),
    "forbidden": Words("permission_error", "forbidden"),
    "not_found": Words(INVALID, "unknown_url"),
    "rate_limited": Words(_REQUESTS, "rate_limit_exceeded"),
    "too_many_attempts": Words(_REQUESTS, "too_many_attempts"),
    "queue_full": Words(_REQUESTS, "queue_full"),
    "tenant_queue_full": Words(_REQUESTS, "tenant_queue_full"),
    "wait_too_long": Words(_REQUESTS, "wait_too_long"),
    "insufficient_quota": Words("insufficient_quota", "insufficient_quota"),
    "content_filtered": Words(INVALID, "content_filter"),
}
"""Where they differ from what the status alone says: `invalid_request_error` or `server_error`, and our own code."""

UPSTREAM_STATUS: Final[Mapping[str, int]] = {
    "invalid_request": 400,
    "context_length_exceeded": 400,
    "content_filtered": 400,
    "too_large": 413,
    "not_found": 404,
    "rate_limited": 429,
    "insufficient_quota": 429,
    "timeout": 504,
    "connection_failed": 502,
    "stream_cut": 502,
    "bad_response": 502,
    "server_error": 500,
    "overloaded": 503,
    "authentication_failed": 502,
    "permission_denied": 502,
}
"""Of a task that failed without an HTTP answer of its provider."""
_OPERATORS: Final = frozenset({"authentication_failed", "permission_denied"})
"""The operator's key was refused, not the caller's: 401 or 403 would blame the wrong one."""
_LOWEST: Final = 400


class FinalProblem(Problem):
    """A problem that another try of the same request does not help: clients are told not to."""

    def __init__(self, status: int, code: str, detail: str, *, param: str | None = None) -> None:
        super().__init__(status, code, detail, errors=[{"loc": [param], "msg": detail}] if param else ())
        self.headers.pop("Retry-After", None)
        self.headers.update(NO_RETRY)


def is_openai(path: str) -> bool:
    """Whether callers of this path speak OpenAI's words."""
    return path.startswith(PREFIX)


def spoken(problem: Problem) -> Problem:
    """The same with the status that OpenAI would give, and a word to SDKs that would try in vain."""
    if problem.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        problem.status = HTTPStatus.BAD_REQUEST
    if problem.status == HTTPStatus.CONFLICT:
        problem.headers.update(NO_RETRY)
    return problem


def error_json(problem: Problem, redact: Callable[[str], str]) -> dict[str, object]:
    """OpenAI's object, with no secret in it."""
    usual = _SERVER if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else INVALID
    words = WORDS.get(problem.code, Words(usual, problem.code))
    param = "model" if problem.code == "model_not_found" else None
    if problem.errors:
        param = _param(problem.errors[0]["loc"])
    said = {"message": problem.detail, "type": words.kind, "param": param, "code": words.code}
    return {"error": redacted(said, redact)}


def error_body(problem: Problem, redact: Callable[[str], str]) -> bytes:
    """The body of an answer."""
    return orjson.dumps(error_json(problem, redact))


def raw_headers(problem: Problem, length: int) -> list[tuple[bytes, bytes]]:
    """Headers of the answer, ready for ASGI."""
    given = problem.raw_headers(length)
    return [(name, b"application/json" if name == b"content-type" else value) for name, value in given]


def _param(loc: Sequence[str | int]) -> str | None:
    """`messages[0].role` of ["body", "input", "messages", 0, "role"]."""
    parts = [*loc]
    for outer in ("body", "input"):
        if len(parts) > 1 and parts[0] == outer:
            parts.pop(0)
    said = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return said.lstrip(".") or None


def problem_of_end(task: Task) -> Problem:
    """What a task says that is over without an answer. It was taken, and tried as often as it may: no retry."""
    if task.status is Status.CANCELLED:
        return FinalProblem(409, "cancelled", f"Task {task.id} was cancelled.")
    if task.status is Status.EXPIRED:
        return FinalProblem(504, "deadline_exceeded", f"Task {task.id} did not end before its deadline.")
    error = task.error
    if error is None:
        return FinalProblem(500, task.dead_reason or "server_error", f"Task {task.id} failed; its log tells more.")
    return FinalProblem(_status_of(error), error.code, f"{error.message} (task {task.id})")


def _status_of(error: TaskError) -> int:
    """The provider's own, if it gave one."""
    usual = UPSTREAM_STATUS.get(error.code, 500)
    if error.code in _OPERATORS or error.http_status is None or error.http_status < _LOWEST:
        return usual
    return error.http_status
