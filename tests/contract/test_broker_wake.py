"""Who waits is told, and nobody else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.contract import broker_scene
from tests.contract.broker_scene import LANE, ME, OTHER, Scene, rules, task

from llm_scheduler.domain.ids import SessionId, TaskId, TenantId
from llm_scheduler.ports.broker import Claim, Release, Slot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

scene = broker_scene.scene

LONG_MS = 30_000
DEADLINE_S = 5.0


async def quiet(scene: Scene) -> None:
    """One task runs in a lane of one worker, another waits, and a claim has found nothing."""
    await scene.open(rules(max_workers=1), rules(lane=OTHER))
    await scene.enqueue(task(1), task(2))
    await scene.claim()
    assert await scene.claim(1, LANE, OTHER) == []


async def seen_by(scene: Scene) -> int:
    """What a claim that wants nothing more knows of."""
    return (await scene.broker.claim(ME, (LANE,), 1)).seen


async def is_asleep(scene: Scene, seen: int) -> bool:
    """Whether a wait does not return at once (20 ms are enough for an index that is elsewhere)."""
    try:
        async with asyncio.timeout(0.02):
            await scene.broker.wait(seen, LONG_MS)
    except TimeoutError:
        return True
    return False


def running_claim() -> Claim:
    """The claim that `quiet` made."""
    return Claim(TaskId(1), LANE, TenantId(1), 0, 100)


EVENTS: dict[str, Callable[[Scene], Awaitable[object]]] = {
    "enqueue": lambda scene: scene.enqueue(task(3)),
    "release": lambda scene: scene.broker.release([Release(running_claim())]),
    "rules": lambda scene: scene.open(rules(max_workers=2)),
    "tenant limit": lambda scene: scene.broker.set_tenant_limit(TenantId(1), 9),
    "lane limit": lambda scene: scene.broker.set_lane_limit(LANE, TenantId(1), 9),
    "removal of the head": lambda scene: scene.broker.remove(LANE, [TaskId(2)]),
    "slot dropped": lambda scene: scene.broker.reconcile([], [], [(LANE, TaskId(1))]),
    "entry mended": lambda scene: scene.broker.reconcile([task(3)], [], []),
}


@pytest.mark.parametrize("event", sorted(EVENTS))
async def test_an_event_wakes_everyone_who_waits(scene: Scene, event: str) -> None:
    await quiet(scene)
    seen = await seen_by(scene)
    waiters = [asyncio.ensure_future(scene.broker.wait(seen, LONG_MS)) for _ in range(3)]
    await asyncio.sleep(0)

    await EVENTS[event](scene)

    async with asyncio.timeout(DEADLINE_S):
        answers = await asyncio.gather(*waiters)
    assert seen not in answers


@pytest.mark.parametrize("event", sorted(EVENTS))
async def test_an_event_between_claim_and_wait_is_not_lost(scene: Scene, event: str) -> None:
    await quiet(scene)
    seen = await seen_by(scene)

    await EVENTS[event](scene)

    assert not await is_asleep(scene, seen)


async def test_what_a_wait_has_told_does_not_wake_again(scene: Scene) -> None:
    """A worker without room claims nothing, and must not spin."""
    await quiet(scene)
    seen = await seen_by(scene)
    await scene.enqueue(task(3))
    seen = await scene.broker.wait(seen, LONG_MS)

    assert await is_asleep(scene, seen)


async def test_calls_that_change_nothing_wake_nobody(scene: Scene) -> None:
    await quiet(scene)
    seen = await seen_by(scene)
    await scene.enqueue(task(1), task(2))
    await scene.done(running_claim()._replace(attempt=5))
    await scene.broker.remove(LANE, [TaskId(77)])
    await scene.broker.reconcile(
        [task(2)], [Slot(TaskId(1), LANE, TenantId(1), SessionId(7), 0, task(1).queued_at)], [(LANE, TaskId(77))]
    )

    assert await is_asleep(scene, seen)


async def test_another_waiters_claim_does_not_swallow_what_is_left(scene: Scene) -> None:
    """Two tasks came, somebody took one: who had found nothing before must still hear of the other."""
    await scene.open()
    seen = await seen_by(scene)
    await scene.enqueue(task(1), task(2))
    assert await scene.ids() == [1]

    assert not await is_asleep(scene, seen)


async def test_who_waited_and_was_cancelled_leaves_nothing_behind(scene: Scene) -> None:
    await quiet(scene)
    seen = await seen_by(scene)
    waiter = asyncio.ensure_future(scene.broker.wait(seen, LONG_MS))
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.wait((waiter,))

    await scene.enqueue(task(3))

    assert waiter.cancelled()
    assert not await is_asleep(scene, seen)


async def test_a_wait_ends_when_a_new_lane_comes(scene: Scene) -> None:
    seen = await seen_by(scene)
    waiter = asyncio.ensure_future(scene.broker.wait(seen, LONG_MS))
    await asyncio.sleep(0)

    await scene.open()

    async with asyncio.timeout(DEADLINE_S):
        await waiter
