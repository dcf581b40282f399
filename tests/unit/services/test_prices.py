"""Which price holds, and what a call comes to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.services.test_outcomes import SESSION, started

from llm_scheduler.domain.budget import PriceRow
from llm_scheduler.domain.ids import DEFAULT_TENANT, EPOCH, Millis, ModelId, TenantId
from llm_scheduler.domain.model import Model, ModelOptions, UnknownPrice
from llm_scheduler.domain.money import DEFAULT_TIER, Price, Rates
from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.provider import Answer, Fault, ProviderError
from llm_scheduler.providers.pricelist import listed_prices
from llm_scheduler.services import outcomes
from llm_scheduler.services.costs import Fate, fate_of_answer, fate_of_error, priced
from llm_scheduler.services.prices import Prices
from llm_scheduler.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = Millis(1_800_000_000_000)
LISTED = Price(Rates(100, 200), source="list")


def listed(model: str, provider: str | None, base_url: str | None, at_ms: int) -> Mapping[str, Price]:
    """A list that knows one model."""
    return {DEFAULT_TIER: LISTED} if model == "known" else {}


def model(**changes: Any) -> Model:
    config = changes.pop("config", {"base_url": "https://api.openai.com/v1", "model": "known"})
    options = ModelOptions(**changes.pop("options", {}))
    return Model(ModelId(1), DEFAULT_TENANT, "ours", changes.pop("type", "openai"), config, options=options)


def row(**changes: Any) -> PriceRow:
    values: dict[str, Any] = {
        "id": 1,
        "tenant_id": None,
        "provider": "*",
        "model": "known",
        "tier": "default",
        "valid_from": EPOCH,
        "rates": Rates(7, 7),
        "source": "test",
        "created_at": EPOCH,
    }
    return PriceRow(**(values | changes))


def prices(*rows: PriceRow) -> Prices:
    made = Prices(listed, PrometheusMeter())
    made.replace(rows)
    return made


async def rate(made: Prices, of: Model, tenant: TenantId = DEFAULT_TENANT) -> tuple[str, int] | None:
    found = (await made.tiers(of, tenant, NOW)).get(DEFAULT_TIER)
    return None if found is None else (found.source, found.rates.input_nanousd)


async def test_an_override_goes_before_the_list() -> None:
    assert await rate(prices(), model()) == ("list", 100)
    assert await rate(prices(row()), model()) == ("override", 7)


async def test_of_overrides_the_tenants_own_and_then_the_newest_in_force_holds() -> None:
    later = row(id=2, valid_from=Millis(NOW - 1), rates=Rates(8, 8))
    future = row(id=3, valid_from=Millis(NOW + 1), rates=Rates(9, 9))
    own = row(id=4, tenant_id=TenantId(2), rates=Rates(5, 5))

    made = prices(row(), later, future, own)

    assert await rate(made, model()) == ("override", 8)
    assert await rate(made, model(), TenantId(2)) == ("override", 5)


async def test_an_override_of_another_type_does_not_hold() -> None:
    assert await rate(prices(row(provider="anthropic")), model()) == ("list", 100)


async def test_a_server_of_ones_own_has_no_listed_price() -> None:
    """A model that is named like a provider's costs nothing by that name."""
    home = model(config={"base_url": "http://10.0.0.7:8000/v1", "model": "known"})

    assert await rate(prices(), home) is None
    assert await rate(prices(), replace(home, options=ModelOptions(price_model="known"))) == ("list", 100)


@pytest.mark.parametrize("kind", ["local", "scripted"])
async def test_a_model_inside_the_process_is_free(kind: str) -> None:
    assert await rate(prices(), model(type=kind, config={})) == ("local", 0)


async def test_what_nobody_knows_is_denied_free_or_assumed() -> None:
    unknown = {"base_url": "https://api.openai.com/v1", "model": "new"}

    assert await rate(prices(), model(config=unknown)) is None
    free = model(config=unknown, options={"unknown_price": UnknownPrice.FREE})
    assert await rate(prices(), free) == ("free", 0)
    like = model(config=unknown, options={"unknown_price": UnknownPrice.ASSUME, "assume_price_of": "known"})
    assert await rate(prices(), like) == ("assumed", 100)


ANSWER = Answer("hi", {"service_tier": "default"}, Usage(1000, 10))


async def test_an_answer_costs_what_was_counted_and_gives_the_rest_back() -> None:
    begun = started()._replace(reserved_microusd=900)
    ended = outcomes.completed(begun, SESSION, NOW, ANSWER)

    found = await priced(ended, fate_of_answer(ANSWER), begun, model(), prices())

    assert (found.cost_microusd, found.is_reserved, found.charge_microusd) == (102, True, 102)


async def test_an_answer_that_only_we_counted_takes_all_that_was_put_aside() -> None:
    """An estimate bounds nothing."""
    answer = replace(ANSWER, raw={"usage_estimated": True})
    begun = started()._replace(reserved_microusd=900)

    found = await priced(
        outcomes.completed(begun, SESSION, NOW, answer), fate_of_answer(answer), begun, model(), prices()
    )

    assert (found.cost_microusd, found.charge_microusd) == (102, None)


async def test_an_answer_of_a_dearer_tier_without_a_price_takes_all_of_it() -> None:
    answer = replace(ANSWER, raw={"service_tier": "priority"})
    begun = started()._replace(reserved_microusd=900)

    found = await priced(
        outcomes.completed(begun, SESSION, NOW, answer), fate_of_answer(answer), begun, model(), prices()
    )

    assert found.charge_microusd is None


async def test_an_unknown_price_counts_as_nothing_and_is_counted() -> None:
    meter = PrometheusMeter()
    unknown = model(config={"model": "new"})

    found = await priced(
        outcomes.completed(started(), SESSION, NOW, ANSWER),
        fate_of_answer(ANSWER),
        started(),
        unknown,
        Prices(listed, meter),
    )

    assert (found.cost_microusd, found.is_reserved) == (0, False)
    assert b'unpriced_calls_total{model="ours"} 1.0' in meter.render()


def fault(code: str, of: Fault, **fields: Any) -> ProviderError:
    return ProviderError(code, "x", is_retryable=True, fault=of, **fields)


@pytest.mark.parametrize(
    ("error", "charge"),
    [
        (fault("rate_limited", Fault.LIMIT, http_status=429), 0),
        (fault("invalid_request", Fault.CALLER, http_status=400), 0),
        (fault("authentication_failed", Fault.SETUP, http_status=401), 0),
        (fault("server_error", Fault.PROVIDER, http_status=500), 0),
        (fault("overloaded", Fault.PROVIDER, http_status=529), 0),
        (fault("connection_failed", Fault.PROVIDER, was_sent=False), 0),
        (fault("connection_failed", Fault.PROVIDER), None),
        (fault("server_error", Fault.PROVIDER, http_status=504), None),
        (fault("timeout", Fault.PROVIDER), None),
        (fault("stream_cut", Fault.PROVIDER, http_status=200, usage=Usage(10, 5)), None),
        (fault("server_error", Fault.PROVIDER, http_status=500, usage=Usage(10, 5)), None),
    ],
)
async def test_a_failed_call_costs_nothing_only_if_nothing_was_made(error: ProviderError, charge: int | None) -> None:
    """In doubt all that was put aside is spent; tokens that are known are priced."""
    begun = started()._replace(reserved_microusd=900)
    from random import Random

    ended = outcomes.failed(begun, SESSION, NOW, error, model(), Random(1))

    found = await priced(ended, fate_of_error(error, was_called=True), begun, model(), prices())

    assert found.charge_microusd == charge
    assert found.cost_microusd == (2 if error.usage.total_tokens else 0)


async def test_a_call_that_was_never_made_costs_nothing() -> None:
    """Cancelled, drained or refused before the request went out."""
    begun = started()._replace(reserved_microusd=900)
    from llm_scheduler.services.running import Why

    ended = outcomes.aborted(begun, SESSION, NOW, Why.CANCEL)

    assert (await priced(ended, Fate(), begun, model(), prices())).charge_microusd == 0
    assert (await priced(ended, Fate(was_called=True), begun, model(), prices())).charge_microusd is None


def test_the_price_list_that_is_installed_has_tiers_and_steps() -> None:
    """Offline; the dearest of the day where the time of day matters."""
    at = 1_790_000_000_000
    mini = listed_prices("gpt-4o-mini", None, "https://api.openai.com/v1", at)
    long = listed_prices("gemini-2.5-pro", "google", None, at)[DEFAULT_TIER]
    by_hour = listed_prices("deepseek-chat", "deepseek", None, at)[DEFAULT_TIER]

    assert mini[DEFAULT_TIER].rates == Rates(150, 600, 75)
    assert [step.above_tokens for step in long.steps] == [200_000]
    assert long.rates_of(200_001).input_nanousd == 2 * long.rates_of(200_000).input_nanousd
    assert by_hour.rates.input_nanousd == 270
    assert not listed_prices("nobody-has-this", "openai", None, at)
    assert listed_prices("openai/gpt-4o-mini", None, None, at)[DEFAULT_TIER] == mini[DEFAULT_TIER]
