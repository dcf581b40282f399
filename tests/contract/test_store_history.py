"""History: what has run, page by page, for replaying it."""

from tests.contract import store_scene
from tests.contract.store_scene import Scene

from llm_scheduler.domain.ids import Millis, TaskId, TenantId
from llm_scheduler.domain.task import Usage
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.ports.history import Mark

scene = store_scene.scene


async def test_history_tells_sizes_and_times_of_what_ended(scene: Scene) -> None:
    (task_id,) = await scene.submitted(priority=9)
    queued_at = scene.clock.at
    scene.clock.pass_s(3)
    started = await scene.started(task_id)
    scene.clock.pass_s(2)
    await scene.complete(started, usage=Usage(70, 30), cost_microusd=12)
    scene.clock.pass_s(5)

    (call,) = await scene.store.history(Mark(Millis(0), TaskId(-1), 0), scene.clock.at, 10)

    assert (call.task_id, call.priority, call.type) == (task_id, 9, "chat")
    assert (call.prompt_tokens, call.completion_tokens, call.cost_microusd) == (70, 30, 12)
    assert [at - queued_at for at in (call.queued_at, call.started_at, call.ended_at)] == [0, 3000, 4200]
    assert call.deadline_at is None


async def test_pages_of_history_give_every_call_once_also_those_that_end_together(scene: Scene) -> None:
    ids = await scene.submitted(7)
    for count, task_id in enumerate(ids):
        started = await scene.started(task_id)
        await (scene.fail(started) if count % 3 == 2 else scene.complete(started))
        scene.clock.pass_s(count % 2)
    scene.clock.pass_s(5)

    found, after = [], Mark(Millis(0), TaskId(-1), 0)
    while page := await scene.store.history(after, scene.clock.at, 2):
        assert len(page) <= 2
        found += page
        after = Mark(page[-1].ended_at, page[-1].task_id, page[-1].attempt)

    assert sorted(call.task_id for call in found) == sorted(ids)
    assert [call.ended_at for call in found] == sorted(call.ended_at for call in found)


async def test_history_leaves_out_what_runs_what_was_put_back_and_what_lies_outside_the_span(scene: Scene) -> None:
    early, late, running = await scene.submitted(3)
    await scene.complete(await scene.started(early))
    scene.clock.pass_s(10)
    await scene.complete(await scene.started(late))
    await scene.started(running)
    scene.clock.pass_s(10)

    since = Mark(Millis(scene.clock.at - 11_000), TaskId(-1), 0)

    assert [call.task_id for call in await scene.store.history(since, scene.clock.at, 10)] == [late]
    assert not await scene.store.history(since, Millis(scene.clock.at - 10_000), 10)


async def test_a_tenant_can_be_asked_for_alone(scene: Scene) -> None:
    await scene.store.save_tenant(Tenant(TenantId(2), "second"))
    (ours,) = await scene.submitted()
    (theirs,) = await scene.submitted(tenant_id=TenantId(2))
    for task_id in (ours, theirs):
        await scene.complete(await scene.started(task_id))
    scene.clock.pass_s(5)
    start = Mark(Millis(0), TaskId(-1), 0)

    assert [one.task_id for one in await scene.store.history(start, scene.clock.at, 10, TenantId(2))] == [theirs]
    assert len(await scene.store.history(start, scene.clock.at, 10)) == 2


async def test_a_retry_is_a_call_of_its_own(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    first = await scene.started(task_id)
    await scene.retry_later(first, wait_s=5)
    scene.clock.pass_s(6)
    await scene.store.promote(10)
    second = await scene.started(task_id, expected=1)
    await scene.complete(second)
    scene.clock.pass_s(5)

    calls = await scene.store.history(Mark(Millis(0), TaskId(-1), 0), scene.clock.at, 10)

    assert [(call.task_id, call.attempt) for call in calls] == [(task_id, 1), (task_id, 2)]
