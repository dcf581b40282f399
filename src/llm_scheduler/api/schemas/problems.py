"""How an error looks."""

from __future__ import annotations

from pydantic import ConfigDict

from llm_scheduler.api.fields import Shown

_EXAMPLE = {
    "type": "/docs#invalid_request",
    "title": "Unprocessable Content",
    "status": 422,
    "detail": "priority: Use 'high', 'medium', 'low', or a whole number from 0 (first) to 9 (last).",
    "code": "invalid_request",
    "request_id": "b0c5d2f1a3e94c7d",
    "errors": [{"loc": ["body", "priority"], "msg": "Use 'high', 'medium', 'low', or a whole number …"}],
}


class PlaceShown(Shown):
    """One thing that is wrong."""

    loc: list[str | int]
    msg: str


class ProblemAnswer(Shown):
    """An error (RFC 9457). `code` is stable; `detail` says what to do."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_EXAMPLE]})

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[PlaceShown] | None = None
    """Where, for a bad body or query."""
