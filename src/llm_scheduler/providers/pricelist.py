"""The price list of the package `genai-prices`, as it came with its release: nothing is fetched.

It is large (some 25 MB once imported, near a second of computing), so it is imported with the first question.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.money import DEFAULT_TIER, MOST_RATE_NANOUSD, Price, Rates, Step, plain_tier

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE: Final = "genai-prices"
_NANO_PER_MTOK: Final = 1_000  # a dollar for a million tokens is a thousand nano-USD for one
_NANO_PER_THOUSAND: Final = 1_000_000
_TIERS: Final = ("flex", "priority", "batch")
_PARTS: Final[Mapping[str, tuple[str, int]]] = {
    "input_nanousd": ("input_mtok", _NANO_PER_MTOK),
    "output_nanousd": ("output_mtok", _NANO_PER_MTOK),
    "cached_input_nanousd": ("cache_read_mtok", _NANO_PER_MTOK),
    "cache_write_nanousd": ("cache_write_mtok", _NANO_PER_MTOK),
    "request_nanousd": ("requests_kcount", _NANO_PER_THOUSAND),
}
_HOURS: Final = tuple(time(hour, 45) for hour in range(24))


def listed_prices(model: str, provider: str | None, base_url: str | None, at_ms: int) -> Mapping[str, Price]:
    """What the list says of a model on the day of `at_ms`, by tier; empty if it does not know the model.

    Where a price depends on the time of day, the dearest of the day counts. A part of a nano-USD is rounded up.

    Args:
        model: the provider's name for it, perhaps as `provider/model`.
        provider: its name in the list; None finds it by the address, or by the model's name if there is none.
        base_url: where calls go.
        at_ms: a moment of the day that is asked about.
    """
    from genai_prices.data_snapshot import get_snapshot

    head, _, tail = model.partition("/")
    snapshot: Any = get_snapshot()
    for name, of in ((model, provider), *(((tail, head),) if tail and provider is None else ())):
        try:
            _, found = snapshot.find_provider_model(name, None, of, base_url if of is None else None)
        except LookupError:
            continue
        return _tiers(found, datetime.fromtimestamp(at_ms / 1000, UTC))
    return {}


def _tiers(model: Any, day: datetime) -> Mapping[str, Price]:
    default = _dearest_of_day(model, day, {})
    if default is None:
        return {}
    tiers = {DEFAULT_TIER: default}
    for tier in _TIERS:
        context = {"processing": "batch"} if tier == "batch" else {"service_tier": tier}
        if any(variant.when == context for variant in model.price_variants or ()):
            price = _dearest_of_day(model, day, context)
            if price is not None:
                tiers[plain_tier(tier)] = price
    return tiers


def _dearest_of_day(model: Any, day: datetime, context: Mapping[str, str]) -> Price | None:
    moments = [datetime.combine(day.date(), at, UTC) for at in _HOURS] if isinstance(model.prices, list) else [day]
    found = [price for at in moments if (price := _price(model.get_prices(at, context))) is not None]
    return max(found, key=lambda price: (price.rates.output_nanousd, price.rates.input_nanousd), default=None)


def _price(listed: Any) -> Price | None:
    """One price of the list; None if it has none for tokens or requests."""
    values = {name: getattr(listed, key, None) for name, (key, _) in _PARTS.items()}
    if all(value is None for value in values.values()):
        return None
    starts = sorted({tier.start for value in values.values() for tier in getattr(value, "tiers", ())})
    steps = tuple(Step(start, _rates(values, start + 1)) for start in starts)
    return Price(_rates(values, 0), steps, SOURCE)


def _rates(values: Mapping[str, Any], prompt_tokens: int) -> Rates:
    rates: dict[str, int] = {}
    for name, value in values.items():
        if value is None:
            continue
        usd = getattr(value, "base", value)
        for tier in getattr(value, "tiers", ()):
            if prompt_tokens > tier.start:
                usd = tier.price
        nano = (Decimal(usd) * _PARTS[name][1]).to_integral_value(ROUND_CEILING)
        rates[name] = min(max(int(nano), 0), MOST_RATE_NANOUSD)
    return Rates(**rates)
