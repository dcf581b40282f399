"""Whole numbers of money: never below the truth, never over the bound, never overflowing."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain import money
from llm_scheduler.domain.bounds import FILE_TOKENS, IMAGE_TOKENS, TOOL_TOKENS, bounded, most_cost, most_tokens
from llm_scheduler.domain.budget import Period, Tariff, percent_told, period_end, period_start
from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.money import DEFAULT_TIER, Price, Rates, Step, cost_microusd, most_microusd, tier_price
from llm_scheduler.domain.task import Usage

amounts = st.integers(0, money.MOST_RATE_NANOUSD)
counts = st.integers(0, 2**40)
rates = st.builds(Rates, amounts, amounts, st.none() | amounts, st.none() | amounts, amounts)
steps = st.lists(st.builds(Step, counts, rates), max_size=3).map(lambda found: tuple(sorted(found, key=lambda s: s[0])))
prices = st.builds(Price, rates, steps, st.just("test"))
usages = st.builds(Usage, counts, counts, counts, counts)
MINI = Price(Rates(150, 600, 75), source="test")


@given(prices, usages, st.integers(0, 2**20), st.integers(0, 2**20))
def test_no_usage_within_its_bounds_costs_more_than_the_bound(
    price: Price, usage: Usage, more_prompt: int, more_output: int
) -> None:
    """Whatever is cached or written, and whichever step the prompt reaches."""
    most = most_microusd(price, usage.prompt_tokens + more_prompt, usage.completion_tokens + more_output)

    assert 0 <= cost_microusd(price, usage) <= most <= money.MOST_MICROUSD


@given(st.integers(0, 2**80))
def test_an_amount_is_rounded_up_by_less_than_one(nanousd: int) -> None:
    """A micro-USD is never lost, and at most one is added; what no column holds is cut."""
    exact = Fraction(nanousd, 1000)

    assert money.microusd(nanousd) == money.MOST_MICROUSD or exact <= money.microusd(nanousd) < exact + 1


@given(rates, st.lists(st.tuples(counts, counts), min_size=1, max_size=5))
def test_calls_one_by_one_never_cost_less_than_together(one: Rates, calls: list[tuple[int, int]]) -> None:
    """Rounding each call up cannot be used to spend more than is counted."""
    price = Price(one)
    together = Usage(sum(prompt for prompt, _ in calls), sum(said for _, said in calls))
    apart = sum(cost_microusd(price, Usage(*call)) for call in calls)

    assert apart >= min(cost_microusd(price, together), money.MOST_MICROUSD) - len(calls) * one.request_nanousd // 1000


@given(st.lists(prices, min_size=1, max_size=4), counts, counts)
def test_the_dearest_of_several_prices_is_below_none_of_them(several: list[Price], prompt: int, said: int) -> None:
    """Part by part, steps included."""
    bound = most_microusd(money.dearest(several), prompt, said)

    assert all(most_microusd(price, prompt, said) <= bound for price in several)


def test_cached_tokens_are_part_of_the_prompt_and_cheaper() -> None:
    """100 of 1000 prompt tokens cost half, 10 tokens come out: (900 · 150 + 100 · 75 + 10 · 600) nano-USD."""
    assert cost_microusd(MINI, Usage(1000, 10, cached_tokens=100)) == 149
    assert cost_microusd(MINI, Usage(1000, 10)) == 156


def test_a_long_prompt_has_the_rates_of_its_step_for_every_token() -> None:
    """Beyond the threshold, not at it."""
    price = Price(Rates(1000, 0), (Step(100, Rates(2000, 0)),))

    assert cost_microusd(price, Usage(100, 0)) == 100
    assert cost_microusd(price, Usage(101, 0)) == 202


def test_a_cheaper_tier_without_a_price_takes_the_default_and_a_dearer_one_none() -> None:
    """Nobody may pay less than it costs."""
    dear = Price(Rates(250, 1000), source="test")

    assert tier_price({DEFAULT_TIER: MINI}, "flex") is MINI
    assert tier_price({DEFAULT_TIER: MINI}, "auto") is MINI
    assert tier_price({DEFAULT_TIER: MINI}, "priority") is None
    assert tier_price({DEFAULT_TIER: MINI, "priority": dear}, "fast") is dear


texts = st.text(max_size=40)


@given(st.lists(st.tuples(st.sampled_from(["user", "system"]), texts), max_size=6), st.integers(1, 10_000))
def test_a_prompt_has_no_more_tokens_than_its_bound(messages: list[tuple[str, str]], most: int) -> None:
    """One token for each byte of text, and four marks for each message, is more than any byte-level BPE makes."""
    body: dict[str, Any] = {"messages": [{"role": role, "content": said} for role, said in messages]}
    size = len(orjson.dumps(body))
    worst = sum(len(said.encode()) + 4 for _, said in messages) + 3

    found = most_tokens("chat", body | {"max_tokens": most}, size, 4096)

    assert found.prompt_tokens >= worst
    assert found.output_tokens == most


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ({}, 4096),
        ({"max_tokens": 10}, 10),
        ({"max_completion_tokens": 10, "max_tokens": 20}, 20),
        ({"max_tokens": 10, "n": 3}, 30),
        ({"max_tokens": 10, "best_of": 5, "n": 2}, 50),
        ({"max_tokens": -1}, 4096),
        ({"max_tokens": -1, "max_completion_tokens": 10}, 4096),
        ({"max_tokens": True}, 4096),
    ],
)
def test_the_longest_answer_is_what_the_request_allows(body: dict[str, Any], output: int) -> None:
    """A bound that is none counts as none given."""
    assert most_tokens("chat", body, 10, 4096).output_tokens == output


def test_what_is_no_text_has_a_constant_each() -> None:
    """Pictures, files and tools hide tokens that stand in no body."""
    picture = {"role": "user", "content": [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {}}]}
    plain = most_tokens("chat", {"messages": []}, 0, 1).prompt_tokens

    def hidden(**body: Any) -> int:
        return most_tokens("chat", body, 0, 1).prompt_tokens - plain

    assert hidden(messages=[picture, picture]) == 2 * IMAGE_TOKENS
    assert hidden(messages=[{"content": [{"type": "tool_result", "content": [{"type": "document"}]}]}]) == FILE_TOKENS
    assert hidden(tools=[{"type": "function"}]) == TOOL_TOKENS
    assert hidden(tools=[{"type": "web_search"}]) == TOOL_TOKENS + FILE_TOKENS


def tariff(**changes: Any) -> Tariff:
    values: dict[str, Any] = {
        "tiers": {DEFAULT_TIER: MINI},
        "extra": {},
        "extra_bytes": 0,
        "max_output_tokens": 100,
    }
    return Tariff(**(values | changes))


def test_a_request_without_a_bound_is_sent_with_one() -> None:
    """In the provider's own field; what is no bound goes."""
    assert bounded({"max_tokens": -1}, tariff(output_field="max_completion_tokens"), "chat") == {
        "max_completion_tokens": 100
    }
    assert bounded({"max_tokens": 7}, tariff(), "chat") == {"max_tokens": 7}
    assert bounded({}, tariff(extra={"max_tokens": 5}), "chat") == {}
    assert bounded({}, tariff(), "embedding") == {}


def test_a_call_is_bounded_by_the_dearest_tier_that_it_may_be_of() -> None:
    """The provider may choose, unless the request says `default`."""
    tiers = {DEFAULT_TIER: MINI, "priority": Price(Rates(300, 1200), source="test")}

    cheap = most_cost(tariff(tiers=tiers), "chat", {"service_tier": "default"}, 1000)
    free_choice = most_cost(tariff(tiers=tiers), "chat", {}, 1000)

    assert cheap is not None
    assert free_choice is not None
    assert free_choice == 2 * cheap
    assert most_cost(tariff(), "chat", {"service_tier": "priority"}, 1000) is None
    assert most_cost(tariff(tiers={}), "chat", {}, 1000) is None


instants = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds


@given(instants, st.sampled_from([Period.DAY, Period.MONTH]))
def test_every_moment_lies_in_one_period(at: datetime, period: Period) -> None:
    """Periods touch: the end of one is the start of the next."""
    now = Millis(int(at.timestamp() * 1000))
    end = period_end(period, now)

    assert end is not None
    assert period_start(period, now) <= now < end
    assert period_start(period, end) == end
    assert period_start(period, Millis(end - 1)) == period_start(period, now)


def test_a_total_never_begins_anew() -> None:
    """Its money lasts for ever, or does not."""
    assert period_start(Period.TOTAL, Millis(1_800_000_000_000)) == 0
    assert period_end(Period.TOTAL, Millis(1_800_000_000_000)) is None


@pytest.mark.parametrize(("spent", "limit", "told"), [(0, 10, 0), (7, 10, 0), (8, 10, 80), (10, 10, 100), (0, 0, 100)])
def test_marks_are_at_80_and_100_per_cent(spent: int, limit: int, told: int) -> None:
    """A limit of nothing is reached at once."""
    assert percent_told(spent, limit) == told
