"""An index that was lost is filled from the record; rules keep their version; somebody leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contract import broker_scene
from tests.contract.broker_scene import LANE, ME, OTHER, START, Scene, rules, task

from llm_scheduler.domain.ids import Millis, SessionId, TaskId, TenantId
from llm_scheduler.ports.broker import PastStart, Slot

if TYPE_CHECKING:
    from llm_scheduler.ports.broker import LaneRules

scene = broker_scene.scene


def version(number: int, *, max_workers: int) -> LaneRules:
    return rules(max_workers=max_workers)._replace(version=number)


def past(at: int, *, tokens: int = 100) -> PastStart:
    """A start so many milliseconds after the scene's first moment."""
    return PastStart(LANE, Millis(START + at), tokens)


async def test_a_pulse_tells_that_every_shard_is_open(scene: Scene) -> None:
    pulses = await scene.broker.pulse()

    assert [one.shard for one in pulses] == list(range(len(pulses)))
    assert all(one.epoch for one in pulses)


async def test_a_beat_never_falls_while_nothing_is_lost(scene: Scene) -> None:
    first, second = await scene.broker.pulse(), await scene.broker.pulse()

    assert all(one.beat <= other.beat for one, other in zip(first, second, strict=True))
    assert [one.epoch for one in first] == [one.epoch for one in second]


async def test_a_forced_rebuild_keeps_what_is_right_and_opens_again(scene: Scene) -> None:
    await scene.open(rules(max_workers=3), rules(lane=OTHER))
    await scene.enqueue(task(1), task(2), task(3, lane=OTHER))
    await scene.claim()

    token = await scene.broker.begin_rebuild(is_forced=True)
    assert token is not None
    slot = Slot(TaskId(1), LANE, TenantId(1), ME, 0, Millis(START))
    await scene.broker.reconcile([task(2), task(3, lane=OTHER)], [slot], [])
    await scene.broker.remember([])

    assert await scene.broker.finish_rebuild(token)
    assert sorted(await scene.ids(9, LANE, OTHER)) == [2, 3]
    assert len(await scene.slots()) == 3


async def test_what_started_lately_counts_against_requests(scene: Scene) -> None:
    """60 a minute, 98 % of it handed out: two starts that have just been leave 1.4 s to wait."""
    await scene.open(rules(rpm=60))
    await scene.enqueue(task(1))

    await scene.broker.remember([past(0), past(0)])

    assert await scene.ask() == ((), 1_441)


async def test_what_started_a_minute_ago_does_not_count(scene: Scene) -> None:
    await scene.open(rules(rpm=60, tpm=1_000))
    await scene.enqueue(task(1, tokens=900))
    scene.clock.advance_ms(61_000)

    await scene.broker.remember([past(0, tokens=900)])

    assert await scene.ids() == [1]


async def test_what_started_lately_counts_against_tokens(scene: Scene) -> None:
    """The window is full until the start falls out of it: 60.6 s after it, 20.6 s from now."""
    await scene.open(rules(tpm=1_000))
    await scene.enqueue(task(1, tokens=500))
    scene.clock.advance_ms(40_000)

    await scene.broker.remember([past(0, tokens=600)])

    assert await scene.ask() == ((), 20_600)


async def test_remembering_replaces_what_the_limits_knew(scene: Scene) -> None:
    await scene.open(rules(rpm=1))
    await scene.enqueue(task(1), task(2))
    assert await scene.ids(2) == [1]

    await scene.broker.remember([past(-59_000)])

    told = await scene.ask()
    assert told.wait_ms is not None
    assert told.wait_ms < 3_000


async def test_many_starts_are_remembered_in_order(scene: Scene) -> None:
    """More than fit into one call to a remote index."""
    await scene.open(rules(rpm=6_000))
    await scene.enqueue(task(1))
    scene.clock.advance_ms(6_000)

    await scene.broker.remember([past(number) for number in range(1_200)])

    told = await scene.ask()
    assert told.wait_ms == 1_200 * 10_205 // 1_000 - 6_000 - 600


async def test_older_rules_than_those_in_force_are_ignored(scene: Scene) -> None:
    await scene.open(version(5, max_workers=1))
    await scene.enqueue(task(1), task(2), task(3))

    await scene.open(version(4, max_workers=9))
    assert await scene.ids(9) == [1]
    await scene.open(version(5, max_workers=2))
    assert await scene.ids(9) == [2]
    await scene.open(version(6, max_workers=3))
    assert await scene.ids(9) == [3]


async def test_a_dropped_lane_forgets_its_version(scene: Scene) -> None:
    await scene.open(version(5, max_workers=1))
    await scene.broker.drop_lane(LANE)

    await scene.open(version(0, max_workers=2))
    await scene.enqueue(task(1), task(2))

    assert await scene.ids(9) == [1, 2]


async def test_who_leads_goes_on_leading(scene: Scene) -> None:
    assert await scene.broker.lead(SessionId(1), 10)
    assert await scene.broker.lead(SessionId(1), 10)
