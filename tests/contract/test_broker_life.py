"""Slots, repeated and late calls, and mending towards the record."""

from __future__ import annotations

from tests.contract import broker_scene
from tests.contract.broker_scene import LANE, ME, OTHER, START, Scene, rules, task

from llm_scheduler.domain.ids import Millis, SessionId, TaskId, TenantId
from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.ports.broker import LaneDepth, Release, Slot

scene = broker_scene.scene


def slot(number: int, *, attempt: int = 0, tenant: int = 1, session: int = 7) -> Slot:
    return Slot(TaskId(number), LANE, TenantId(tenant), SessionId(session), attempt, Millis(START))


async def test_a_claim_tells_what_its_entry_said_and_holds_a_slot(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1, tenant=4, tokens=123, attempt=2))
    scene.clock.advance_ms(1_500)

    (claim,) = await scene.claim()

    assert claim[:5] == (1, LANE, 4, 2, 123)
    assert await scene.slots() == [Slot(TaskId(1), LANE, TenantId(4), ME, 2, Millis(START + 1_500))]


async def test_adding_a_task_that_waits_changes_nothing(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1), task(2))
    await scene.enqueue(task(1, order=99, attempt=5), task(2), task(2))

    assert scene.broker.waiting() == 2
    assert [(one.task_id, one.attempt) for one in await scene.claim(9)] == [(1, 0), (2, 0)]


async def test_adding_a_task_that_holds_a_slot_changes_nothing(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1))
    await scene.claim()

    await scene.enqueue(task(1))

    assert await scene.ids(9) == []


async def test_a_release_frees_only_the_slot_of_its_own_attempt(scene: Scene) -> None:
    """A late release of an older attempt must not free the newer attempt's slot."""
    await scene.open(rules(max_workers=1))
    await scene.enqueue(task(1))
    (old,) = await scene.claim()
    await scene.broker.release([Release(old, None, task(1, attempt=1))])
    (new,) = await scene.claim()
    await scene.enqueue(task(2))

    await scene.broker.release([Release(old, None, task(1, attempt=1), True)])

    assert [one.attempt for one in await scene.slots()] == [1]
    assert await scene.ids() == []
    await scene.done(new)
    assert await scene.ids() == [2]


async def test_releasing_twice_frees_and_settles_once(scene: Scene) -> None:
    await scene.open(rules(max_workers=2, tpm=1_000))
    await scene.enqueue(task(1, tokens=100), task(2, tokens=1), task(3, tokens=1))
    (claim,) = await scene.claim()

    await scene.done(claim, claim, used_tokens=300)
    first_wait = (await scene.ask())[1]
    await scene.done(claim, used_tokens=300)

    assert first_wait is not None
    assert (await scene.ask())[1] == first_wait
    assert await scene.slots() == []


async def test_a_stale_release_puts_nothing_back(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1))
    (claim,) = await scene.claim()
    await scene.done(claim)

    await scene.broker.release([Release(claim, None, task(1, attempt=1))])

    assert scene.broker.waiting() == 0


async def test_a_release_for_a_lane_that_is_gone_changes_nothing(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1))
    (claim,) = await scene.claim()
    await scene.broker.drop_lane(LANE)

    await scene.broker.release([Release(claim, 5, task(1))])

    assert await scene.broker.depths() == []


async def test_removed_tasks_are_never_handed_out(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(*(task(number, tenant=number % 2) for number in range(6)))

    await scene.broker.remove(LANE, [TaskId(number) for number in (0, 3, 5, 77)])
    await scene.broker.remove(OTHER, [TaskId(1)])

    assert await scene.ids(9) == [1, 2, 4]


async def test_a_removed_task_may_come_again_in_another_place(scene: Scene) -> None:
    await scene.open(rules(share_rule=ShareRule.HEAD_ORDER))
    await scene.enqueue(task(1), task(2), task(3))
    await scene.broker.remove(LANE, [TaskId(1), TaskId(3)])
    await scene.enqueue(task(1, order=50, attempt=4), task(3, order=0))

    assert [(one.task_id, one.attempt) for one in await scene.claim(9)] == [(3, 0), (2, 0), (1, 4)]


async def test_removing_touches_no_slot(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1))
    await scene.claim()

    await scene.broker.remove(LANE, [TaskId(1)])

    assert [one.task_id for one in await scene.slots()] == [1]


async def test_removing_a_large_head_lets_a_small_one_go(scene: Scene) -> None:
    await scene.open(rules(tpm=1_000))
    await scene.enqueue(task(1, tokens=1), task(2, tokens=5_000), task(3, tokens=1))
    assert await scene.ids(3) == [1]

    await scene.broker.remove(LANE, [TaskId(2)])

    assert await scene.ids(3) == [3]


async def test_a_dropped_lane_is_forgotten(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1), task(2))
    await scene.claim()

    await scene.broker.drop_lane(LANE)
    await scene.broker.drop_lane(OTHER)

    assert (scene.broker.waiting(), await scene.slots(), await scene.broker.depths()) == (0, [], [])
    await scene.open()
    await scene.enqueue(task(1))
    assert await scene.ids() == [1]


async def test_depths_tell_what_waits_and_runs(scene: Scene) -> None:
    await scene.open(rules())
    await scene.enqueue(*(task(number, band=number % 3, tenant=number % 2) for number in range(10)))
    await scene.enqueue(task(50, lane=OTHER))
    await scene.claim(2)

    depths = list(await scene.broker.depths())

    assert depths == [
        LaneDepth(LANE, 8, 2, ((0, 2), (1, 3), (2, 3)), Millis(START + 1), ((0, 200), (1, 300), (2, 300))),
        LaneDepth(OTHER, 1, 0, ((5, 1),), Millis(START + 50), ((5, 100),)),
    ]
    assert [scene.broker.waiting(), scene.broker.waiting(LANE), scene.broker.waiting(OTHER)] == [9, 8, 1]


async def test_slots_of_one_lane_or_of_all(scene: Scene) -> None:
    await scene.open(rules(), rules(lane=OTHER))
    await scene.enqueue(task(1), task(2, lane=OTHER))
    await scene.claim(2, LANE, OTHER)

    assert [one.task_id for one in await scene.slots(OTHER)] == [2]
    assert [one.task_id for one in await scene.slots()] == [1, 2]


async def test_reconcile_changes_nothing_when_all_is_well(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1), task(2), task(3))
    await scene.claim()

    changed = await scene.broker.reconcile([task(2), task(3)], [slot(1)], [(LANE, TaskId(99))])

    assert changed == 0
    assert await scene.ids(9) == [2, 3]


async def test_reconcile_adds_what_is_missing(scene: Scene) -> None:
    await scene.open()

    assert await scene.broker.reconcile([task(2), task(1)], [], []) == 2
    assert await scene.ids(9) == [1, 2]


async def test_reconcile_drops_what_is_absent(scene: Scene) -> None:
    await scene.open(rules(max_workers=1))
    await scene.enqueue(task(1), task(2), task(3))
    await scene.claim()

    assert await scene.broker.reconcile([], [], [(LANE, TaskId(1)), (LANE, TaskId(2)), (OTHER, TaskId(3))]) == 2
    assert await scene.ids(9) == [3]


async def test_reconcile_adopts_what_runs(scene: Scene) -> None:
    """After a loss the slots come from the record, and count towards every limit."""
    await scene.open(rules(max_workers=3))
    await scene.broker.set_tenant_limit(TenantId(1), 2)
    await scene.enqueue(*(task(number) for number in range(5)), task(10, tenant=2), task(11, tenant=2))

    assert await scene.broker.reconcile([], [slot(3), slot(100)], []) == 2

    assert await scene.ids(9) == [10]
    assert [one.task_id for one in await scene.slots()] == [3, 10, 100]


async def test_an_adopted_slot_is_released_by_its_claim(scene: Scene) -> None:
    await scene.open(rules(max_workers=1))
    await scene.enqueue(task(1), task(2))
    (claim,) = await scene.claim()
    await scene.broker.drop_lane(LANE)
    await scene.open(rules(max_workers=1))
    await scene.broker.reconcile([task(2)], [slot(1, attempt=claim.attempt)], [])
    assert await scene.claim() == []

    await scene.done(claim, used_tokens=5)

    assert await scene.ids() == [2]


async def test_reconcile_leaves_a_claim_in_flight_alone(scene: Scene) -> None:
    """Between claim and START the record still says that the task waits."""
    await scene.open()
    await scene.enqueue(task(1))
    await scene.claim()

    assert await scene.broker.reconcile([task(1)], [], []) == 0
    assert await scene.ids(9) == []


async def test_reconcile_takes_a_lost_claim_back_when_told_both(scene: Scene) -> None:
    """A slot whose claimer died before START: the record says absent as a slot, and waiting."""
    await scene.open()
    await scene.enqueue(task(1))
    await scene.claim()

    assert await scene.broker.reconcile([task(1)], [], [(LANE, TaskId(1))]) == 2
    assert await scene.ids(9) == [1]


async def test_reconcile_replaces_an_entry_that_has_changed(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1), task(2))

    assert await scene.broker.reconcile([task(1, band=9), task(2, attempt=1)], [], []) == 2
    assert [(one.task_id, one.attempt) for one in await scene.claim(9)] == [(2, 1), (1, 0)]


async def test_reconcile_ignores_what_is_older_than_the_index(scene: Scene) -> None:
    """A page that was read before a retry must not undo it."""
    await scene.open()
    await scene.enqueue(task(1, attempt=3), task(2, attempt=3))
    await scene.claim()

    changed = await scene.broker.reconcile([task(2, attempt=2)], [slot(1, attempt=2), slot(2, attempt=2)], [])

    assert changed == 0
    assert [one.attempt for one in await scene.slots()] == [3]
    assert [one.attempt for one in await scene.claim()] == [3]


async def test_reconcile_believes_the_record_about_a_newer_attempt(scene: Scene) -> None:
    await scene.open(rules(max_workers=2))
    await scene.enqueue(task(1))
    await scene.claim()

    assert await scene.broker.reconcile([], [slot(1, attempt=1, session=8)], []) == 1
    assert [(one.attempt, one.session) for one in await scene.slots()] == [(1, 8)]


async def test_everything_can_be_rebuilt_from_the_record(scene: Scene) -> None:
    await scene.open(rules(max_workers=4))
    entries = [task(number, band=number % 3, tenant=number % 4) for number in range(40)]
    await scene.enqueue(*entries)
    claims = await scene.claim(4)
    slots = await scene.slots()
    running = {one.task_id for one in claims}

    await scene.broker.drop_lane(LANE)
    await scene.open(rules(max_workers=4))
    await scene.broker.reconcile([one for one in entries if one.task_id not in running], slots, [])

    assert await scene.claim(4) == []
    await scene.done(*claims)
    rest: list[int] = []
    while claims := await scene.claim(4):
        rest += [one.task_id for one in claims]
        await scene.done(*claims)
    assert sorted([*running, *rest]) == list(range(40))


async def test_close_may_be_called_twice(scene: Scene) -> None:
    await scene.broker.close()
    await scene.broker.close()
