"""The run loop, beside cases worked by hand, and what must hold for every load."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.simulation.lane import load, request, run

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.scheduling.strategies.registry import STRATEGIES
from llm_scheduler.simulation.generating import generated, wish
from llm_scheduler.simulation.load import Load, Request
from llm_scheduler.simulation.measures import measured
from llm_scheduler.simulation.run import Run
from llm_scheduler.simulation.service import Speed, timed
from llm_scheduler.simulation.setting import Estimate

requests = st.builds(
    request,
    at_s=st.integers(0, 60_000).map(lambda ms: ms / 1000),
    service_s=st.integers(0, 20_000).map(lambda ms: ms / 1000),
    tokens=st.integers(2, 5_000),
    tenant=st.sampled_from("abc"),
    priority=st.sampled_from((0, 5, 9)),
)
loads = st.lists(requests, min_size=1, max_size=60).map(lambda some: load(*some))
estimates = st.sampled_from(Estimate)


def test_one_slot_serves_in_order_of_arrival() -> None:
    done = run(load(request(0, 10), request(1, 2), request(2, 3)), "fifo", workers=1)

    assert done.started_s == (0, 10, 12)
    assert [done.wait_s(number) for number in range(3)] == [0, 9, 10]
    assert measured(done).makespan_s == 15


def test_a_high_priority_overtakes_what_waits_but_not_what_runs() -> None:
    done = run(load(request(0, 10), request(1, 2, priority=9), request(2, 3, priority=0)), "priority", workers=1)

    assert done.order == (0, 2, 1)
    assert done.started_s == (0, 13, 10)


def test_two_tenants_take_turns_however_much_one_of_them_submits() -> None:
    many = [request(0, 1, tenant="many") for _ in range(10)]
    few = [request(0.5, 1, tenant="few") for _ in range(3)]

    done = run(load(*many, *few), "fair", workers=1, starve_after_s=None)

    assert [done.load.requests[number].tenant for number in done.order[:7]] == [
        "many", "few", "many", "few", "many", "few", "many",
    ]  # fmt: skip


def test_a_tenant_of_twice_the_weight_gets_twice_as_much() -> None:
    both = [request(0, 1, tenant=name) for name in "ab" for _ in range(30)]

    done = run(load(*both, weights={"a": 2.0}), "fair", workers=1)

    first = [done.load.requests[number].tenant for number in done.order[:30]]
    assert first.count("a") == 20


def test_a_bucket_lets_its_burst_go_at_once_and_the_rest_at_its_rate() -> None:
    done = run(load(*(request(0, 0, tokens=100) for _ in range(6))), "fifo", tpm=6_000, burst_s=2)

    assert done.started_s == (0, 0, 1, 2, 3, 4)


def test_a_bucket_of_requests_counts_requests() -> None:
    done = run(load(*(request(0, 0) for _ in range(4))), "fifo", rpm=30, burst_s=4)

    assert done.started_s == (0, 0, 2, 4)


def test_without_a_burst_the_configured_limit_is_paced_as_the_server_does() -> None:
    done = run(load(*(request(0, 0) for _ in range(100))), "fifo", rpm=60)

    # 98 % of the limit, with a tolerance of 1 % of a minute.
    assert done.started_s[-1] == pytest.approx(99 * 60 / (60 * 0.98) - 0.6, abs=0.1)


def test_what_a_call_did_not_use_of_its_reservation_lets_the_next_start_sooner() -> None:
    small = [request(0, 1, tokens=100) for _ in range(2)]

    known = run(load(*small), "fifo", tpm=6_000, burst_s=1, estimate=Estimate.ACTUAL)
    guessed = run(load(*small), "fifo", tpm=6_000, burst_s=1, estimate=Estimate.CONSTANT)

    # 50 in + 256 expected: more than the bucket holds, so it goes into debt; the end after 1 s gives back 206.
    assert known.started_s == (0, 1)
    assert guessed.reserved == (306, 306)
    assert guessed.started_s == (0, 1)


def test_waits_behind_one_server_are_those_of_the_formula() -> None:
    """M/D/1: Poisson arrivals, constant service. Mean wait rho / (2 (1 - rho)) services (Pollaczek, Khinchine)."""
    rng, at_s, arrivals = Random(7), 0.0, list[Request]()
    for _ in range(30_000):
        at_s += rng.expovariate(0.7)
        arrivals.append(request(at_s, 1.0))

    mean_s = measured(run(load(*arrivals), "fifo", workers=1)).all.mean_s

    assert mean_s == pytest.approx(0.7 / (2 * 0.3), rel=0.05)


def test_the_same_seed_gives_the_same_run() -> None:
    def once(seed: int) -> tuple[Run, Load]:
        rng = Random(seed)
        made = timed(generated(wish("rate=3,minutes=3,bulk=20"), rng), Speed(), rng)
        return run(made, "fair", tpm=60_000, estimate=Estimate.LEARNED), made

    assert once(3) == once(3)
    assert once(3) != once(4)


def test_a_setting_under_which_nothing_starts_is_an_error_that_says_so() -> None:
    with pytest.raises(InvalidInputError, match="can never start under 'fifo': raise its limits"):
        run(load(request(0)), "fifo", workers=0)


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match=r"no strategy 'slow'.*tenant_first"):
        run(load(request(0)), "slow")


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@settings(max_examples=25, deadline=None)
@given(some=loads, workers=st.integers(1, 5), estimate=estimates)
def test_every_request_starts_once_after_it_came_and_never_too_many_run(
    strategy: str, some: Load, workers: int, estimate: Estimate
) -> None:
    done = run(some, strategy, workers=workers, estimate=estimate)

    numbers = range(len(some.requests))
    assert sorted(done.order) == list(numbers)
    assert all(done.started_s[n] >= some.requests[n].at_s - 1e-6 for n in numbers)
    for start in done.started_s:
        running = sum(done.started_s[n] <= start < done.ended_s(n) - 1e-6 for n in numbers)
        assert running <= workers


@settings(max_examples=60, deadline=None)
@given(some=loads, tpm=st.integers(600, 100_000), burst_s=st.integers(1, 30))
def test_no_span_of_time_holds_more_tokens_than_the_bucket_allows(some: Load, tpm: int, burst_s: int) -> None:
    """With exact reservations: a span gets its rate and the burst; one call above the burst goes into debt."""
    done = run(some, "fair", tpm=tpm, burst_s=burst_s)

    per_s = tpm / 60
    burst = max(1.0, per_s * burst_s)
    starts = sorted((done.started_s[n], done.reserved[n]) for n in range(len(some.requests)))
    largest = max(tokens for _, tokens in starts)
    for index, (first, _) in enumerate(starts):
        total = 0
        for at_s, tokens in starts[index:]:
            total += tokens
            assert total <= per_s * (at_s - first) + max(burst, largest) + burst * (largest > burst) + 1


@settings(max_examples=40, deadline=None)
@given(some=loads, rpm=st.integers(6, 600))
def test_no_minute_holds_more_requests_than_the_configured_limit(some: Load, rpm: int) -> None:
    done = run(some, "priority", rpm=rpm)

    starts = sorted(done.started_s)
    for index in range(len(starts) - rpm):
        assert starts[index + rpm] - starts[index] > 60


@settings(max_examples=30, deadline=None)
@given(some=loads)
def test_with_room_for_all_nobody_waits_under_any_strategy(some: Load) -> None:
    for strategy in STRATEGIES:
        done = run(some, strategy)

        assert all(done.wait_s(n) < 1e-6 for n in range(len(some.requests)))


@settings(max_examples=30, deadline=None)
@given(some=loads)
def test_fifo_starts_in_order_of_arrival(some: Load) -> None:
    done = run(some, "fifo", workers=1)

    came = [some.requests[n].at_s for n in done.order]
    assert all(one <= two for one, two in pairwise(came))
