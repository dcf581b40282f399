"""How a route is declared: straight from request to answer, with everything the document needs beside it."""

from __future__ import annotations

import re
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.routing import APIRoute
from starlette.requests import Request

from llm_scheduler.api.audited import AUDITED, audited
from llm_scheduler.api.errors import TITLES
from llm_scheduler.api.parts import caller_in, check_model
from llm_scheduler.api.permissions import NEEDS, check
from llm_scheduler.api.protection import ADMINISTRATION
from llm_scheduler.api.reading import JSON_MEDIA

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence
    from types import UnionType

    from pydantic import BaseModel
    from starlette.types import Receive, Scope, Send

SCHEMAS: Final = "#/components/schemas/"
MODEL_PATH: Final = "/api/v1/models/{name:path}"
OPENAI_MODEL_PATH: Final = "/v1/models/{name:path}"
"""Routes that begin so are about the model of that name."""
_ALWAYS: Final = (401, 403, 422, 429, 500)
_ALWAYS_OPEN: Final = (429, 500)
_PATH_FIELD: Final = re.compile(r"{(\w+)}")
_ID: Final[Mapping[str, object]] = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
_PATH_SCHEMAS: Final[Mapping[str, Mapping[str, object]]] = {
    "task_id": _ID | {"description": "Id of the task."},
    "action_id": _ID | {"description": "Id that the bulk action was answered with."},
    "key_id": _ID | {"description": "Id of the API key."},
    "login_id": _ID | {"description": "Id of the sign-in."},
    "price_id": _ID | {"description": "Id of the override."},
    "name": {"type": "string", "minLength": 1, "maxLength": 128, "description": "Name of the model."},
    "endpoint": {"type": "string", "minLength": 1, "maxLength": 64, "description": "Name of the endpoint."},
    "tenant": {"type": "string", "minLength": 1, "maxLength": 100, "description": "Name of the tenant."},
    "username": {"type": "string", "minLength": 1, "maxLength": 100, "description": "Name of the user."},
    "account": {"type": "string", "minLength": 1, "maxLength": 100, "description": "Name of the service account."},
    "budget": {"type": "string", "minLength": 1, "maxLength": 100, "description": "Name of the budget."},
}
_LIMIT_HEADERS: Final = {
    f"X-RateLimit-{name}": {"description": meaning, "schema": {"type": "integer", "minimum": 0}}
    for name, meaning in (
        ("Limit", "Requests a minute, if a rate limit was it."),
        ("Remaining", "How many may go at once now."),
        ("Reset", "Seconds until as many as ever may."),
    )
}
_HEADERS: Final[Mapping[str, Mapping[str, object]]] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Repeat a request safely: the same key gives the same answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    },
    "X-LLMS-Priority": {
        "name": "X-LLMS-Priority",
        "in": "header",
        "required": False,
        "description": "`high`, `medium`, `low`, or 0 (first) to 9 (last); the body's `priority` goes before it.",
        "schema": {"type": "string", "pattern": "^(high|medium|low|[0-9])$"},
    },
    "X-LLMS-Max-Wait": {
        "name": "X-LLMS-Max-Wait",
        "in": "header",
        "required": False,
        "description": "As `max_wait_s` in the body.",
        "schema": {"type": "number", "minimum": 0.1, "maximum": 3600},
    },
    "X-LLMS-On-Disconnect": {
        "name": "X-LLMS-On-Disconnect",
        "in": "header",
        "required": False,
        "description": "What becomes of the task when its caller hangs up; by default `keep` with an Idempotency-Key.",
        "schema": {"type": "string", "enum": ["cancel", "keep"]},
    },
}


class Tag(StrEnum):
    """Chapters of the reference."""

    TASKS = "Tasks"
    DEAD_LETTERS = "Dead letters"
    MODELS = "Models"
    MONEY = "Money"
    ACCESS = "Access"
    STATS = "Statistics"
    SIGN_IN = "Signing in"
    ME = "Own account"
    AUDIT = "Audit log"
    SYSTEM = "System"
    OPENAI = "OpenAI"


TAG_TEXTS: Final[Mapping[Tag, str]] = {
    Tag.TASKS: "One task is one call to a model: submit it, watch it, cancel it, run it again.",
    Tag.DEAD_LETTERS: "Failed tasks that nobody will try again by itself: requeue or discard them.",
    Tag.MODELS: "Where calls go, and the limits they go within.",
    Tag.MONEY: "What calls cost, and how much may be spent.",
    Tag.ACCESS: "Tenants, users, and who may do what.",
    Tag.STATS: "Figures for people and dashboards.",
    Tag.SIGN_IN: "By password, by a provider, with a second factor; staying signed in, signing out.",
    Tag.ME: "What people see and change of their own account.",
    Tag.AUDIT: "Who did what to what, from where, and what changed; append-only, each row sealed by the next.",
    Tag.SYSTEM: "Health, metrics and live news.",
    Tag.OPENAI: "What OpenAI's SDKs call, with this server's `/v1` as their `base_url`; errors are in OpenAI's words.",
}


class DirectRoute(APIRoute):
    """A route whose endpoint is `async (Request) -> ASGI answer`, called without a tree of dependencies.

    It is called only for callers who may, by the table in `permissions`; if it is in the table in `audited`, it leaves
    its trace.

    What goes in and out is declared by `operation`, so that the document stays complete.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        endpoint = self.endpoint
        # One need for a path's methods: each route of ours has one method.
        name = (next(iter(self.methods or ())), self.path)
        need = NEEDS.get(name)
        names_model = self.path.startswith((MODEL_PATH, OPENAI_MODEL_PATH))
        is_administration = need in ADMINISTRATION

        def let_pass(scope: MutableMapping[str, Any]) -> None:
            caller = caller_in(scope)
            check(caller.principal, need)
            if names_model:
                check_model(scope)
            if is_administration:
                caller.parts.access.protection.check_administration(caller.address)

        async def direct(scope: Scope, receive: Receive, send: Send) -> None:
            let_pass(scope)
            answer = await endpoint(Request(scope, receive, send))
            await answer(scope, receive, send)

        spec = AUDITED.get(name)
        self.app = direct if spec is None else audited(let_pass, spec, endpoint)


def operation(  # noqa: PLR0913 - one place for all that the document says about a route
    tag: Tag,
    summary: str,
    *,
    answers: Mapping[int, type[BaseModel] | UnionType | str],
    problems: Sequence[int] = (),
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    headers: Sequence[str] = (),
    media: str | tuple[str, ...] = (),
    needs_body: bool = True,
    is_open: bool = False,
) -> dict[str, Any]:
    """Keyword arguments for a router's decorator.

    Args:
        tag: chapter.
        summary: one line; the docstring becomes the description.
        answers: by status: the body's class, or words for an answer that is not JSON.
        problems: statuses beyond 401, 403, 422, 429 and 500.
        body: what is taken.
        query: parameters that are taken.
        headers: names among those known here.
        media: of the first answer, when it is not JSON; one or several.
        needs_body: whether a request without a body is refused.
        is_open: no key is asked for.
    """
    extra: dict[str, Any] = {"security": [] if is_open else [{"bearer": []}, {"apiKey": []}]}
    parameters = (_query_parameters(query) if query else []) + [dict(_HEADERS[name]) for name in headers]
    if parameters:
        extra["parameters"] = parameters
    if body is not None:
        schema = {"$ref": SCHEMAS + body.__name__}
        extra["requestBody"] = {"required": needs_body, "content": {"application/json": {"schema": schema}}}
    always = _ALWAYS_OPEN if is_open else _ALWAYS
    responses: dict[int | str, dict[str, Any]] = {}
    for status, answer in answers.items():
        responses[status] = _described(status, answer, media)
    for status in sorted({*always, *problems}):
        responses.setdefault(status, _problem(status))
    return {
        "tags": [tag],
        "summary": summary,
        "status_code": next(iter(answers)),
        "response_model": None,
        "responses": responses,
        "openapi_extra": extra,
    }


def openai_operation(
    summary: str,
    *,
    answers: Mapping[int, type[BaseModel]],
    problems: Sequence[int] = (),
    body: type[BaseModel] | None = None,
    headers: Sequence[str] = (),
    is_streamed: bool = False,
) -> dict[str, Any]:
    """As `operation`, for a route under `/v1`: its errors are in OpenAI's words, and what is wrong is 400.

    Args:
        summary: one line.
        answers: by status.
        problems: statuses beyond 400, 401, 403, 429 and 500.
        body: what is taken.
        headers: names among those known here.
        is_streamed: the answer may be a stream of events.
    """
    made = operation(Tag.OPENAI, summary, answers=answers, problems=(400, *problems), body=body, headers=headers)
    responses = made["responses"]
    del responses[422]
    for status, described in responses.items():
        if status >= HTTPStatus.BAD_REQUEST:
            described["content"] = {JSON_MEDIA: {"schema": {"$ref": SCHEMAS + "OpenAIErrorAnswer"}}}
    if is_streamed:
        responses[next(iter(answers))]["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    return made


def path_parameters(path: str) -> list[dict[str, Any]]:
    """Declarations of the fields in a path template."""
    return [
        {"name": name, "in": "path", "required": True, "schema": dict(_PATH_SCHEMAS[name])}
        for name in _PATH_FIELD.findall(path)
    ]


def _described(status: int, answer: type[BaseModel] | UnionType | str, media: str | tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(answer, str):
        return {"description": TITLES[status], "model": answer}
    content: dict[str, Any] = {
        one: {"schema": {"type": "object" if one.endswith("json") else "string"}}
        for one in ((media,) if isinstance(media, str) else media)
    }
    return {"description": answer} | ({"content": content} if content else {})


def _problem(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": TITLES[status],
        "content": {"application/problem+json": {"schema": {"$ref": SCHEMAS + "ProblemAnswer"}}},
    }
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        retry = {"type": "integer", "minimum": 1, "maximum": 300}
        described["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": retry}}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        described["headers"] |= _LIMIT_HEADERS
    return described


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter that is there: absence needs no null in a query."""
    kinds = [kind for kind in field.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return field
    return {key: value for key, value in field.items() if key not in ("anyOf", "default")} | kinds[0]


def _query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema()
    needed = schema.get("required", [])
    found: list[dict[str, Any]] = []
    for name, given in schema["properties"].items():
        field = _without_null(given)
        parameter: dict[str, Any] = {"name": name, "in": "query", "required": name in needed, "schema": field}
        if name == "metadata":
            parameter = {"name": "metadata.KEY", "in": "query", "required": False, "schema": {"type": "string"}}
            parameter["description"] = "Tasks whose metadata has this value under KEY; may be given for several keys."
        elif "description" in field:
            parameter["description"] = field["description"]
        found.append(parameter)
    return found
