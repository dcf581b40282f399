"""Paces that a provider's answers told, in place of the configured limits while they are valid."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract import broker_scene
from tests.contract.broker_scene import FACTORIES, LANE, Scene, StillClock, rules, task

from llm_scheduler.ports.broker import GateRules, Pace, Release, Unit

scene = broker_scene.scene

EAST, WEST = GateRules("east"), GateRules("west")
LONG_MS = 3_600_000


def pace(
    per_s: float,
    burst: float,
    *,
    unit: Unit = Unit.REQUESTS,
    valid_ms: int = LONG_MS,
    bonus: float = 0.0,
    most: float | None = None,
    counted: int = 0,
) -> Pace:
    return Pace(unit, per_s, burst, valid_ms, bonus, most, counted)


async def opened(scene: Scene, *gates: GateRules, rpm: int | None = None, tpm: int | None = None) -> None:
    await scene.open(rules(rpm=rpm, tpm=tpm, gates=gates))
    await scene.enqueue(*(task(number, output=60) for number in range(400)))


async def count(scene: Scene, want: int = 400) -> int:
    """How many start now; all end at once."""
    claims = await scene.claim(want)
    await scene.done(*claims)
    return len(claims)


async def test_a_burst_goes_at_once_and_then_one_after_the_other(scene: Scene) -> None:
    await opened(scene)
    await scene.broker.set_pace(LANE, None, [pace(2.0, 5.0)])

    assert await count(scene) == 5
    assert await scene.ask() == ((), 500)
    scene.clock.advance_ms(1_500)
    assert await count(scene) == 3


async def test_a_silence_fills_no_more_than_the_burst(scene: Scene) -> None:
    await opened(scene)
    await scene.broker.set_pace(LANE, None, [pace(2.0, 5.0)])
    assert await count(scene) == 5

    scene.clock.advance_ms(60_000)

    assert await count(scene) == 5


@pytest.mark.parametrize(("unit", "each"), [(Unit.TOKENS, 100), (Unit.INPUT_TOKENS, 40), (Unit.OUTPUT_TOKENS, 60)])
async def test_each_unit_is_paced_by_what_a_call_counts_in_it(scene: Scene, unit: Unit, each: int) -> None:
    await opened(scene)
    await scene.broker.set_pace(LANE, None, [pace(10.0, 3.0 * each, unit=unit)])

    assert await count(scene) == 3
    assert await scene.ask() == ((), each * 100)


async def test_a_call_larger_than_the_burst_goes_when_the_bucket_is_full_into_debt(scene: Scene) -> None:
    await opened(scene)
    await scene.broker.set_pace(LANE, None, [pace(100.0, 50.0, unit=Unit.TOKENS)])

    assert await count(scene) == 1
    assert await scene.ask() == ((), 1_000)
    scene.clock.advance_ms(1_000)
    assert await count(scene) == 1


async def test_a_pace_stands_in_place_of_the_lanes_limit_faster_or_slower(scene: Scene) -> None:
    await opened(scene, rpm=60)
    await scene.broker.set_pace(LANE, None, [pace(100.0, 200.0)])
    assert await count(scene) == 200

    await scene.broker.set_pace(LANE, None, [pace(0.1, 1.0, bonus=1.0)])

    assert await count(scene) == 1
    assert await scene.ask() == ((), 10_000)


async def test_a_pace_of_one_unit_leaves_the_limits_of_others(scene: Scene) -> None:
    await opened(scene, rpm=60, tpm=600_000)
    await scene.broker.set_pace(LANE, None, [pace(1e6, 1e6, unit=Unit.TOKENS)])

    assert await count(scene) == 1


async def test_when_a_pace_is_not_valid_any_more_the_configured_limit_counts_again(scene: Scene) -> None:
    await opened(scene, rpm=60)
    await scene.broker.set_pace(LANE, None, [pace(0.01, 1.0, valid_ms=4_000)])
    assert await count(scene) == 1
    scene.clock.advance_ms(3_999)
    assert await count(scene) == 0

    scene.clock.advance_ms(1)

    assert await count(scene) == 1
    assert await scene.ask() == ((), 421)


async def test_what_a_pace_let_through_counts_for_the_configured_limit_but_for_no_more_than_a_minute(
    scene: Scene,
) -> None:
    await opened(scene, rpm=6, tpm=100_000)
    await scene.broker.set_pace(LANE, None, [pace(1e6, 1e6, valid_ms=1), pace(1e6, 1e6, unit=Unit.TOKENS, valid_ms=1)])
    assert await count(scene, 300) == 300
    scene.clock.advance_ms(1)

    assert await scene.ask() == ((), 59_399)


async def test_paces_follow_one_another_with_what_is_left(scene: Scene) -> None:
    """Half of the bucket is half of a call's worth of units, whatever one unit takes."""
    await opened(scene)
    await scene.broker.set_pace(LANE, None, [pace(1.0, 10.0)])
    assert await count(scene, 6) == 6

    await scene.broker.set_pace(LANE, None, [pace(4.0, 20.0)])

    assert await count(scene) == 4
    assert await scene.ask() == ((), 250)


async def test_a_smaller_burst_is_full_with_less(scene: Scene) -> None:
    await opened(scene)
    await scene.broker.set_pace(LANE, None, [pace(1.0, 10.0)])

    await scene.broker.set_pace(LANE, None, [pace(1.0, 3.0)])

    assert await count(scene) == 3


@pytest.mark.parametrize(("bonus", "starts", "wait_ms"), [(2.0, 6, 1_000), (-3.0, 1, 1_000), (-9.0, 0, 6_000)])
async def test_a_bonus_is_given_once_or_taken(scene: Scene, bonus: float, starts: int, wait_ms: int) -> None:
    """Of four that are left, of ten at most."""
    await opened(scene)
    await scene.broker.set_pace(LANE, None, [pace(1.0, 10.0)])
    assert await count(scene, 6) == 6

    await scene.broker.set_pace(LANE, None, [pace(1.0, 10.0, bonus=bonus)])
    await scene.broker.set_pace(LANE, None, [pace(1.0, 10.0)])

    assert (await count(scene), (await scene.ask()).wait_ms) == (starts, wait_ms)


@pytest.mark.parametrize(("most", "starts", "wait_ms"), [(7.0, 4, 1_000), (2.0, 2, 1_000), (-2.5, 0, 3_500)])
async def test_no_more_than_the_most_is_left_in_the_bucket(
    scene: Scene, most: float, starts: int, wait_ms: int
) -> None:
    """Of four that are left, of ten at most."""
    await opened(scene)
    await scene.broker.set_pace(LANE, None, [pace(1.0, 10.0)])
    assert await count(scene, 6) == 6

    await scene.broker.set_pace(LANE, None, [pace(1.0, 10.0, most=most, counted=6)])

    assert (await count(scene), (await scene.ask()).wait_ms) == (starts, wait_ms)


@pytest.mark.parametrize(("unit", "each"), [(Unit.REQUESTS, 1), (Unit.TOKENS, 100), (Unit.OUTPUT_TOKENS, 60)])
async def test_what_was_spent_since_goes_off_the_most(scene: Scene, unit: Unit, each: int) -> None:
    """Who sets the pace knew of three calls; five more started before the word came."""
    await opened(scene)
    await scene.broker.set_pace(LANE, None, [pace(1.0, 20.0 * each, unit=unit)])
    assert await count(scene, 8) == 8

    await scene.broker.set_pace(LANE, None, [pace(1.0, 20.0 * each, unit=unit, most=7.0 * each, counted=3 * each)])

    assert await count(scene) == 2


async def test_tokens_that_were_not_used_go_back_into_the_bucket(scene: Scene) -> None:
    await opened(scene)
    await scene.broker.set_pace(LANE, None, [pace(100.0, 200.0, unit=Unit.TOKENS)])
    claims = await scene.claim(9)

    await scene.broker.release([Release(claims[0], 10, used_output=10), Release(claims[1], 190, used_output=10)])

    assert len(claims) == 2
    assert await scene.ask() == ((), 1_000)


async def test_each_gate_is_paced_by_itself(scene: Scene) -> None:
    await opened(scene, EAST, WEST)
    await scene.broker.set_pace(LANE, "east", [pace(1.0, 2.0)])
    await scene.broker.set_pace(LANE, "west", [pace(0.1, 3.0)])

    assert sorted(str(one) for one in await scene.gates(400)) == ["east"] * 2 + ["west"] * 3
    assert await scene.ask() == ((), 1_000)


async def test_a_gates_pace_stands_in_place_of_the_gates_limit_not_of_the_lanes(scene: Scene) -> None:
    await opened(scene, EAST._replace(rpm=1), rpm=60)
    await scene.broker.set_pace(LANE, "east", [pace(100.0, 100.0)])

    assert await count(scene) == 1
    scene.clock.advance_ms(1_100)
    assert await count(scene) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        pace(0.0, 1.0),
        pace(-1.0, 1.0),
        pace(float("nan"), 1.0),
        pace(1.0, float("inf")),
        pace(1.0, 1.0, most=float("-inf")),
    ],
)
async def test_a_pace_that_cannot_be_kept_to_is_refused(scene: Scene, wrong: Pace) -> None:
    await opened(scene)

    with pytest.raises(ValueError, match="per_s above 0"):
        await scene.broker.set_pace(LANE, None, [wrong])
    assert await count(scene) == 400


arrivals = st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 400)), min_size=5, max_size=60)


@pytest.mark.parametrize("kind", sorted(FACTORIES))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arrivals=arrivals, per_s=st.floats(1.0, 500.0), burst=st.floats(0.0, 1_000.0))
async def test_no_stretch_of_time_sees_more_than_the_burst_and_the_rate(
    kind: str, arrivals: list[tuple[int, int]], per_s: float, burst: float
) -> None:
    """Over any time t: at most burst + per_s * t, and one call that was larger than the burst."""
    clock = StillClock()
    scene = Scene(await FACTORIES[kind](clock), clock)
    await scene.open()
    await scene.broker.set_pace(LANE, None, [pace(per_s, burst, unit=Unit.TOKENS)])
    started: list[tuple[int, int]] = []
    for number, (gap_ms, tokens) in enumerate(arrivals):
        clock.advance_ms(gap_ms)
        await scene.enqueue(task(number, tokens=tokens))
        started += [(clock.elapsed_ms, one.tokens) for one in await scene.claim(99)]

    await scene.broker.close()
    for first, (began, _) in enumerate(started):
        spent = 0
        for at, tokens in started[first:]:
            spent += tokens
            assert spent <= burst + per_s * (at - began) / 1_000 + 400 + 1
