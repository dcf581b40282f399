"""Many tasks in one request."""

from __future__ import annotations

from pydantic import ConfigDict

from llm_scheduler.api.fields import Body, Shown


class BulkQuery(Body):
    """Parameters of a bulk submit."""

    atomic: bool = False
    """Check every line first, then record all or nothing."""


class RejectedShown(Shown):
    """A line that was not taken; lines count from 1."""

    line: int
    code: str
    detail: str


class BulkShown(Shown):
    """What became of a bulk submit."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accepted": 2,
                    "repeated": 0,
                    "rejected": [{"line": 3, "code": "model_not_found", "detail": "There is no model 'x'. …"}],
                    "rejected_total": 1,
                    "first_id": 4711,
                    "last_id": 4712,
                }
            ]
        }
    )

    accepted: int
    """Lines whose task is on disk."""
    repeated: int
    """Those among them that an earlier request with the same idempotency key had made."""
    rejected: list[RejectedShown]
    """At most the first 1 000."""
    rejected_total: int
    first_id: int | None
    last_id: int | None
