"""The OpenAPI document: made from the routes, so that it cannot drift from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from llm_scheduler.api.errors import codes
from llm_scheduler.api.fields import Body
from llm_scheduler.api.operations import SCHEMAS, TAG_TEXTS, path_parameters
from llm_scheduler.api.schemas.openai import OpenAIErrorAnswer
from llm_scheduler.api.schemas.problems import ProblemAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaMode
    from starlette.routing import BaseRoute

TITLE: Final = "LLM Scheduler"
ABOUT: Final = """A durable scheduler for LLM work: queues, limits, retries and results that are never lost.

Every path but `/healthz`, `/readyz` and this document asks for a key: `Authorization: Bearer KEY` or `X-API-Key: KEY`.
Times are RFC 3339 in UTC, money is integer micro-USD, ids are integers. Errors are `application/problem+json`
(RFC 9457) with a stable `code`; 429 and 503 say in `Retry-After` when to try again. Lists give `next_cursor`, null on
the last page. Unknown fields and parameters are refused. Under `/v1` all this is as OpenAI's clients know it."""
_KEYS: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def document(routes: Sequence[BaseRoute], version: str) -> dict[str, Any]:
    """The whole document."""
    tags = [{"name": tag.value, "description": text} for tag, text in TAG_TEXTS.items()]
    found = get_openapi(title=TITLE, version=version, description=ABOUT, routes=routes, tags=tags)
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            operation["operationId"] = _operation_id(method, path)
            parameters = path_parameters(path) + operation.get("parameters", [])
            if parameters:
                operation["parameters"] = parameters
    components = found.setdefault("components", {})
    components["securitySchemes"] = _KEYS
    schemas = components.setdefault("schemas", {})
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (ProblemAnswer, "serialization"),
        (OpenAIErrorAnswer, "serialization"),
    ]
    for model in _bodies():
        models.append((model, "validation"))
    described = models_json_schema(models, ref_template=SCHEMAS + "{model}")[1]
    schemas.update(described["$defs"])
    _drop_titles(schemas)
    schemas["ProblemAnswer"]["properties"]["code"]["x-codes"] = codes()
    components["schemas"] = {name: schemas[name] for name in sorted(schemas) if name in _referenced(found)}
    return found


def _drop_titles(part: Any) -> None:
    """Titles repeat the names: without them the document is a quarter shorter."""
    if isinstance(part, dict):
        if isinstance(part.get("title"), str):
            del part["title"]
        for name, value in part.items():
            if name != "examples":
                _drop_titles(value)
    elif isinstance(part, list):
        for value in part:
            _drop_titles(value)


def _operation_id(method: str, path: str) -> str:
    words = path.removeprefix("/api/v1").replace("{", "").replace("}", "").replace(".", "/").replace("-", "_")
    return "_".join([method, *[word for word in words.split("/") if word]])


def _bodies() -> Iterator[type[BaseModel]]:
    pending = [Body]
    while pending:
        model = pending.pop()
        pending.extend(model.__subclasses__())
        if model is not Body and not model.__name__.startswith("_"):
            yield model


def _referenced(found: dict[str, Any]) -> set[str]:
    """Names of the schemas that paths use, and that those use."""
    schemas = found["components"]["schemas"]
    names: set[str] = set()
    pending: list[Any] = [found["paths"]]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            ref = part.get("$ref", "")
            name = ref.removeprefix(SCHEMAS) if isinstance(ref, str) else ""
            if name in schemas and name not in names:
                names.add(name)
                pending.append(schemas[name])
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
    return names
