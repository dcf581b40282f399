"""What one call cost, and what it takes of the money that was put aside for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from llm_scheduler.domain.money import DEFAULT_TIER, cost_microusd, tier_price
from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.provider import Fault
from llm_scheduler.services.prices import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.money import Price
    from llm_scheduler.domain.outcome import Ended
    from llm_scheduler.ports.provider import Answer, ProviderError
    from llm_scheduler.ports.store import StartedTask
    from llm_scheduler.services.prices import Prices

_log = structlog.get_logger(__name__)
_NOTHING_MADE: Final = frozenset({500, 501, 503, 529})
"""Error statuses of the provider itself. Gateways (502, 504) may have lost an answer that was made, and billed."""


class Fate(NamedTuple):
    """What became of a call, as far as money goes.

    `was_called`: the request may have reached the provider. `is_counted`: the provider counted its tokens, so the
    cost is known. `is_refused`: it did nothing.
    """

    was_called: bool = False
    tier: str | None = None
    is_counted: bool = False
    is_refused: bool = False


def fate_of_answer(answer: Answer) -> Fate:
    """An answer came: priced by the tier that it says it was of."""
    raw = answer.raw
    return Fate(True, tier_of(raw), is_counted=not raw.get("usage_estimated"))


def fate_of_error(error: ProviderError, *, was_called: bool) -> Fate:
    """An error came. One that shows that nothing was made costs nothing; of any other nobody knows."""
    is_refused = error.usage == Usage() and (
        error.fault in (Fault.LIMIT, Fault.QUOTA, Fault.CALLER, Fault.SETUP)
        or error.http_status in _NOTHING_MADE
        or not error.was_sent
    )
    return Fate(was_called, is_refused=is_refused)


def tier_of(raw: Mapping[str, object]) -> str | None:
    """`service_tier` of an answer: OpenAI has it at the top, Anthropic in the usage."""
    found = raw.get("service_tier")
    if found is None and isinstance(usage := raw.get("usage"), dict):
        found = usage.get("service_tier")
    return found if isinstance(found, str) else None


async def priced(ended: Ended, fate: Fate, started: StartedTask, model: Model, prices: Prices) -> Ended:
    """The same end with its cost, and with what it takes of its reservation: None is all of it.

    A part of an answer that was cut off is priced by the tokens that are known; the budget gives the whole
    reservation all the same, since the provider may have counted more.
    """
    is_known, cost = True, 0
    if ended.usage.total_tokens:
        tiers = await _tiers(ended, started, model, prices)
        price = tier_price(tiers, fate.tier)
        is_known = price is not None and price.is_known
        if not is_known:
            prices.note_unknown(model)
        cost = cost_microusd(price or tiers.get(DEFAULT_TIER, UNKNOWN), ended.usage)
    if not started.reserved_microusd:
        return replace(ended, cost_microusd=cost)
    charge: int | None = None
    if not fate.was_called or fate.is_refused:
        charge = 0
    elif fate.is_counted and is_known and ended.usage.total_tokens:
        charge = cost
    return replace(ended, cost_microusd=cost, is_reserved=True, charge_microusd=charge)


async def _tiers(ended: Ended, started: StartedTask, model: Model, prices: Prices) -> Mapping[str, Price]:
    """The prices of that moment; none where they cannot be told, for the answer is worth more than its price."""
    try:
        return await prices.tiers(model, started.tenant_id, ended.ended_at)
    except Exception:  # noqa: BLE001 - a foreign list, logged; the call counts as unpriced
        _log.exception("price_list_failed", model=model.name)
        return {}
