"""Budgets and prices: what is configured, and how it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from llm_scheduler.api.answers import maybe_stamp, stamp
from llm_scheduler.api.fields import Body, Instant, Shown, millis
from llm_scheduler.api.schemas.models import Word
from llm_scheduler.domain.budget import Budget, Period, PriceRow, period_end, period_start
from llm_scheduler.domain.ids import EPOCH
from llm_scheduler.domain.money import DEFAULT_TIER, MOST_RATE_NANOUSD, Rates

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.domain.ids import Millis, ModelId, TenantId
    from llm_scheduler.domain.money import Price

MOST_LIMIT_MICROUSD: Final = 10**15
BudgetName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$")]
Amount = Annotated[int, Field(strict=True, ge=0, le=MOST_LIMIT_MICROUSD)]
Rate = Annotated[int, Field(strict=True, ge=0, le=MOST_RATE_NANOUSD)]
PeriodName = Literal["day", "month", "total"]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
_BUDGET = {"name": "team", "limit_microusd": 5_000_000, "period": "month", "model": None, "key_id": None}


class BudgetBody(Body):
    """A budget to add."""

    model_config = ConfigDict(json_schema_extra={"examples": [_BUDGET]})

    name: BudgetName
    """Letters, digits and `._:@-`, beginning with a letter or digit."""
    limit_microusd: Amount
    """So much may be spent in each period: 1 000 000 is a dollar."""
    period: PeriodName = "month"
    """`day` and `month` begin at midnight UTC; a `total` lasts until it is topped up."""
    model: ModelName | None = None
    """Only calls of this model count; null means every model."""
    key_id: Annotated[int, Field(strict=True, ge=0, le=2**53 - 1)] | None = None
    """Only tasks that came with this API key count; null means every key."""


class BudgetPatch(Body):
    """Changes of a budget: only what is given."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"limit_microusd": 10_000_000}]})

    name: BudgetName | None = None
    limit_microusd: Amount | None = None
    period: PeriodName | None = None
    """Another period begins anew, with nothing spent."""
    model: ModelName | None = None
    key_id: Annotated[int, Field(strict=True, ge=0, le=2**53 - 1)] | None = None

    @model_validator(mode="after")
    def _nulls_mean_something(self) -> BudgetPatch:
        for name in ("name", "limit_microusd", "period"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null; leave it out to keep it as it is.")
        return self


class TopUpBody(Body):
    """More money."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"microusd": 1_000_000}]})

    microusd: Annotated[int, Field(strict=True, ge=1, le=MOST_LIMIT_MICROUSD)]


class BudgetShown(Shown):
    """A budget. `room_microusd` is what may still be reserved."""

    id: int
    name: str
    period: PeriodName
    model: str | None
    key_id: int | None
    limit_microusd: int
    spent_microusd: int
    reserved_microusd: int
    """Put aside for calls that run now: the most that each may cost."""
    room_microusd: int
    told_percent: Literal[0, 80, 100]
    """What was told of in this period. 100 also when a task is held for want of room."""
    period_start: str
    period_end: str | None
    imposed: bool
    """An administrator set it: nobody else changes it."""
    created_at: str
    updated_at: str


class BudgetList(Shown):
    """Every budget, by name."""

    items: list[BudgetShown]
    next_cursor: str | None


class PriceBody(Body):
    """An override. Thousand-millionths of a dollar for one token: $0.15 for a million tokens is 150."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"provider": "openai", "model": "gpt-4o-mini", "input_nanousd": 150, "output_nanousd": 600}]
        }
    )

    provider: Word = "*"
    """The type of the models that it is for (`openai`, `anthropic`, …); `*` is every type."""
    model: ModelName
    """The provider's name for it, or ours."""
    tier: Annotated[str, StringConstraints(min_length=1, max_length=32)] = DEFAULT_TIER
    valid_from: Instant | None = None
    """From then on; null: it always was."""
    input_nanousd: Rate
    output_nanousd: Rate = 0
    cached_input_nanousd: Rate | None = None
    """Of prompt tokens that were read from the provider's cache; null: as any other."""
    cache_write_nanousd: Rate | None = None
    request_nanousd: Rate = 0
    scope: Literal["installation", "tenant"] = "installation"
    """For everybody, or for the caller's tenant alone; a tenant's own goes first."""

    def row(self, tenant_id: TenantId, source: str) -> PriceRow:
        """As it is stored."""
        rates = Rates(
            self.input_nanousd,
            self.output_nanousd,
            self.cached_input_nanousd,
            self.cache_write_nanousd,
            self.request_nanousd,
        )
        owner = tenant_id if self.scope == "tenant" else None
        since = millis(self.valid_from) or EPOCH
        return PriceRow(0, owner, self.provider, self.model, self.tier, since, rates, source, EPOCH)


class PriceQuery(Body):
    """Which prices."""

    model: ModelName | None = None
    """Only what applies to this model of ours."""


class ImportQuery(Body):
    """How to read the body."""

    format: Literal["csv", "litellm"] | None = None
    """Without it: CSV for `text/csv`, LiteLLM's file for JSON."""


class OverrideShown(Shown):
    """A row of ours."""

    id: int
    provider: str
    model: str
    tier: str
    scope: Literal["installation", "tenant"]
    valid_from: str
    input_nanousd: int
    output_nanousd: int
    cached_input_nanousd: int | None
    cache_write_nanousd: int | None
    request_nanousd: int
    source: str
    created_at: str


class StepShown(Shown):
    """Rates of prompts that are longer."""

    above_tokens: int
    input_nanousd: int
    output_nanousd: int


class AppliedShown(Shown):
    """What a model's calls of a tier cost now, and why."""

    model: str
    tier: str
    source: str
    """`override`, `genai-prices`, `assumed`, `free`, `local`, or `unknown`: counted as nothing."""
    override_id: int | None
    valid_from: str | None
    input_nanousd: int
    output_nanousd: int
    cached_input_nanousd: int | None
    cache_write_nanousd: int | None
    request_nanousd: int
    steps: list[StepShown]


class PriceList(Shown):
    """What applies now to each model, and all overrides."""

    items: list[AppliedShown]
    overrides: list[OverrideShown]


class BadRowShown(Shown):
    """A line (or an entry) that was not taken."""

    line: int
    code: str
    detail: str


class ImportShown(Shown):
    """What became of an import."""

    imported: int
    rejected: list[BadRowShown]
    rejected_total: int


def budget_json(budget: Budget, name_of: Callable[[ModelId], str], now: Millis) -> dict[str, object]:
    """A budget for an answer; one whose period is over is shown as it begins anew."""
    start = period_start(budget.period, now)
    is_over = start > budget.period_start
    spent = 0 if is_over else budget.spent_microusd
    return {
        "id": budget.id,
        "name": budget.name,
        "period": budget.period.value,
        "model": None if budget.model_id is None else name_of(budget.model_id),
        "key_id": budget.key_id,
        "limit_microusd": budget.limit_microusd,
        "spent_microusd": spent,
        "reserved_microusd": budget.reserved_microusd,
        "room_microusd": budget.limit_microusd - spent - budget.reserved_microusd,
        "told_percent": 0 if is_over else budget.told_percent,
        "period_start": stamp(budget.created_at if budget.period is Period.TOTAL else start),
        "period_end": maybe_stamp(period_end(budget.period, now)),
        "imposed": budget.imposed,
        "created_at": stamp(budget.created_at),
        "updated_at": stamp(budget.updated_at),
    }


def override_json(row: PriceRow) -> dict[str, object]:
    """An override for an answer."""
    return {
        "id": row.id,
        "provider": row.provider,
        "model": row.model,
        "tier": row.tier,
        "scope": "installation" if row.tenant_id is None else "tenant",
        "valid_from": stamp(row.valid_from),
        **rates_json(row.rates),
        "source": row.source,
        "created_at": stamp(row.created_at),
    }


def applied_json(model: str, tier: str, price: Price, row: PriceRow | None) -> dict[str, object]:
    """What applies, for an answer."""
    return {
        "model": model,
        "tier": tier,
        "source": price.source,
        "override_id": None if row is None else row.id,
        "valid_from": None if row is None else stamp(row.valid_from),
        **rates_json(price.rates),
        "steps": [
            {
                "above_tokens": step.above_tokens,
                "input_nanousd": step.rates.input_nanousd,
                "output_nanousd": step.rates.output_nanousd,
            }
            for step in price.steps
        ],
    }


def rates_json(rates: Rates) -> dict[str, object]:
    """The numbers."""
    return {
        "input_nanousd": rates.input_nanousd,
        "output_nanousd": rates.output_nanousd,
        "cached_input_nanousd": rates.cached_input_nanousd,
        "cache_write_nanousd": rates.cache_write_nanousd,
        "request_nanousd": rates.request_nanousd,
    }
