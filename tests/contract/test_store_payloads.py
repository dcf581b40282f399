"""Payloads that are not to be kept: there as long as somebody needs them, and nowhere afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.store_scene import Scene, scene
from tests.contract.test_store_sealed import dumped

from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome, CacheWish, TaskOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import TaskId

__all__ = ["scene"]
BRIEF = TaskOptions(drops_payload=True)
ASKED, ANSWERED = '{"messages": ["a planted question"]}', "a planted answer"
GRACE_S = 600


async def submitted(it: Scene, count: int = 1, **fields: Any) -> list[TaskId]:
    return await it.submitted(count, input=ASKED, options=BRIEF, **fields)


def answer() -> dict[str, Any]:
    return {"output": ANSWERED, "raw": f'{{"said": "{ANSWERED}"}}', "drops_payload": True}


async def swept(it: Scene) -> int:
    return await it.store.blank_payloads(Millis(it.clock.now() - GRACE_S * 1000), 100)


async def where_planted(it: Scene) -> set[str]:
    """Columns of the whole database that hold some of the payload."""
    return {place for place, texts in (await dumped(it)).items() if any("a planted" in text for text in texts)}


async def test_an_answer_outlives_its_task_by_the_grace_and_the_input_does_not(scene: Scene) -> None:
    """The input goes with the end, in the same transaction; output and raw answer when the grace is over."""
    [task_id] = await submitted(scene)
    assert (await scene.task(task_id)).input == ASKED
    started = await scene.started(task_id)
    assert (started.input, started.options.drops_payload) == (ASKED, True)
    await scene.complete(started, **answer())
    task = await scene.task(task_id)

    assert (task.input, task.output) == ("", ANSWERED)
    assert await where_planted(scene) == {"tasks.output", "results.raw"}
    scene.clock.pass_s(GRACE_S - 1)
    assert await swept(scene) == 0
    scene.clock.pass_s(2)
    assert await swept(scene) == 1
    task = await scene.task(task_id)
    assert (task.status, task.output, task.raw, task.usage.total_tokens) == (Status.COMPLETED, None, None, 30)
    assert await where_planted(scene) == set()
    assert await swept(scene) == 0


async def test_a_payload_that_is_kept_is_not_touched(scene: Scene) -> None:
    """In the same batch, of the same sweep."""
    [kept] = await scene.submitted(1, input=ASKED)
    [brief] = await submitted(scene)
    for task_id in (kept, brief):
        started = await scene.started(task_id)
        await scene.complete(started, **answer() | {"drops_payload": started.options.drops_payload})
    scene.clock.pass_s(GRACE_S + 1)

    assert await swept(scene) == 1
    assert ((await scene.task(kept)).input, (await scene.task(kept)).output) == (ASKED, ANSWERED)
    assert ((await scene.task(brief)).input, (await scene.task(brief)).output) == ("", None)


async def fail(it: Scene, ids: Sequence[TaskId]) -> None:
    for task_id in ids:
        await it.fail(await it.started(task_id), drops_payload=True)


async def cancel(it: Scene, ids: Sequence[TaskId]) -> None:
    await it.store.cancel(ids)


async def cancel_running(it: Scene, ids: Sequence[TaskId]) -> None:
    for task_id in ids:
        started = await it.started(task_id)
        await it.store.cancel([task_id])
        ended = it.end(started, Status.CANCELLED, outcome=AttemptOutcome.CANCELLED, drops_payload=True)
        await it.store.record(ended)


async def expire(it: Scene, ids: Sequence[TaskId]) -> None:
    del ids
    it.clock.pass_s(3)
    assert await it.store.expire(100)


async def lose_the_worker(it: Scene, ids: Sequence[TaskId]) -> None:
    for task_id in ids:
        await it.started(task_id)
    it.session = await it.lose_worker()
    await it.store.rescue(1, 100)


ENDS = {one.__name__: one for one in (fail, cancel, cancel_running, expire, lose_the_worker)}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_however_a_task_ends_without_an_answer_its_input_stays_for_the_grace(scene: Scene, end: Any) -> None:
    """So that a person can queue it again; then it goes."""
    deadline = {"deadline_at": Millis(scene.clock.now() + 2000)} if end is expire else {}
    ids = await submitted(scene, 2, **deadline)
    await end(scene, ids)
    assert {(await scene.task(task_id)).input for task_id in ids} == {ASKED}

    scene.clock.pass_s(GRACE_S + 1)
    assert await swept(scene) == 2
    assert {(await scene.task(task_id)).input for task_id in ids} == {""}
    assert await where_planted(scene) == set()


async def test_a_task_that_is_queued_again_keeps_its_input(scene: Scene) -> None:
    """However long it waits then: the sweep passes over it, and it fades after its new end."""
    [task_id] = await submitted(scene)
    await fail(scene, [task_id])
    assert await scene.store.requeue([task_id], statuses=[Status.FAILED])
    scene.clock.pass_s(GRACE_S + 1)

    assert await swept(scene) == 0
    started = await scene.started(task_id, expected=1)
    assert started.input == ASKED
    await scene.complete(started, **answer())
    scene.clock.pass_s(GRACE_S + 1)
    assert await swept(scene) == 1
    assert await where_planted(scene) == set()


async def test_a_task_whose_input_is_gone_is_queued_again_with_another_one_only(scene: Scene) -> None:
    """It would be called with nothing. Others of the same request are queued."""
    [gone, kept] = [*await submitted(scene), *await scene.submitted(1)]
    await fail(scene, [gone])
    await scene.fail(await scene.started(kept))
    scene.clock.pass_s(GRACE_S + 1)
    await swept(scene)

    back = await scene.store.requeue([gone, kept], statuses=[Status.FAILED])
    assert [task.task_id for task in back] == [kept]
    assert await scene.status(gone) is Status.FAILED
    back = await scene.store.requeue([gone], statuses=[Status.FAILED], input='{"b": 2}', est_tokens=5)
    assert [task.task_id for task in back] == [gone]
    assert (await scene.started(gone, expected=1)).input == '{"b": 2}'


async def test_a_retry_keeps_the_input(scene: Scene) -> None:
    """A task that waits for its next attempt is not over."""
    [task_id] = await submitted(scene)
    await scene.retry_later(await scene.started(task_id), drops_payload=True)
    scene.clock.pass_s(GRACE_S + 1)

    assert await swept(scene) == 0
    assert (await scene.task(task_id)).input == ASKED


async def test_an_answer_that_comes_late_ends_it_all_the_same(scene: Scene) -> None:
    """Salvaged from an attempt whose worker was given up."""
    [task_id] = await submitted(scene)
    started = await scene.started(task_id)
    await scene.lose_worker()
    await scene.store.rescue(3, 100)
    recorded = await scene.complete(started, **answer())

    assert recorded.is_accepted
    assert (await scene.task(task_id)).input == ""
    scene.clock.pass_s(GRACE_S + 1)
    assert await swept(scene) == 1


async def test_a_name_that_looks_like_the_mark_is_none(scene: Scene) -> None:
    """A template is the caller's to name."""
    options = TaskOptions(template='"drops_payload":true')
    [task_id] = await scene.submitted(1, input=ASKED, options=options, cache=CacheWish("k" * 64, 60))
    await scene.store.cancel([task_id])
    scene.clock.pass_s(GRACE_S + 1)

    assert await swept(scene) == 0


async def test_a_deleted_task_leaves_nothing_to_sweep_for_ever(scene: Scene) -> None:
    """Its mark goes when its time comes."""
    [task_id] = await submitted(scene)
    await scene.complete(await scene.started(task_id), **answer())
    assert await scene.store.delete([task_id]) == 1
    scene.clock.pass_s(GRACE_S + 1)

    assert await swept(scene) == 1
    assert await swept(scene) == 0
