"""Reading a chat completion: what of it is the task, what its provider gets, and how its caller waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from llm_scheduler.api.errors import invalid
from llm_scheduler.api.fields import AnyPriority
from llm_scheduler.api.openai_errors import FinalProblem
from llm_scheduler.api.parts import caller_of
from llm_scheduler.api.permissions import forbidden
from llm_scheduler.api.reading import checked, idempotency_key, parsed, read_json_bytes
from llm_scheduler.api.schemas.openai import LONGEST_WAIT_S, OURS, ChatBody
from llm_scheduler.api.schemas.tasks import TaskBody
from llm_scheduler.api.showing import sees_payloads
from llm_scheduler.domain.access import Permission
from llm_scheduler.ports.provider import SelectiveKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from llm_scheduler.api.parts import Caller

HOLD_S: Final = 540.0
"""How long a call waits for its turn when it says nothing: less than the 600 s after which SDKs give up."""
PRIORITY_HEADER: Final = "X-LLMS-Priority"
WAIT_HEADER: Final = "X-LLMS-Max-Wait"
LEAVING_HEADER: Final = "X-LLMS-On-Disconnect"
_LEAVINGS: Final[Mapping[str, bool]] = {"cancel": False, "keep": True}
_PRIORITY: Final = TypeAdapter[int](AnyPriority)


class Terms(NamedTuple):
    """How the caller waits.

    `max_wait_s` until its turn comes. `is_patient`: the caller said so, and takes the answer in a body that is kept
    alive. `keeps`: the task goes on although nobody waits any more.
    """

    is_stream: bool
    wants_usage: bool
    max_wait_s: float
    is_patient: bool
    keeps: bool


class Asked(NamedTuple):
    """A chat completion, read and checked as far as it can be without the model."""

    draft: TaskBody
    terms: Terms


async def read_chat(request: Request) -> Asked:
    """The request of a chat completion.

    Raises:
        Problem: 403, the caller may not see answers; 413, 415, or 422 with the first place that is wrong.
    """
    caller = caller_of(request)
    if not sees_payloads(caller):
        # It would be paid for, and the answer kept from who asked.
        raise forbidden(caller.principal, Permission.PAYLOADS_READ)
    value = parsed(await read_json_bytes(request))
    body = checked(value, ChatBody, "body")
    given: dict[str, Any] = value  # type: ignore[assignment] - an object, or it was refused
    key = idempotency_key(request)
    draft = TaskBody.model_validate(
        {
            "model": body.model,
            "input": _for_provider(given),
            "priority": _priority(request, body),
            # As it was sent: instants are read from text.
            "deadline_at": given.get("deadline"),
            "metadata": body.metadata,
            "idempotency_key": key,
        }
    )
    return Asked(draft, _terms(request, body, has_key=key is not None))


def check_provider(caller: Caller, draft: TaskBody) -> None:
    """Let pass what the model's provider can do; an unknown model is for the submit to refuse.

    Raises:
        Problem: 400, with the field that it cannot.
    """
    name, principal = draft.model, caller.principal
    if principal.allowed_models is not None and name not in principal.allowed_models:
        return
    catalogue = caller.parts.catalogue
    kind = catalogue.kinds.get(catalogue.named(name, caller.tenant_id).type)
    if isinstance(kind, SelectiveKind) and isinstance(draft.input, dict):
        refusal = kind.cannot(draft.input)
        if refusal is not None:
            detail = f"Model '{name}' ({kind.name}) {refusal.why}"
            raise FinalProblem(400, "unsupported_parameter", detail, param=refusal.field)


def _for_provider(given: Mapping[str, Any]) -> dict[str, object]:
    """Everything but what is ours."""
    kept = {name: value for name, value in given.items() if name not in OURS}
    if not kept.get("store"):
        # OpenAI takes metadata only for answers that it stores.
        kept.pop("metadata", None)
    return kept


def _priority(request: Request, body: ChatBody) -> int | None:
    said = request.headers.get(PRIORITY_HEADER)
    if body.priority is not None or said is None:
        return body.priority
    try:
        return _PRIORITY.validate_python(said.strip().lower())
    except ValidationError:
        raise invalid(
            "Use 'high', 'medium', 'low', or a whole number from 0 (first) to 9 (last).", PRIORITY_HEADER
        ) from None


def _terms(request: Request, body: ChatBody, *, has_key: bool) -> Terms:
    wait_s = body.max_wait_s or _seconds(request)
    options = body.stream_options
    return Terms(
        is_stream=bool(body.stream),
        wants_usage=options is not None and bool(options.include_usage),
        max_wait_s=HOLD_S if wait_s is None else wait_s,
        is_patient=wait_s is not None,
        keeps=_keeps(request, has_key=has_key),
    )


def _seconds(request: Request) -> float | None:
    said = request.headers.get(WAIT_HEADER)
    if said is None:
        return None
    try:
        wait_s = float(said)
    except ValueError:
        wait_s = 0.0
    if not 0 < wait_s <= LONGEST_WAIT_S:
        raise invalid(f"Use seconds, more than 0 and at most {LONGEST_WAIT_S:g}.", WAIT_HEADER)
    return wait_s


def _keeps(request: Request, *, has_key: bool) -> bool:
    """With an idempotency key the caller can come back for the answer, so the task stays."""
    said = request.headers.get(LEAVING_HEADER)
    if said is None:
        return has_key
    if said.strip().lower() not in _LEAVINGS:
        raise invalid("Use 'cancel' or 'keep'.", LEAVING_HEADER)
    return _LEAVINGS[said.strip().lower()]
