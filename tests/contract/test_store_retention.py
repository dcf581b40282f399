"""Finished tasks that are old leave the record with all they have; nothing else does."""

import asyncio

from tests.contract import store_scene
from tests.contract.store_scene import NOON, Scene

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import LogLevel, TaskLog
from llm_scheduler.ports.retention import Cut
from llm_scheduler.ports.store import TaskFilter

scene = store_scene.scene
DAY_S = 86_400
DAY_MS = DAY_S * 1000


async def old_ones(scene: Scene, before: Millis) -> list[TaskId]:
    found: list[TaskId] = []
    for within in await scene.store.id_ranges():
        after: int | None = 0
        while after is not None:
            page = await scene.store.candidates(within, before, after, 3)
            found += [one.task_id for one in page.found]
            after = page.last_id
    return found


async def finished(scene: Scene, count: int = 1, **changes: object) -> list[TaskId]:
    ids = await scene.submitted(count, **changes)
    for task_id in ids:
        await scene.complete(await scene.started(task_id))
    return ids


async def test_the_walk_finds_every_kind_of_finished_task_that_is_old_enough(scene: Scene) -> None:
    (done,) = await finished(scene)
    failed, cancelled, expired = await scene.submitted(3, deadline_at=Millis(NOON + 5_000))
    await scene.fail(await scene.started(failed))
    await scene.store.cancel([cancelled])
    scene.clock.pass_s(10)
    await scene.store.expire(10)
    line = Millis(scene.clock.now() + 1)

    assert await old_ones(scene, line) == [done, failed, cancelled, expired]


async def test_the_walk_passes_over_what_is_unfinished_or_finished_lately(scene: Scene) -> None:
    queued, running, later = await scene.submitted(3)
    old = await finished(scene, 4)
    await scene.started(running)
    started = await scene.started(later)
    scene.clock.pass_s(DAY_S)
    line = scene.clock.now()
    await scene.complete(started, ended_at=line)

    assert await old_ones(scene, line) == old
    assert await scene.status(queued) is Status.QUEUED


async def test_a_page_says_when_all_of_it_is_young(scene: Scene) -> None:
    await finished(scene, 2)
    within = (await scene.store.id_ranges())[0]

    assert (await scene.store.candidates(within, scene.clock.now(), 0, 10)).is_young
    assert not (await scene.store.candidates(within, Millis(scene.clock.now() + 1), 0, 10)).is_young
    assert not (await scene.store.candidates(within, scene.clock.now(), 999_999, 10)).is_young


async def test_a_candidate_tells_its_size(scene: Scene) -> None:
    (small,) = await finished(scene)
    (large,) = await finished(scene, input=f'{{"messages": "{"x" * 5000}"}}')
    within = (await scene.store.id_ranges())[0]

    sizes = dict((await scene.store.candidates(within, Millis(scene.clock.now() + 1), 0, 10)).found)

    assert 0 < sizes[small] < 100
    assert 5000 < sizes[large] < 5100


async def test_a_whole_task_has_result_attempts_and_the_log_that_the_api_shows(scene: Scene) -> None:
    first, second = await scene.submitted(2, metadata={"run": "é"})
    await scene.retry_later(await scene.started(first), 1)
    scene.clock.pass_s(2)
    await scene.store.promote(10)
    await scene.complete(await scene.started(first, 1))
    await scene.store.cancel([second])

    one, other = await scene.store.whole([second, first, TaskId(999_999)])

    assert one.task == await scene.store.task(first)
    assert one.task.raw == '{"a": 1}'
    assert one.attempts == tuple(await scene.store.attempts(first))
    assert len(one.attempts) == 2
    assert one.logs == tuple(await scene.store.logs(first))
    assert (other.task.id, other.attempts) == (second, ())


async def test_retire_removes_a_task_with_everything_that_hangs_on_it(scene: Scene) -> None:
    gone = await finished(scene, 3, metadata={"a": "1", "b": "ü", "c": "3", "d": "4", "e": "5", "f": "6"})
    (kept,) = await finished(scene, metadata={"a": "1"})
    await scene.store.log([TaskLog(gone[0], LogLevel.INFO, "more", scene.clock.now())])
    line = Millis(scene.clock.now() + 1)

    assert await scene.store.retire(gone, line) == 3

    assert await scene.listed(TaskFilter()) == [kept]
    assert await scene.listed(TaskFilter(metadata={"a": "1"})) == [kept]
    assert await scene.store.whole(gone) == []
    for task_id in gone:
        assert await scene.store.attempts(task_id) == []
        assert await scene.store.logs(task_id) == []
    assert (await scene.task(kept)).raw == '{"a": 1}'
    assert len(await scene.store.attempts(kept)) == 1


async def test_retire_leaves_what_is_not_finished_or_not_old_whatever_it_is_told(scene: Scene) -> None:
    queued, revived, running = await scene.submitted(3)
    await scene.fail(await scene.started(revived))
    await scene.started(running)
    line = Millis(scene.clock.now() + 1)
    await scene.store.requeue([revived], statuses=[Status.FAILED])
    scene.clock.pass_s(60)
    (young,) = await finished(scene)

    assert await scene.store.retire([queued, revived, running, young], line) == 0

    assert [await scene.status(one) for one in (queued, revived, running, young)] == [
        Status.QUEUED,
        Status.QUEUED,
        Status.RUNNING,
        Status.COMPLETED,
    ]
    assert len(await scene.store.attempts(revived)) == 1
    assert len(await scene.store.attempts(young)) == 1


async def test_retire_twice_at_once_counts_each_task_once(scene: Scene) -> None:
    ids = await finished(scene, 5)
    line = Millis(scene.clock.now() + 1)

    counts = await asyncio.gather(scene.store.retire(ids, line), scene.store.retire(ids, line))

    assert sum(counts) == 5


async def swept(scene: Scene, cut: Cut, limit: int = 2) -> int:
    gone, after = 0, (0, "")
    while after is not None:
        count, after = await scene.store.forget(cut, after, limit)
        gone += count
    return gone


async def test_an_idempotency_key_goes_when_its_task_is_gone_and_a_day_is_over(scene: Scene) -> None:
    keyed = [scene.new(idempotency_key=f"k{number}", fingerprint="f") for number in range(5)]
    ids = [one.task_id for one in await scene.store.submit(keyed)]
    for task_id in ids[:3]:
        await scene.complete(await scene.started(task_id))
    scene.clock.pass_s(1)
    line = scene.clock.now()
    await scene.store.retire(ids[:3], Millis(line + 10_000))

    assert await swept(scene, Cut(Millis(NOON), line)) == 0
    assert await swept(scene, Cut(line, line)) == 3
    assert await swept(scene, Cut(line, line)) == 0

    again = await scene.store.submit(keyed[3:])
    assert [(one.task_id, one.is_new) for one in again] == [(task_id, False) for task_id in ids[3:]]


async def test_old_replies_and_finished_actions_go_and_young_ones_stay(scene: Scene) -> None:
    await scene.store.take_key(DEFAULT_TENANT, "old", "f")
    await scene.store.keep_reply(DEFAULT_TENANT, "old", "{}")
    done = await scene.store.add_action("cancel", "{}", None)
    await scene.store.save_action(done.id, seen=1, changed=1, status="completed")
    running = await scene.store.add_action("cancel", "{}", None)
    scene.clock.pass_s(DAY_S)
    line = scene.clock.now()
    await scene.store.take_key(DEFAULT_TENANT, "young", "f")
    await scene.store.keep_reply(DEFAULT_TENANT, "young", "{}")

    assert await swept(scene, Cut(line, line)) == 2

    assert await scene.store.take_key(DEFAULT_TENANT, "old", "f") is None
    assert await scene.store.take_key(DEFAULT_TENANT, "young", "f") == ("f", "{}")
    assert await scene.store.action(done.id) is None
    assert await scene.store.action(running.id) is not None


async def test_long_dead_sessions_go_with_the_sweep(scene: Scene) -> None:
    gone = await scene.store.open_session("gone", 3, "1.0")
    await scene.store.close_session(gone)
    scene.clock.pass_s(8 * DAY_S)
    await scene.store.close_session(scene.session)
    line = scene.clock.now()

    await swept(scene, Cut(line, line))

    assert [one.id for one in await scene.store.sessions(alive_only=False)] == [scene.session]
