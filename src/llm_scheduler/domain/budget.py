"""Budgets: how much a tenant may spend, on what, in which period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.ids import EPOCH, Millis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_scheduler.domain.ids import ModelId, TenantId
    from llm_scheduler.domain.money import Price, Rates

WARNING_PERCENT: Final = 80
FULL_PERCENT: Final = 100
EXHAUSTED: Final = "budget_exhausted"
PRICE_UNKNOWN: Final = "price_unknown"


class Period(StrEnum):
    """How long a budget's money has to last. Days and months are UTC's."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Budget:
    """One limit in micro-USD. It covers the tenant's calls: all, or those of one model, of one key, or of both.

    `reserved_microusd` is set aside for calls that run now. `told_percent` is 0, 80 or 100: what was told of in this
    period. 80: so much was spent. 100: it was all spent, or a task is held because there is no room for it.
    """

    id: int
    tenant_id: TenantId
    name: str
    period: Period
    limit_microusd: int
    model_id: ModelId | None = None
    key_id: int | None = None
    spent_microusd: int = 0
    reserved_microusd: int = 0
    period_start: Millis = EPOCH
    told_percent: int = 0
    created_at: Millis = EPOCH
    updated_at: Millis = EPOCH
    imposed: bool = False
    """An administrator set it: nobody else changes it."""

    def covers(self, model_id: ModelId, key_id: int | None) -> bool:
        """Whether a call of the tenant counts here."""
        return self.model_id in (None, model_id) and self.key_id in (None, key_id)

    @property
    def room_microusd(self) -> int:
        """What may still be reserved; below zero after a limit was lowered."""
        return self.limit_microusd - self.spent_microusd - self.reserved_microusd

    def room_at(self, now: Millis) -> int:
        """The same, when a new period may have begun that nobody has spent in yet."""
        is_over = period_start(self.period, now) > self.period_start
        return self.room_microusd + (self.spent_microusd if is_over else 0)


class Told(NamedTuple):
    """A budget has come to a mark: once per period, mark and budget."""

    name: str
    tenant_id: TenantId
    percent: int
    spent_microusd: int
    limit_microusd: int


class Tariff(NamedTuple):
    """What START needs to know to reserve for a call of one model.

    `tiers` is empty if the model has no known price and its policy is to deny. `extra` stands in every request
    beneath the task's own fields, and has `extra_bytes`. `max_output_tokens` bounds answers whose request does not,
    in the field `output_field`. `wires` turn tasks of a plugin's type into the request that is sent.
    """

    tiers: Mapping[str, Price]
    extra: Mapping[str, object]
    extra_bytes: int
    max_output_tokens: int
    output_field: str = "max_tokens"
    wires: Mapping[str, Callable[[Mapping[str, object]], tuple[str, dict[str, object]]]] = MappingProxyType({})


class PriceRow(NamedTuple):
    """An override: from `valid_from` on a token of that model costs this. `tenant_id` None: for every tenant."""

    id: int
    tenant_id: TenantId | None
    provider: str
    model: str
    tier: str
    valid_from: Millis
    rates: Rates
    source: str
    created_at: Millis


def period_start(period: Period, now: Millis) -> Millis:
    """When the period that `now` lies in began; a total has begun once and for all."""
    if period is Period.TOTAL:
        return EPOCH
    at = datetime.fromtimestamp(now / 1000, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period is Period.MONTH:
        at = at.replace(day=1)
    return Millis(round(at.timestamp()) * 1000)


def period_end(period: Period, now: Millis) -> Millis | None:
    """When the next one begins; None: never."""
    if period is Period.TOTAL:
        return None
    began = datetime.fromtimestamp(period_start(period, now) / 1000, UTC)
    # 32 days after the first of a month it is always the next month.
    later = began + timedelta(days=1) if period is Period.DAY else (began + timedelta(days=32)).replace(day=1)
    return Millis(round(later.timestamp()) * 1000)


def percent_told(spent_microusd: int, limit_microusd: int) -> int:
    """The mark that so much spending has passed: 0, 80 or 100."""
    if spent_microusd >= limit_microusd:
        return FULL_PERCENT
    return WARNING_PERCENT if spent_microusd * 100 >= limit_microusd * WARNING_PERCENT else 0
