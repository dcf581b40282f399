"""Why a task waits, as an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_scheduler.api.answers import stamp
from llm_scheduler.api.fields import Shown
from llm_scheduler.domain.waiting import WaitReason

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import Millis
    from llm_scheduler.services.explain import Explanation


class ReasonShown(Shown):
    """One thing that a task waits for."""

    code: WaitReason
    detail: str
    facts: dict[str, str | int | bool]
    """What `detail` names, to be worded in another language: counts, limits, names; which ones depends on `code`."""
    until: str | None
    """When it ends by itself; null: only an event ends it."""
    endpoint: str | None


class StartShown(Shown):
    """When it will start, as far as is known now."""

    earliest_at: str
    likely_at: str
    latest_at: str


class ExplanationShown(Shown):
    """What a task waits for, the weightiest first."""

    task_id: int
    status: str
    model: str
    strategy: str
    ahead: int | None
    """Tasks of its class that come before it; null: it does not wait, or there are more than 1 000."""
    ahead_in_earlier_classes: int | None
    reasons: list[ReasonShown]
    expected_start: StartShown | None
    """Null: it runs or is over, or nobody can say."""


def explanation_json(found: Explanation, model: str) -> dict[str, object]:
    """For an answer."""
    return {
        "task_id": found.task.id,
        "status": found.task.status,
        "model": model,
        "strategy": found.strategy,
        "ahead": found.ahead,
        "ahead_in_earlier_classes": found.ahead_in_earlier_bands,
        "reasons": [
            {
                "code": one.code,
                "detail": one.detail,
                "facts": dict(one.facts),
                "until": _stamp(one.until),
                "endpoint": one.endpoint,
            }
            for one in found.reasons
        ],
        "expected_start": None
        if found.earliest_at is None
        else {
            "earliest_at": _stamp(found.earliest_at),
            "likely_at": _stamp(found.likely_at),
            "latest_at": _stamp(found.latest_at),
        },
    }


def _stamp(at: Millis | None) -> str | None:
    return None if at is None else stamp(at)
