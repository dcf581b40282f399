"""Tasks that go to another model: after an attempt, or while they wait."""

import asyncio

from tests.contract import store_scene
from tests.contract.store_scene import NOON, Scene

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.status import DeadReason, Status
from llm_scheduler.domain.task import CacheWish, TaskOptions
from llm_scheduler.ports.diverting import Diversion, Divertible
from llm_scheduler.ports.store import StartedTask, StartOrder

scene = store_scene.scene
MOVED = TaskOptions(fallback_models=("spare",), first_model="m", moved_for="not_found")


async def spare(scene: Scene) -> Model:
    return await scene.store.add_model(Model(ModelId(0), DEFAULT_TENANT, "spare", "scripted", {}))


async def refused(scene: Scene, started: StartedTask, model_id: int) -> tuple[bool, Status]:
    end = await scene.fail(started, next_model_id=model_id, next_options=MOVED, note="moved to 'spare'")
    return end.is_accepted, end.status


async def waiting(scene: Scene) -> list[Divertible]:
    return list(await scene.store.divertible(scene.model.id, DEFAULT_TENANT, None, 100))


def diverted(task: Divertible, model: Model) -> Diversion:
    return Diversion(task, model.id, MOVED, "moved to 'spare': the circuit of 'm' is open")


async def test_a_refused_task_is_queued_at_its_next_model_in_its_place_with_its_retries_anew(scene: Scene) -> None:
    other = await spare(scene)
    (task_id,) = await scene.submitted(deadline_at=Millis(NOON + 60_000))
    await scene.retry_later(await scene.started(task_id))
    scene.clock.pass_s(6)
    await scene.store.promote(10)
    before = await scene.task(task_id)

    answer = await refused(scene, await scene.started(task_id, 1), other.id)

    task = await scene.task(task_id)
    assert answer == (True, Status.QUEUED)
    assert (task.status, task.model_id, task.options) == (Status.QUEUED, other.id, MOVED)
    assert (task.queued_at, task.deadline_at) == (before.queued_at, before.deadline_at)
    assert (task.failures, task.retry_count, task.dead_reason, task.error) == (0, 0, None, None)
    assert (await scene.said(task_id))[-1] == "failed: the provider broke; moved to 'spare'"
    attempts = await scene.store.attempts(task_id)
    assert [one.outcome for one in attempts] == ["failed", "failed"]


async def test_it_runs_there_and_is_counted_there(scene: Scene) -> None:
    other = await spare(scene)
    (task_id,) = await scene.submitted()
    await refused(scene, await scene.started(task_id), other.id)

    started = await scene.started(task_id, 1)
    await scene.complete(started)

    task = await scene.task(task_id)
    assert (started.model_id, started.failures, started.options) == (other.id, 0, MOVED)
    assert (task.status, task.model_id) == (Status.COMPLETED, other.id)
    counts = {model.name: (model.total_requests, model.success_requests) for model in await scene.store.models()}
    assert counts == {"m": (1, 0), "spare": (1, 1)}


async def test_a_next_model_that_is_gone_leaves_the_end_as_it_was_to_be(scene: Scene) -> None:
    (task_id,) = await scene.submitted()

    answer = await refused(scene, await scene.started(task_id), 999_999)

    assert answer == (True, Status.FAILED)
    assert (await scene.task(task_id)).dead_reason is DeadReason.NOT_RETRYABLE
    assert (await scene.task(task_id)).model_id == scene.model.id


async def test_a_cancel_and_a_lost_fence_win_over_the_move(scene: Scene) -> None:
    other = await spare(scene)
    one, two = await scene.submitted(2)
    first, second = await scene.started(one), await scene.started(two)
    await scene.store.cancel([one])
    cancelled = await refused(scene, first, other.id)
    await scene.lose_worker()
    await scene.store.rescue(5, 10)
    late = await refused(scene, second, other.id)

    assert cancelled == (True, Status.CANCELLED)
    assert late == (False, Status.QUEUED)
    assert (await scene.task(one)).status is Status.CANCELLED
    assert (await scene.task(two)).model_id == scene.model.id


async def test_the_same_end_twice_moves_it_once(scene: Scene) -> None:
    other = await spare(scene)
    (task_id,) = await scene.submitted()
    started = await scene.started(task_id)

    answers = [await refused(scene, started, other.id) for _ in range(2)]

    assert answers == [(True, Status.QUEUED)] * 2
    assert len(await scene.said(task_id)) == 3


async def test_ends_of_one_commit_go_different_ways(scene: Scene) -> None:
    other = await spare(scene)
    ids = await scene.submitted(6)
    started = [await scene.started(task_id) for task_id in ids]

    await asyncio.gather(
        *(refused(scene, one, other.id) for one in started[:3]),
        *(scene.fail(one) for one in started[3:5]),
        scene.complete(started[5]),
    )

    statuses = [await scene.status(task_id) for task_id in ids]
    assert statuses == ["queued"] * 3 + ["failed"] * 2 + ["completed"]
    assert {(await scene.task(task_id)).model_id for task_id in ids[:3]} == {other.id}


async def test_waiting_tasks_are_listed_by_page_and_diverted_in_their_places(scene: Scene) -> None:
    other = await spare(scene)
    ids = await scene.submitted(5)
    await scene.started(ids[4])
    scene.clock.pass_s(1)
    ids += await scene.submitted(2)
    found = await waiting(scene)
    first = await scene.store.divertible(scene.model.id, DEFAULT_TENANT, None, 3)
    rest = await scene.store.divertible(scene.model.id, DEFAULT_TENANT, (first[-1].created_at, first[-1].task_id), 9)

    moved = await scene.store.divert([diverted(task, other) for task in found[:5]])

    assert [task.task_id for task in [*first, *rest]] == [*ids[:4], *ids[5:]]
    assert found == [*first, *rest]
    assert sorted(task.task_id for task in moved) == [task.task_id for task in found[:5]]
    assert {(task.model_id, task.queued_at) for task in moved} == {(other.id, NOON), (other.id, NOON + 1_000)}
    assert [task.task_id for task in await waiting(scene)] == [ids[6]]
    assert (await scene.said(ids[0]))[-1] == "moved to 'spare': the circuit of 'm' is open"
    assert (await scene.task(ids[0])).options == MOVED


async def test_what_does_not_wait_there_any_more_is_not_diverted(scene: Scene) -> None:
    other = await spare(scene)
    ids = await scene.submitted(4)
    found = await waiting(scene)
    await scene.started(ids[0])
    await scene.store.cancel([ids[1]])
    await scene.store.divert([diverted(found[2], other)])

    moved = await scene.store.divert([diverted(task, other) for task in found])
    gone = await scene.store.divert([Diversion(found[3], ModelId(999_999), MOVED, "moved")])

    assert [task.task_id for task in moved] == [ids[3]]
    assert gone == []
    assert (await scene.task(ids[0])).model_id == scene.model.id


async def test_a_claim_of_the_lane_that_a_task_has_left_starts_nothing(scene: Scene) -> None:
    """The claim was under way while the task moved: its slot is another model's, so it must not run in it."""
    other = await spare(scene)
    (task_id,) = await scene.submitted()
    await scene.store.divert([diverted((await waiting(scene))[0], other)])

    stale = await scene.store.start(scene.session, [StartOrder(TaskId(task_id), 0, model_id=scene.model.id)])
    fresh = await scene.store.start(scene.session, [StartOrder(TaskId(task_id), 0, "eu", other.id)])

    assert stale == [None]
    assert isinstance(fresh[0], StartedTask)
    assert (fresh[0].model_id, fresh[0].endpoint) == (other.id, "eu")


async def test_who_follows_a_task_that_moves_does_not_wait_for_another_models_answer(scene: Scene) -> None:
    other = await spare(scene)
    leader, follower = await scene.submitted(2, cache=CacheWish("k" * 64, 60))
    started = await scene.started(leader)

    end = await scene.fail(started, next_model_id=other.id, next_options=MOVED)

    assert [task.task_id for task in end.followers.freed] == [follower]
    assert await scene.status(follower) is Status.QUEUED
    assert (await scene.task(follower)).model_id == scene.model.id
    assert (await scene.task(leader)).cache is None


async def test_a_late_answer_of_the_model_that_was_left_says_who_gave_it(scene: Scene) -> None:
    other = await spare(scene)
    (task_id,) = await scene.submitted()
    started = await scene.started(task_id)
    await scene.lose_worker()
    await scene.store.rescue(5, 10)
    await scene.store.divert([diverted((await waiting(scene))[0], other)])

    answer = await scene.complete(started)

    task = await scene.task(task_id)
    assert (answer.is_accepted, task.status, task.model_id) == (True, Status.COMPLETED, scene.model.id)
