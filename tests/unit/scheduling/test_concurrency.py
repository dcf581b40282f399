"""The controller of concurrency: its rules one by one, its bounds for any input, and its goals on the server model."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest
from bench.concurrency import CONTROLLERS, SCENARIOS, STREAM, WHOLE, Fixed, Phase, Setting, judge, simulate
from bench.server_model import Server, Shape
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.model import AutoWorkers
from llm_scheduler.scheduling.concurrency import (
    CEILING_MS,
    Control,
    Outcome,
    Sample,
    Window,
    control_of,
    limit,
    plain,
    step,
)

BOUNDS = AutoWorkers(1, 64)
TOKEN_MS = 20
SETTLED = Control(n=20.0, since=1_000, is_slow_start=False, kappa=0.02)


def call(wait_ms: int = 0, *, at: int = 2_000, inputs: int = 484, outputs: int = 100) -> Sample:
    """One that waits inside, then takes its prompt's 0.02 token times a token, then its tokens."""
    first_ms = wait_ms + round(0.02 * (inputs + 16) * TOKEN_MS)
    return Sample(Millis(at), first_ms + outputs * TOKEN_MS, first_ms, inputs, outputs)


def window(samples: list[Sample], *, at: int = 10_000, running: float = 20.0, oldest: int | None = None) -> Window:
    return Window(samples, Millis(at), running, None if oldest is None else Millis(oldest))


samples = st.builds(
    Sample,
    st.integers(0, 20_000).map(Millis),
    st.integers(0, 10_000_000),
    st.none() | st.integers(0, 10_000_000),
    st.integers(0, 1_000_000),
    st.integers(0, 1_000_000),
    st.sampled_from(Outcome),
)
controls = st.builds(
    Control,
    n=st.floats(1, 100),
    since=st.integers(0, 20_000),
    is_draining=st.booleans(),
    is_slow_start=st.booleans(),
    growth=st.floats(0.05, 0.25),
    kappa=st.none() | st.floats(1e-6, 10),
    foreign=st.floats(0, 1),
    cut_from=st.none() | st.floats(1, 100),
    cut_share=st.floats(0, 1),
    cuts=st.integers(0, 9),
    best_n=st.floats(1, 100),
    best_u=st.none() | st.floats(-30, 30),
    ceiling=st.none() | st.floats(1, 100),
    ceiling_until=st.integers(0, 100_000),
)


@given(
    control=controls,
    seen=st.lists(samples, max_size=60),
    running=st.floats(0, 200),
    oldest=st.none() | st.integers(0, 30_000),
    least=st.integers(1, 50),
    more=st.integers(0, 200),
)
def test_whatever_is_seen_the_limit_stays_within_its_bounds(
    control: Control, seen: list[Sample], running: float, oldest: int | None, least: int, more: int
) -> None:
    bounds = AutoWorkers(least, least + more)

    after = step(control, window(seen, at=20_000, running=running, oldest=oldest), bounds)

    assert bounds.min <= limit(after, bounds) <= bounds.max
    assert bounds.min <= after.n <= bounds.max
    assert after.since in (control.since, 20_000)
    assert all(value is None or math.isfinite(value) for value in plain(after).values())  # type: ignore[arg-type]
    assert control_of(json.loads(json.dumps(plain(after)))) == after


@given(control=controls, seen=st.lists(samples, max_size=60))
def test_one_decision_at_most_halves_and_at_most_half_again_raises(control: Control, seen: list[Sample]) -> None:
    before = replace(control, n=min(64.0, control.n), best_n=min(control.n, control.best_n))

    after = step(before, window(seen, at=20_000, running=64), BOUNDS)

    assert after.n >= min(before.n, before.best_n, before.n / 2) - 1e-9
    assert after.n <= max(before.n * 1.5, before.n + 1) + 1e-9


def test_too_few_calls_decide_nothing() -> None:
    assert step(SETTLED, window([call(9_000)] * 15), BOUNDS) is SETTLED


def test_calls_that_began_before_the_last_change_are_not_judged() -> None:
    assert step(SETTLED, window([call(9_000, at=999)] * 100), BOUNDS) is SETTLED


def test_waiting_beyond_what_the_prompt_takes_lowers_the_limit_by_its_share() -> None:
    """Of 2 200 ms of each call, 550 are waiting: a quarter of the calls is not being served."""
    waits = [call(733)] * 16

    after = step(SETTLED, window(waits), BOUNDS)

    assert after.share == pytest.approx(0.25, abs=0.01)
    assert after.n == pytest.approx(15, abs=0.3)
    assert after.is_draining


def test_a_long_prompt_is_not_taken_for_waiting() -> None:
    long = [call(inputs=20_000)] * 16

    after = step(SETTLED, window(long), BOUNDS)

    assert after.share == pytest.approx(0, abs=0.01)
    assert after.n > SETTLED.n


def test_after_a_cut_nothing_is_judged_until_the_calls_of_before_are_gone() -> None:
    cut = step(SETTLED, window([call(733)] * 16), BOUNDS)
    queued = [call(2_000, at=10_500)] * 40

    waiting = step(cut, window(queued, at=12_000, oldest=9_000), BOUNDS)
    drained = step(cut, window(queued, at=12_000, oldest=10_100), BOUNDS)

    assert waiting is cut
    assert (drained.is_draining, drained.since, drained.n) == (False, 12_000, cut.n)


def test_a_call_that_hangs_holds_the_controller_up_for_a_minute_at_most() -> None:
    cut = step(SETTLED, window([call(733)] * 16), BOUNDS)

    assert not step(cut, window([], at=10_000 + 60_000, oldest=5_000), BOUNDS).is_draining


def test_waiting_that_our_cuts_do_not_lower_is_not_our_queue() -> None:
    """Another client fills the server, or the network is slow: after two cuts of a quarter in all we go on."""
    control, at = SETTLED, 10_000
    for _ in range(4):
        control = step(control, window([call(1_000, at=at - 1)] * 64, at=at, running=control.n), BOUNDS)
        if control.is_draining:
            control = step(control, window([], at=at + 1), BOUNDS)
        control = replace(control, since=at)
        at += 1_000
    lowest = control.n
    assert control.foreign == pytest.approx(0.31, abs=0.02)

    grown = step(control, window([call(1_000, at=at - 1)] * 64, at=at, running=control.n), BOUNDS)

    assert grown.n > lowest >= SETTLED.n / 4


def test_waiting_that_grows_while_we_cut_is_a_server_that_became_smaller() -> None:
    first = replace(SETTLED, n=14.0, cut_from=20.0, cut_share=0.3, cuts=2)

    after = step(first, window([call(4_000)] * 16), BOUNDS)

    assert after.foreign == 0
    assert after.n == pytest.approx(7, abs=0.5)


def test_it_grows_only_while_the_limit_is_used() -> None:
    idle = step(SETTLED, window([call()] * 16, running=15), BOUNDS)
    busy = step(SETTLED, window([call()] * 16, running=16), BOUNDS)

    assert idle.n == 20
    assert busy.n == pytest.approx(21)
    assert busy.growth == pytest.approx(0.075)


def test_slow_start_raises_by_half_and_from_one_to_two() -> None:
    start = Control()

    second = step(start, window([call()] * 4, running=1), BOUNDS)
    third = step(replace(second, n=10.0), window([call(at=10_000)] * 10, at=11_000, running=10), BOUNDS)

    assert limit(start, BOUNDS) == 1
    assert second.n == 2
    assert third.n == 15


def test_a_refusal_lowers_the_limit_at_once_to_what_was_accepted_and_for_a_minute() -> None:
    refusal = Sample(Millis(2_000), 40, None, 0, 0, Outcome.REFUSED)

    after = step(SETTLED, window([refusal] * 2, running=20), BOUNDS)
    flood = step(SETTLED, window([refusal] * 15, running=20), BOUNDS)
    one = step(SETTLED, window([refusal], running=20), BOUNDS)
    old = step(SETTLED, window([refusal._replace(dispatched_at=Millis(900))]), BOUNDS)

    assert (after.n, flood.n, one.n) == (18, 16, 19)
    assert old is SETTLED
    assert (after.ceiling, after.ceiling_until) == (18, 10_000 + CEILING_MS)
    capped = step(after, window([call(at=11_000)] * 16, at=20_000, running=18), BOUNDS)
    later = step(capped, window([call(at=30_000)] * 16, at=80_000, running=18), BOUNDS)
    assert (capped.n, later.n) == (18, pytest.approx(18.9))


def test_more_calls_that_bring_less_lead_back_to_the_best_known() -> None:
    """The server slows down under load without letting anybody wait."""
    known = replace(SETTLED, n=30.0, best_n=20.0, best_u=math.log(20 / TOKEN_MS))
    slow = [one._replace(latency_ms=one.latency_ms * 3, ttft_ms=(one.ttft_ms or 0) * 3) for one in [call()] * 16]

    after = step(known, window(slow, running=30), BOUNDS)

    assert (after.n, after.ceiling, after.is_draining) == (20, 20, True)


def test_without_first_tokens_waiting_is_read_off_the_calls_lengths() -> None:
    """Calls of 10 to 100 tokens that all wait for a second: the line through them does not begin at nothing."""
    whole = [call(1_000, outputs=10 * number)._replace(ttft_ms=None) for number in range(1, 11)] * 2

    after = step(SETTLED, window(whole), BOUNDS)

    assert after.share is not None
    assert after.share > 0.3
    assert after.n < 15


def test_what_another_release_kept_is_read_as_far_as_it_is_known() -> None:
    assert control_of({"n": 7, "news": 1}) == Control(n=7)
    with pytest.raises(ValueError, match="'many'"):
        control_of({"n": "many"})
    with pytest.raises(ValueError, match="None"):
        control_of({"n": None})


def test_the_model_serves_no_more_at_once_than_it_has_slots_and_loses_no_call() -> None:
    rng = random.Random(3)
    server = Server(Shape(slots=4, cap=9), rng)
    for _ in range(12):
        server.send(100, 50)

    ended = [job for _ in range(12) if (job := server.advance(1e9)) is not None]

    assert [job.is_refused for job in ended].count(True) == 3
    assert len({job.number for job in ended}) == 12
    assert server.in_flight == 0
    assert sum(job.begun_s > 0 for job in ended) == 5


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_goals_are_reached_on_the_server_model(scenario: str) -> None:
    """A short run of `python -m bench.concurrency`: the ramp from one call at once counts for more in it."""
    setting = Setting(1_200, seed=4)
    least = {"S2": 0.90, "S3": 0.90, "S4": 0.85}.get(scenario, 0.93)

    row = judge(SCENARIOS[scenario], simulate(SCENARIOS[scenario], CONTROLLERS[STREAM](), setting), setting)

    assert row.throughput >= least
    assert row.concurrency <= 1.25
    assert row.queued_s <= 1
    assert row.refused <= 0.015
    assert (row.settled_s or 0) <= 90


def test_answers_that_come_whole_are_enough_to_find_the_limit() -> None:
    phases, setting = SCENARIOS["S1"], Setting(1_200)

    row = judge(phases, simulate(phases, CONTROLLERS[WHOLE](), setting), setting)

    assert row.throughput >= 0.9
    assert row.concurrency <= 1.25
    assert row.queued_s <= 1


def test_the_model_shows_what_a_limit_of_many_costs() -> None:
    """Four times the calls that the server holds: no more throughput, and half a minute of waiting inside."""
    phases, setting = (Phase(1, Shape()),), Setting(600)

    row = judge(phases, simulate(phases, Fixed(256), setting), setting)

    assert row.throughput <= 1.02
    assert row.queued_s > 15
