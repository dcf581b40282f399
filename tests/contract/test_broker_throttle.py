"""The shared pause after a 429, and the probe that ends it."""

from __future__ import annotations

import pytest
from tests.contract import broker_scene
from tests.contract.broker_scene import LANE, ME, OTHER, Scene, rules, task

from llm_scheduler.ports.broker import Release

scene = broker_scene.scene


async def paused(scene: Scene, waiting: int = 20) -> None:
    await scene.open(rules(), rules(lane=OTHER))
    await scene.enqueue(*(task(number) for number in range(waiting)))
    await scene.broker.throttle(LANE, 5_000)


async def test_nothing_starts_during_the_pause(scene: Scene) -> None:
    await paused(scene)

    assert await scene.ask(9) == ((), 5_000)
    scene.clock.advance_ms(4_999)
    assert await scene.ask(9) == ((), 1)


async def test_a_pause_is_of_one_lane(scene: Scene) -> None:
    await paused(scene)
    await scene.enqueue(task(100, lane=OTHER))

    assert await scene.ids(9, LANE, OTHER) == [100]


async def test_a_shorter_pause_never_shortens_a_longer_one(scene: Scene) -> None:
    await paused(scene)
    await scene.broker.throttle(LANE, 1_000)

    assert (await scene.ask())[1] == 5_000
    await scene.broker.throttle(LANE, 9_000)
    assert (await scene.ask())[1] == 9_000


async def test_a_pause_that_is_ended_is_over_now_and_a_probe_goes_out(scene: Scene) -> None:
    await paused(scene)
    await scene.broker.throttle(OTHER, 9_000)

    await scene.broker.end_pause(LANE)

    assert [gate.holds for gate in (await scene.broker.state(LANE)).gates] == [()]
    assert await scene.ids(9) == [0]
    assert await scene.claim(9) == []
    await scene.enqueue(task(100, lane=OTHER))
    assert (await scene.ask(9, OTHER))[1] == 9_000


async def test_there_may_be_no_pause_to_end(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(*(task(number) for number in range(20)))

    await scene.broker.end_pause(LANE)
    await scene.broker.end_pause(LANE, "nowhere")

    assert len(await scene.claim(9)) == 9


async def test_who_waits_hears_that_a_pause_was_ended(scene: Scene) -> None:
    await paused(scene)
    seen = (await scene.broker.claim(ME, (LANE,), 9)).seen

    await scene.broker.end_pause(LANE)

    assert await scene.broker.wait(seen, 10_000) != seen


async def test_after_the_pause_one_probe_goes_out_and_the_others_wait_for_it(scene: Scene) -> None:
    await paused(scene)
    scene.clock.advance_ms(5_000)

    assert await scene.ids(9) == [0]
    scene.clock.advance_ms(500)
    assert await scene.claim(9) == []


async def test_a_probe_that_succeeds_opens_the_lane(scene: Scene) -> None:
    await paused(scene)
    scene.clock.advance_ms(5_000)
    probe = await scene.claim(9)

    await scene.done(*probe)

    assert len(await scene.claim(9)) == 9


async def test_a_probe_that_fails_makes_room_for_the_next(scene: Scene) -> None:
    await paused(scene)
    scene.clock.advance_ms(5_000)
    for expected in range(3):
        (probe,) = await scene.claim(9)
        assert probe.task_id == expected
        await scene.broker.release([Release(probe, None, None, is_success=False)])

    assert len(await scene.claim(9)) == 1


async def test_a_success_of_an_earlier_call_does_not_open_the_lane(scene: Scene) -> None:
    """It was let in before the provider said 429, and says nothing about now."""
    await scene.open()
    await scene.enqueue(*(task(number) for number in range(20)))
    early = await scene.claim(3)
    await scene.broker.throttle(LANE, 5_000)
    scene.clock.advance_ms(5_000)

    await scene.done(*early)

    assert len(await scene.claim(9)) == 1


async def test_a_probe_that_is_refused_pauses_the_lane_again(scene: Scene) -> None:
    await paused(scene)
    scene.clock.advance_ms(5_000)
    (probe,) = await scene.claim(9)

    await scene.broker.throttle(LANE, 7_000)
    await scene.broker.release([Release(probe, 0, task(0, attempt=1))])

    assert await scene.ask(9) == ((), 7_000)
    scene.clock.advance_ms(7_000)
    assert await scene.ids(9) == [0]


async def test_a_probe_that_runs_long_unrefused_counts_as_let_in(scene: Scene) -> None:
    """A refusal comes at once; an answer may take minutes and must not hold up the lane."""
    await paused(scene)
    scene.clock.advance_ms(5_000)
    await scene.claim(1)

    answer = await scene.ask(9)
    assert answer.wait_ms == 10_000
    scene.clock.advance_ms(answer.wait_ms)

    assert len(await scene.claim(9)) == 9


async def test_a_probe_whose_slot_is_dropped_makes_room_for_the_next(scene: Scene) -> None:
    await paused(scene)
    scene.clock.advance_ms(5_000)
    (probe,) = await scene.claim(1)

    await scene.broker.reconcile([], [], [(LANE, probe.task_id)])

    assert await scene.ids(9) == [1]


async def test_the_longest_of_several_waits_counts(scene: Scene) -> None:
    await scene.open(rules(rpm=2))
    await scene.enqueue(*(task(number) for number in range(9)))
    await scene.claim()
    await scene.broker.throttle(LANE, 40_000)

    assert (await scene.ask())[1] == 40_000


@pytest.mark.parametrize("in_flight", [1, 10])
async def test_a_thousand_tasks_and_a_provider_that_refuses_all(scene: Scene, in_flight: int) -> None:
    """At most one probe goes out for each pause, after the calls that were in flight."""
    await scene.open(rules(max_workers=in_flight))
    await scene.enqueue(*(task(number) for number in range(1_000)))
    calls: list[int] = []

    while scene.clock.elapsed_ms < 60_000:
        answer = await scene.ask(in_flight)
        calls += [scene.clock.elapsed_ms] * len(answer.claims)
        for claim in answer.claims:
            await scene.broker.throttle(LANE, 5_000)
            await scene.broker.release([Release(claim, 0, task(claim.task_id, attempt=claim.attempt + 1))])
        scene.clock.advance_ms(100)

    assert calls == [0] * in_flight + [5_000 * number for number in range(1, 12)]
    assert scene.broker.waiting() == 1_000
