"""Many tasks in one request: a JSON array, or a stream of lines that is never held whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter
from starlette.requests import Request

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.errors import Problem, invalid, problem_of, too_large
from llm_scheduler.api.intake import BREATHE_EVERY, Intake
from llm_scheduler.api.lines import LineCutter, LineTooLongError
from llm_scheduler.api.operations import SCHEMAS, DirectRoute, Tag, operation
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.reading import idempotency_key, is_json, media_type, parsed, query_of, read_bytes
from llm_scheduler.api.schemas.bulk import BulkQuery, BulkShown, ForecastShown, forecast_json
from llm_scheduler.domain.errors import SchedulerError, StoreUnavailableError

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller, Parts

router: Final = APIRouter(route_class=DirectRoute)
NDJSON: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "text/jsonl"}
)
MOST_ATOMIC_BYTES: Final = 256 * 1024 * 1024
"""An atomic stream is one transaction, held in memory until it is recorded."""
_MOST_KEY_CHARS: Final = 240
_TASK: Final = {"$ref": SCHEMAS + "TaskBody"}
_CONTENT: Final[dict[str, Any]] = {
    "application/json": {"schema": {"type": "array", "items": _TASK, "minItems": 1}},
    "application/x-ndjson": {
        "schema": {"type": "string", "description": "A task on each line."},
        "example": '{"model": "gpt-4o-mini", "input": "One"}\n{"model": "gpt-4o-mini", "input": "Two"}\n',
    },
}


def _declared() -> dict[str, Any]:
    declared = operation(
        Tag.TASKS,
        "Submit many tasks",
        query=BulkQuery,
        answers={201: BulkShown, 200: BulkShown | ForecastShown},
        problems=(404, 409, 413, 415, 429, 503),
        headers=("Idempotency-Key",),
    )
    declared["openapi_extra"]["requestBody"] = {"required": True, "content": _CONTENT}
    return declared


@router.post("/api/v1/tasks/bulk", **_declared())
async def submit_bulk(request: Request) -> Answer:
    """Record up to 100 000 tasks: a JSON array, or NDJSON that is taken in as it arrives.

    Each line is a task as for `POST /api/v1/tasks`. Lines that cannot be taken are listed with their number; the
    others are recorded. 201 when a task is new, 200 when all of them were there already. With an Idempotency-Key
    the line number n gets the key `KEY:n`, so that a repeated request makes nothing twice. `atomic=true` checks
    every line first and records all or nothing. A problem carries the same members (`accepted`, `rejected`,
    `first_id`, `last_id`): what was accepted before it stays accepted. With `dry_run=true` nothing is recorded: the
    answer says what the tasks would cost and when they would be done.
    """
    caller = caller_of(request)
    asked = query_of(request, BulkQuery)
    is_atomic = asked.atomic
    key = idempotency_key(request)
    if key is not None and len(key) > _MOST_KEY_CHARS:
        raise invalid(f"For many tasks use at most {_MOST_KEY_CHARS} characters.", "header", "Idempotency-Key")
    kind = media_type(request)
    intake = Intake(caller, key, is_atomic=is_atomic, is_dry=asked.dry_run)
    try:
        if kind in NDJSON:
            await _take_stream(request, intake, caller.parts, is_atomic=is_atomic or asked.dry_run)
        elif is_json(kind):
            await _take_array(request, intake, caller.parts)
        else:
            raise Problem(
                415,
                "unsupported_media_type",
                "Send a JSON array as application/json, or a task on each line as application/x-ndjson.",
            )
        if asked.dry_run:
            return await _forecast(caller, intake)
        await intake.finish()
    except StoreUnavailableError as error:
        detail = f"{error} Send it again; {_kept(intake)}"
        raise intake.problem(503, error.code, detail, error.retry_after_s) from error
    except SchedulerError as error:
        found = problem_of(error)
        found.members.update(intake.summary())
        raise found from error
    finally:
        await intake.abandon()
    return _answer(intake, is_atomic=is_atomic)


async def _forecast(caller: Caller, intake: Intake) -> Answer:
    """What the lines would come to; bad ones are listed, as they would be."""
    tasks = intake.checked
    if not tasks and not intake.rejected_total:
        raise invalid("There is no task in the body; send at least one.", "body")
    found = forecast_json(await caller.parts.forecasts.forecast(tasks, caller.tenant_id))
    summary = intake.summary()
    return json_answer(found | {name: summary[name] for name in ("rejected", "rejected_total")})


async def _take_stream(request: Request, intake: Intake, parts: Parts, *, is_atomic: bool) -> None:
    cutter = LineCutter(parts.max_body_bytes)
    number = size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if is_atomic and size > MOST_ATOMIC_BYTES:
                raise too_large("The body", MOST_ATOMIC_BYTES, "send it without atomic=true, or in parts")
            number = await _take_lines(cutter.feed(piece), number, intake, parts.max_bulk_lines)
            cutter.check()
        await _take_lines(cutter.end(), number, intake, parts.max_bulk_lines)
    except LineTooLongError as error:
        await _settled(intake, is_atomic=is_atomic)
        raise intake.problem(
            413, "too_large", f"Line {error.number} is over the limit of {parts.max_body_bytes} bytes; {_kept(intake)}"
        ) from None
    except TooManyLinesError:
        await _settled(intake, is_atomic=is_atomic)
        raise intake.problem(
            413,
            "too_large",
            f"More than {parts.max_bulk_lines} lines; {_kept(intake)} Send the rest in another request.",
        ) from None


class TooManyLinesError(ValueError):
    """The stream goes on after the last line that is taken."""


async def _take_lines(lines: list[bytes], number: int, intake: Intake, most: int) -> int:
    for text in lines:
        number += 1
        if text and not text.isspace():
            if number > most:
                raise TooManyLinesError
            intake.add_text(number, text)
        if number % BREATHE_EVERY == 0:
            await intake.breathe()
    return number


async def _settled(intake: Intake, *, is_atomic: bool) -> None:
    if not is_atomic:
        await intake.finish()


def _kept(intake: Intake) -> str:
    return f"the {intake.accepted} tasks accepted before it stay accepted." if intake.accepted else "nothing was taken."


async def _take_array(request: Request, intake: Intake, parts: Parts) -> None:
    body = await read_bytes(request, parts.max_body_bytes, "send lines as application/x-ndjson instead")
    if body.lstrip()[:1] == b"{":
        raise invalid("Send an array: […]. For a task on each line use 'Content-Type: application/x-ndjson'.", "body")
    values = parsed(body)
    del body
    if not isinstance(values, list):
        raise invalid("Send an array of tasks: [{…}, {…}].", "body")
    if len(values) > parts.max_bulk_lines:
        raise Problem(
            413, "too_large", f"More than {parts.max_bulk_lines} tasks; nothing was taken. Send them in parts."
        )
    for number, value in enumerate(values, start=1):
        intake.add(number, value)
        if number % BREATHE_EVERY == 0:
            await intake.breathe()


def _answer(intake: Intake, *, is_atomic: bool) -> Answer:
    if intake.accepted:
        return json_answer(intake.summary(), 200 if intake.repeated == intake.accepted else 201)
    if not intake.rejected_total:
        raise invalid("There is no task in the body; send at least one.", "body")
    if intake.is_full:
        raise intake.problem(429, intake.full_code, "The queue is full; nothing was taken. Send it again later.")
    first = intake.rejected[0]
    hint = "atomic=true, so nothing was taken" if is_atomic else "nothing was taken"
    raise intake.problem(
        422,
        "invalid_request",
        f"{intake.rejected_total} lines are wrong; {hint}. Line {first['line']}: {first['detail']}",
    )
