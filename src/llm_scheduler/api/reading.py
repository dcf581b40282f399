"""Reading requests: bodies within their limit, JSON without surprises, queries without unknown names.

Bodies are checked from bytes, without the framework's tree of dependencies: a submit costs a tenth of it.
"""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from llm_scheduler.api.errors import FieldError, Problem, invalid, too_large
from llm_scheduler.api.parts import caller_of
from llm_scheduler.domain.ids import TaskId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails
    from starlette.requests import Request

LARGEST_ID: Final = 2**53 - 1
JSON_MEDIA: Final = "application/json"
_PLAIN_JSON: Final = JSON_MEDIA.encode()
MOST_NESTED: Final = 100
_LONGEST_SHOWN: Final = 60
_TOO_LARGE_ADVICE: Final = "send less, or many tasks to /api/v1/tasks/bulk"
_MOST_ERRORS: Final = 50
_MOST_KEY_CHARS: Final = 255
_METADATA: Final = "metadata."

M = TypeVar("M", bound=BaseModel)


class BadJsonError(ValueError):
    """Bytes that are not a JSON value we take; the message says why."""


def media_type(request: Request) -> str:
    """The content type without its parameters, in lower case; empty when there is none.

    Raises:
        Problem: 415, the body is compressed or not UTF-8.
    """
    kind = b""
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise Problem(
                415, "unsupported_media_type", "Send the body without Content-Encoding: compression is not taken."
            )
    if kind == _PLAIN_JSON:
        return JSON_MEDIA
    shown, _, parameters = kind.decode("latin-1").lower().partition(";")
    charset = parameters.partition("charset=")[2].split(";")[0].strip().strip('"')
    if charset not in ("", "utf-8", "utf8"):
        raise Problem(415, "unsupported_media_type", f"The charset {charset[:40]} is not taken; send UTF-8.")
    return shown.strip()


def is_json(kind: str) -> bool:
    """Whether a media type says JSON."""
    return kind == JSON_MEDIA or (kind.startswith("application/") and kind.endswith("+json"))


async def read_bytes(request: Request, limit: int, advice: str = _TOO_LARGE_ADVICE) -> bytes:
    """The whole body; `advice` says what to do when it is too large.

    Raises:
        Problem: 413 as soon as it is over `limit`.
        ClientDisconnect: it never came to an end.
    """
    pieces: list[bytes] = []
    size = 0
    is_open = True
    while is_open:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece = message.get("body", b"")
        is_open = message.get("more_body", False)
        size += len(piece)
        if size > limit:
            raise too_large("The body", limit, advice)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def read_json_bytes(request: Request) -> bytes:
    """The body of a request that must be JSON.

    Raises:
        Problem: 413, 415.
    """
    kind = media_type(request)
    if not is_json(kind):
        shown = f"not {kind[:_LONGEST_SHOWN]}" if kind else "which is missing"
        raise Problem(
            415, "unsupported_media_type", f"Send JSON with the header 'Content-Type: application/json', {shown}."
        )
    return await read_bytes(request, caller_of(request).parts.max_body_bytes)


async def read_body(request: Request, model: type[M]) -> M:
    """The body as a checked value.

    Raises:
        Problem: 413, 415, or 422 with every place that is wrong.
    """
    return checked(parsed(await read_json_bytes(request)), model, "body")


async def read_optional_body(request: Request, model: type[M]) -> M | None:
    """As `read_body`, but a request without a body gives None."""
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return None
    return await read_body(request, model)


def parsed(body: bytes) -> object:
    """The JSON value in these bytes.

    Raises:
        Problem: 422 `invalid_json`.
    """
    try:
        return loads(body)
    except BadJsonError as error:
        raise Problem(422, "invalid_json", str(error), errors=[{"loc": ["body"], "msg": str(error)}]) from None


def loads(text: bytes) -> object:
    """The JSON value in these bytes: UTF-8, no NaN, no lone surrogates, no NUL characters.

    Raises:
        BadJsonError: with the place and what to do.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if not text.strip():
            raise BadJsonError("The body is empty; send a JSON object.") from None
        where = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise BadJsonError(f"Not valid JSON at {where}: {error.msg}. Check quotes, commas and UTF-8.") from None
    # An escaped NUL is rare: only then is the value searched, since "\\u0000" may also be a harmless "\\\\u0000".
    if b"\\u0000" in text and has_nul(value):
        raise BadJsonError("The text holds a NUL character (\\u0000), which cannot be stored; remove it.")
    if text.count(b"[") + text.count(b"{") > MOST_NESTED and _depth(value) > MOST_NESTED:
        raise BadJsonError(f"Nested deeper than {MOST_NESTED} levels; flatten it.")
    return value


def _depth(value: object) -> int:
    deepest = 0
    pending: list[tuple[object, int]] = [(value, 1)]
    while pending:
        part, depth = pending.pop()
        if isinstance(part, dict | list):
            deepest = max(deepest, depth)
            inner = part.values() if isinstance(part, dict) else part
            pending.extend((each, depth + 1) for each in inner)
    return deepest


def has_nul(value: object) -> bool:
    """Whether any text in a JSON value holds a NUL."""
    pending: list[object] = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            if "\0" in part:
                return True
        elif isinstance(part, dict):
            pending.extend(part.keys())
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
    return False


def checked(value: object, model: type[M], *prefix: str | int) -> M:
    """The value as the model.

    Raises:
        Problem: 422 with every place that is wrong.
    """
    if not isinstance(value, dict):
        raise invalid("Send a JSON object: {…}.", *prefix)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise refused(error, model, *prefix) from None


def refused(error: ValidationError, model: type[BaseModel], *prefix: str | int) -> Problem:
    """422 with a line per place; the first makes the detail."""
    lines = field_errors(error, model, *prefix)
    first = lines[0]
    more = f" (and {len(lines) - 1} more, see errors)" if len(lines) > 1 else ""
    place = ".".join(str(part) for part in first["loc"][len(prefix) :])
    detail = f"{place}: {first['msg']}{more}" if place else first["msg"] + more
    return Problem(422, "invalid_request", detail, errors=lines)


def field_errors(error: ValidationError, model: type[BaseModel], *prefix: str | int) -> list[FieldError]:
    """Where and what, with the nearest known name for an unknown one."""
    found: list[FieldError] = []
    for item in error.errors(include_url=False, include_context=True, include_input=False)[:_MOST_ERRORS]:
        loc = [part if isinstance(part, int) else part[:_LONGEST_SHOWN] for part in item["loc"]]
        found.append({"loc": [*prefix, *loc], "msg": _message(item, model)})
    return found


def _message(item: ErrorDetails, model: type[BaseModel]) -> str:
    if item["type"] == "extra_forbidden":
        names = model.model_fields if len(item["loc"]) == 1 else all_names(model)
        return unknown_name(str(item["loc"][-1]), names)
    if item["type"] == "missing":
        return "This is needed; add it."
    return item["msg"].removeprefix("Value error, ")


def unknown_name(name: str, known: Iterable[str]) -> str:
    """A message for a name that means nothing here."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}."
    return f"'{name[:_LONGEST_SHOWN]}' is not known here; {hint}"


@lru_cache
def all_names(model: type[BaseModel]) -> tuple[str, ...]:
    """Every property name in the model and what it holds."""
    schema = model.model_json_schema()
    parts: list[dict[str, Any]] = [schema, *schema.get("$defs", {}).values()]
    return tuple({name for part in parts for name in part.get("properties", {})})


def query_of(request: Request, model: type[M]) -> M:
    """The query string as a checked value. A repeated name is a list; `metadata.KEY` a metadata pair.

    Raises:
        Problem: 422, also for a name that the model does not know.
    """
    return checked(_query_values(request), model, "query")


def no_query(request: Request) -> None:
    """Refuse a query string where none means anything.

    Raises:
        Problem: 422.
    """
    if request.scope["query_string"]:
        name = next(iter(request.query_params), "")
        raise invalid(
            f"'{name[:_LONGEST_SHOWN]}' is not known here; this path takes no parameters.", "query", name[:60]
        )


def _query_values(request: Request) -> dict[str, object]:
    values: dict[str, object] = {}
    metadata: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if "\0" in value or "\0" in name or "\ufffd" in value:
            raise invalid("The value holds NUL or is not UTF-8; send plain text.", "query", name[:_LONGEST_SHOWN])
        if name.startswith(_METADATA) and len(name) > len(_METADATA):
            metadata[name.removeprefix(_METADATA)] = value
        elif name in values:
            values[name] = f"{values[name]},{value}"
        else:
            values[name] = value
    return values | ({"metadata": metadata} if metadata else {})


def task_id_of(request: Request) -> TaskId:
    """The task id in the path.

    Raises:
        Problem: 422, it is not a number of ours.
    """
    return TaskId(path_id(request, "task_id"))


def path_id(request: Request, name: str) -> int:
    """The integer in the path.

    Raises:
        Problem: 422, it is not a number of ours.
    """
    text = request.path_params[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= LARGEST_ID):
        raise invalid(f"An id is a whole number up to {LARGEST_ID}.", "path", name)
    return int(text)


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key header.

    Raises:
        Problem: 422, it is too long or not printable ASCII.
    """
    raw = next((value for name, value in request.scope["headers"] if name == b"idempotency-key"), None)
    if raw is None:
        return None
    key = raw.decode("latin-1")
    if not (0 < len(key) <= _MOST_KEY_CHARS and key.isascii() and key.isprintable()):
        raise invalid("Use 1 to 255 printable ASCII characters.", "header", "Idempotency-Key")
    return key
