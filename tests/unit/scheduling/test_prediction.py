"""What is expected of a call, from those before it."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.ids import ModelId, TenantId
from llm_scheduler.ports.learned import LONGEST_SCOPE, Sums
from llm_scheduler.scheduling.prediction import (
    FIRST_FACTOR,
    FIRST_OUTPUT_TOKENS,
    LEAST_FACTOR,
    MOST_FACTOR,
    NOTHING_KNOWN,
    SHRINKAGE,
    Case,
    Predictor,
    scopes_of,
)

MODEL, TENANT = ModelId(5), TenantId(1)
HERE = scopes_of(MODEL, TENANT, "chat", 100)
calls = st.builds(
    Sums,
    samples=st.just(1.0),
    output_tokens=st.integers(0, 100_000).map(float),
    service_ms=st.integers(0, 600_000).map(float),
    input_tokens=st.integers(0, 1_000_000).map(float),
    input_estimate=st.integers(0, 1_000_000).map(float),
)


def seen(output: float, service_ms: float = 1_000.0, used: float = 100.0, estimate: float = 100.0) -> Sums:
    return Sums(1.0, output, service_ms, used, estimate)


def test_of_a_model_that_never_answered_256_tokens_are_expected_and_no_time() -> None:
    assert Predictor().predict(HERE) == NOTHING_KNOWN == (256, None, 1.3, 0, 0)


def test_each_scope_is_drawn_towards_the_one_around_it() -> None:
    """One call counts 1 of 9 in each of the four, written out."""
    predictor = Predictor()

    predictor.learn(HERE, seen(100, 2_000, used=150, estimate=100))

    expected, factor = FIRST_OUTPUT_TOKENS, FIRST_FACTOR
    for _ in range(4):
        expected = (100 + SHRINKAGE * expected) / (1 + SHRINKAGE)
    for _ in range(2):
        factor = (1.5 + SHRINKAGE * factor) / (1 + SHRINKAGE)
    found = predictor.predict(HERE)
    assert found.output_tokens == pytest.approx(expected)
    assert found.service_ms == pytest.approx(2_000)
    assert found.input_factor == pytest.approx(factor)
    assert (found.samples, found.model_samples) == (1, 1)


@given(st.lists(calls, min_size=1, max_size=50))
def test_what_is_expected_lies_among_what_was_seen(learned: list[Sums]) -> None:
    predictor = Predictor()
    for one in learned:
        predictor.learn(HERE, one)

    found = predictor.predict(HERE)

    outputs = [FIRST_OUTPUT_TOKENS, *(one.output_tokens for one in learned)]
    services = [one.service_ms for one in learned]
    assert min(outputs) - 0.001 <= found.output_tokens <= max(outputs) + 0.001
    assert found.service_ms is not None
    assert min(services) - 0.001 <= found.service_ms <= max(services) + 0.001
    assert LEAST_FACTOR <= found.input_factor <= MOST_FACTOR


@given(st.lists(calls, min_size=1, max_size=4))
def test_the_order_in_which_calls_ended_makes_no_difference(learned: list[Sums]) -> None:
    found = set[tuple[object, ...]]()
    for order in permutations(learned):
        predictor = Predictor()
        for one in order:
            predictor.learn(HERE, one)
        found.add(predictor.predict(HERE))

    assert len(found) == 1


def test_with_many_calls_the_narrowest_scope_decides() -> None:
    """Two tenants, two templates, two lengths of input: each kind has its own mean."""
    predictor, rng = Predictor(), Random(1)
    means = {
        (tenant, template, length): 100.0 * tenant + (30 if template == "sum" else 0) + length / 10
        for tenant in (1, 2)
        for template in ("chat", "sum")
        for length in (60, 600)
    }
    for _ in range(2_000):
        for (tenant, template, length), mean in means.items():
            predictor.learn(scopes_of(MODEL, TenantId(tenant), template, length), seen(mean + rng.uniform(-20, 20)))

    for (tenant, template, length), mean in means.items():
        found = predictor.predict(scopes_of(MODEL, TenantId(tenant), template, length)).output_tokens
        assert found == pytest.approx(mean, abs=3)


def test_a_tenant_that_is_new_gets_what_its_template_brings() -> None:
    predictor = Predictor()
    for _ in range(500):
        predictor.learn(HERE, seen(1_000))
        predictor.learn(scopes_of(MODEL, TENANT, "label", 100), seen(2))

    found = predictor.predict(scopes_of(MODEL, TenantId(9), "label", 100))

    assert found.output_tokens < 15
    assert (found.samples, found.model_samples) == (0, 1_000)


def test_another_model_learns_nothing_from_it() -> None:
    predictor = Predictor()

    predictor.learn(HERE, seen(9_000))

    assert predictor.predict(scopes_of(ModelId(6), TENANT, "chat", 100)) == NOTHING_KNOWN


@pytest.mark.parametrize(("used", "expected"), [(1, LEAST_FACTOR), (250, 2.5), (10_000, MOST_FACTOR)])
def test_the_factor_of_the_input_is_learned_within_its_bounds(used: float, expected: float) -> None:
    predictor = Predictor()
    for _ in range(5_000):
        predictor.learn(HERE, seen(10, used=used, estimate=100))

    assert predictor.predict(HERE).input_factor == pytest.approx(expected, rel=0.01)


def test_inputs_of_which_nothing_is_known_leave_the_factor_as_it_was() -> None:
    predictor = Predictor()

    predictor.learn(HERE, seen(10, used=0, estimate=0))

    assert predictor.predict(HERE).input_factor == FIRST_FACTOR


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=200))
def test_memory_is_bounded_and_what_was_used_last_stays(steps: list[tuple[int, bool]]) -> None:
    predictor = Predictor(most=12)
    used: list[str] = []
    for tenant, learns in steps:
        scopes = scopes_of(MODEL, TenantId(tenant), "chat", 100)
        if learns:
            predictor.learn(scopes, seen(10))
        else:
            predictor.predict(scopes)
        for scope in scopes:
            if predictor.sums(scope) is not None:
                used = [one for one in used if one != scope] + [scope]

        assert len(predictor) <= 12
    for scope in used[-12:]:
        assert predictor.sums(scope) is not None


def test_sums_from_the_record_take_the_place_of_what_was_known() -> None:
    predictor = Predictor()
    predictor.learn(HERE, seen(10))

    predictor.put(HERE.model, Sums(4, 40, 4_000, 0, 0))
    assert predictor.sums(HERE.model) == Sums(4, 40, 4_000, 0, 0)

    predictor.put(HERE.model, Sums())
    assert predictor.sums(HERE.model) is None


def test_a_tenants_cases_are_told_apart() -> None:
    predictor = Predictor()
    predictor.learn(scopes_of(MODEL, TENANT, "a/b", 100), seen(1))
    predictor.learn(scopes_of(MODEL, TENANT, "chat", 0), seen(1))
    predictor.learn(scopes_of(MODEL, TenantId(11), "other", 5), seen(1))

    found = set(predictor.cases(MODEL, TENANT))

    assert {(case.template, case.least_tokens) for case in found} == {("a/b", 64), ("chat", 0)}
    assert Case("a/b", 64, scopes_of(MODEL, TENANT, "a/b", 127)) in found


def test_the_longest_scope_has_room_in_the_record() -> None:
    scopes = scopes_of(ModelId(2**53), TenantId(2**53), "é" * 64, 2**40)

    assert max(map(len, scopes)) <= LONGEST_SCOPE
