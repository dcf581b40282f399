"""Every place of the API that takes a text, as the OpenAPI document names it."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[str | int, ...]
DOCUMENT: Final[dict[str, Any]] = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "openapi.json").read_bytes()
)
LOGIN: Final = "/api/v1/auth/login"
ENDLESS: Final = re.compile(r"/events$")
HEADERED: Final = frozenset(
    {"/api/v1/tasks", "/api/v1/models", "/api/v1/budgets", "/api/v1/audit", "/api/v1/users", LOGIN}
)
"""Where headers are tried, too: one layer reads them for every path."""
_ALSO: Final = {"/api/v1/users": {"is_external": True}}
"""What goes into a body beside its example: without a password to make, each is a matter of milliseconds."""
_SCHEMAS: Final = "#/components/schemas/"
_DEEPEST: Final = 5
GOOD: Final = {
    "name": "victim", "endpoint": "e", "budget": "b", "tenant": "victim", "username": "victim", "account": "victim",
}  # fmt: skip
"""Names that exist, or could; ids are 1 where nothing else is put here."""


@dataclass
class Shot:
    """One request with a payload in it."""

    method: str
    url: str
    where: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, what the document says), without the streams that never end."""
    return [
        (method.upper(), path, operation)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if not ENDLESS.search(path)
    ]


def shots(method: str, path: str, operation: dict[str, Any], payload: str) -> Iterator[Shot]:
    """A request for every place of the operation, each with the payload in that one."""
    parameters = operation.get("parameters", [])
    fields = [each["name"] for each in parameters if each["in"] == "path"]
    good = {name: GOOD.get(name, "1") for name in fields}
    body = body_of(operation)
    if isinstance(body, dict):
        body |= _ALSO.get(path, {})
    plain = path.format_map(good)
    for name in fields:
        url = path.format_map({**good, name: quote(payload, safe="")})
        yield Shot(method, url, f"path {name}", body)
    for each in parameters:
        if each["in"] == "query":
            name = each["name"].replace("KEY", "k")
            yield Shot(method, f"{plain}?{name}={quote(payload, safe='')}", f"query {name}", body)
    yield Shot(method, f"{plain}?{quote(payload, safe='')}=1", "query's name", body)
    for place in places(schema_of(operation)):
        yield Shot(method, plain, "body " + ".".join(map(str, place)), placed(body, place, payload))
    if path in HEADERED and payload.isascii() and payload.isprintable():
        for name in ("Idempotency-Key", "X-Request-ID", "X-Tenant", "X-Forwarded-For", "User-Agent"):
            yield Shot(method, plain, f"header {name}", body, {name: payload.strip()})


def schema_of(operation: dict[str, Any]) -> dict[str, Any]:
    """Of its JSON body."""
    content = operation.get("requestBody", {}).get("content", {})
    return resolved(content.get("application/json", {}).get("schema", {}))


def body_of(operation: dict[str, Any]) -> Any:
    """The example that the document has, with the victim's name where a model is meant."""
    schema = schema_of(operation)
    if schema.get("type") == "array":
        return [_example(resolved(schema["items"]))]
    return _example(schema) if schema else None


def _example(schema: dict[str, Any]) -> Any:
    if schema.get("examples"):
        found = copy.deepcopy(schema["examples"][0])
    else:
        found = {name: one["examples"][0] for name, one in schema.get("properties", {}).items() if one.get("examples")}
    if isinstance(found, dict) and "model" in found:
        found["model"] = GOOD["name"]
    return found


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to."""
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].removeprefix(_SCHEMAS)]
    return schema


def places(schema: dict[str, Any], depth: int = 0) -> Iterator[Place]:
    """Paths to everything in a body that may be a text."""
    schema = resolved(schema)
    arms = [resolved(arm) for arm in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))] or [schema]
    if depth > _DEEPEST:
        return
    seen: set[Place] = set()
    for arm in arms:
        for place in _of_arm(arm, depth):
            if place not in seen:
                seen.add(place)
                yield place


def _of_arm(schema: dict[str, Any], depth: int) -> Iterator[Place]:
    kind = schema.get("type")
    if kind == "string" or not kind:
        yield ()
    elif kind == "array":
        for place in places(schema.get("items", {}), depth + 1):
            yield (0, *place)
    elif kind == "object":
        for name, one in schema.get("properties", {}).items():
            for place in places(one, depth + 1):
                yield (name, *place)
        if schema.get("additionalProperties"):
            yield ("k",)


def placed(body: Any, place: Place, payload: str) -> Any:
    """A copy of the body with the payload there; what is on the way is made."""
    if not place:
        return payload
    head, rest = place[0], place[1:]
    if isinstance(head, int):
        first = body[0] if isinstance(body, list) and body else {}
        return [placed(first, rest, payload)]
    made = dict(body) if isinstance(body, dict) else {}
    made[head] = placed(made.get(head), rest, payload)
    return made
