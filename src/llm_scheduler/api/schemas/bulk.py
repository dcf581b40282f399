"""Many tasks in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict

from llm_scheduler.api.answers import stamp
from llm_scheduler.api.fields import Body, Shown

if TYPE_CHECKING:
    from llm_scheduler.services.forecast import Forecast


class BulkQuery(Body):
    """Parameters of a bulk submit."""

    atomic: bool = False
    """Check every line first, then record all or nothing."""
    dry_run: bool = False
    """Record nothing; say what the tasks would cost and when they would be done."""


class RejectedShown(Shown):
    """A line that was not taken; lines count from 1."""

    line: int
    code: str
    detail: str


class CostShown(Shown):
    """Micro-USD: as expected, and at most."""

    expected: int
    most: int


class FinishShown(Shown):
    """A range: when all of them would be done, if they were submitted now."""

    earliest: str
    latest: str


class ShortBudgetShown(Shown):
    """A budget with less room than the tasks may cost: some would be held."""

    name: str
    room_microusd: int
    expected_microusd: int
    most_microusd: int


class ForecastShown(Shown):
    """What tasks would come to; nothing was recorded."""

    dry_run: bool
    tasks: int
    input_tokens: int
    output_tokens: int
    cost_microusd: CostShown
    unknown_prices: list[str]
    """Models whose price nobody knows: they are not in the cost."""
    budgets: list[ShortBudgetShown]
    """Those that would not cover it."""
    finish_at: FinishShown | None
    rejected: list[RejectedShown]
    rejected_total: int


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


def forecast_json(forecast: Forecast) -> dict[str, object]:
    """A forecast for an answer."""
    finish = forecast.finish_at
    return {
        "dry_run": True,
        "tasks": forecast.tasks,
        "input_tokens": forecast.input_tokens,
        "output_tokens": forecast.output_tokens,
        "cost_microusd": {"expected": forecast.expected_microusd, "most": forecast.most_microusd},
        "unknown_prices": forecast.unknown_prices,
        "budgets": [budget._asdict() for budget in forecast.short_budgets],
        "finish_at": None if finish is None else {"earliest": stamp(finish[0]), "latest": stamp(finish[1])},
        "rejected": [],
        "rejected_total": 0,
    }
