"""Lists, counts and figures of the record."""

import pytest
from tests.contract import store_scene
from tests.contract.store_scene import NOON, Scene

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId, TenantId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import LogLevel, TaskLog, Usage
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.ports.store import TaskFilter

scene = store_scene.scene


@pytest.mark.parametrize(
    "where",
    [
        TaskFilter(),
        TaskFilter(tenant_id=DEFAULT_TENANT),
        TaskFilter(statuses=(Status.QUEUED,)),
        TaskFilter(statuses=(Status.QUEUED, Status.FAILED), model_id=ModelId(1)),
        TaskFilter(model_id=ModelId(1)),
        TaskFilter(priority=5),
        TaskFilter(type="chat"),
        TaskFilter(metadata={"run": "1"}),
        TaskFilter(metadata={"run": "1", "all": "x"}),
        TaskFilter(q="messages"),
        TaskFilter(created_after=NOON),
    ],
)
async def test_pages_show_every_task_once_in_both_directions(scene: Scene, where: TaskFilter) -> None:
    ids = []
    for _ in range(4):  # several tasks share one moment, several moments follow
        ids += await scene.submitted(3, metadata={"run": "1", "all": "x"})
        scene.clock.pass_s(1)

    newest_first = await scene.pages(where, limit=5)
    oldest_first = await scene.pages(where, limit=5, is_ascending=True)

    assert [len(page) for page in newest_first] == [5, 5, 2]
    assert [one for page in newest_first for one in page] == ids[::-1]
    assert [one for page in oldest_first for one in page] == ids


async def test_each_filter_finds_its_own(scene: Scene) -> None:
    other = await scene.store.add_model(Model(ModelId(0), DEFAULT_TENANT, "other", "scripted", {}))
    (plain,) = await scene.submitted()
    scene.clock.pass_s(1)
    (special,) = await scene.submitted(
        model_id=other.id, type="embedding", priority=0, metadata={"run": "42"}, input='{"input": "100%_sure"}'
    )
    await scene.fail(await scene.started(special))

    for where in (
        TaskFilter(statuses=(Status.FAILED,)),
        TaskFilter(model_id=other.id),
        TaskFilter(model_id=other.id, statuses=(Status.FAILED,), type="embedding", priority=0),
        TaskFilter(type="embedding"),
        TaskFilter(priority=0),
        TaskFilter(metadata={"run": "42"}),
        TaskFilter(created_after=Millis(NOON + 1)),
        TaskFilter(ids=(special,)),
        TaskFilter(q="0%_s"),
        TaskFilter(q="provider broke"),
        TaskFilter(q="PROVIDER Broke"),
        TaskFilter(q="sure", statuses=(Status.FAILED,)),
    ):
        assert await scene.listed(where) == [special], where
        assert await scene.store.counts(where) == {Status.FAILED: 1}, where
    assert await scene.listed(TaskFilter(created_before=Millis(NOON + 1000))) == [plain]
    assert await scene.listed(TaskFilter(q="0__s")) == []
    assert await scene.listed(TaskFilter(metadata={"run": "4"})) == []


async def test_a_search_finds_a_task_by_its_id(scene: Scene) -> None:
    ids = await scene.submitted(5)

    assert await scene.listed(TaskFilter(q=str(ids[2]))) == [ids[2]]


async def test_a_tenant_sees_only_its_own(scene: Scene) -> None:
    await scene.store.save_tenant(Tenant(TenantId(2), "two"))
    (mine,) = await scene.submitted(metadata={"a": "b"})
    (theirs,) = await scene.submitted(tenant_id=TenantId(2), metadata={"a": "b"})

    for where in (
        TaskFilter(tenant_id=TenantId(2)),
        TaskFilter(tenant_id=TenantId(2), model_id=scene.model.id),
        TaskFilter(tenant_id=TenantId(2), priority=5),
        TaskFilter(tenant_id=TenantId(2), metadata={"a": "b"}),
        TaskFilter(tenant_id=TenantId(2), ids=(mine, theirs)),
        TaskFilter(tenant_id=TenantId(2), q="messages"),
    ):
        assert await scene.listed(where) == [theirs], where
        assert sum((await scene.store.counts(where)).values()) == 1
    assert await scene.listed(TaskFilter(metadata={"a": "b"})) == [theirs, mine]
    assert await scene.store.task(mine, TenantId(2)) is None


@pytest.mark.parametrize("cursor", ["", "x", "é", "MTIz", "LTEuLTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OS4x"])
async def test_a_foreign_cursor_is_refused(scene: Scene, cursor: str) -> None:
    with pytest.raises(InvalidInputError):
        await scene.store.tasks(TaskFilter(), limit=5, cursor=cursor)


async def test_waiting_pages_give_the_queue_in_order(scene: Scene) -> None:
    ids = await scene.submitted(7)
    await scene.submitted(run_at=Millis(NOON + 1))
    after, seen = None, []
    while page := await scene.store.waiting_page(after, 3):
        seen += [one.task_id for one in page]
        after = (page[-1].queued_at, page[-1].task_id)

    assert seen == ids
    assert await scene.store.queued_count() == 7


async def test_counts_by_status(scene: Scene) -> None:
    done, *_ = await scene.submitted(4)
    await scene.complete(await scene.started(done))

    assert await scene.store.counts(TaskFilter()) == {Status.COMPLETED: 1, Status.QUEUED: 3}
    assert await scene.store.counts(TaskFilter(statuses=(Status.CANCELLED,))) == {}


async def test_log_lines_of_others_stand_between_our_own(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    line = TaskLog(task_id, LogLevel.WARNING, "hm", NOON, {"a": [1, "é"]})
    await scene.store.log([line, TaskLog(TaskId(999_999), LogLevel.INFO, "nobody", NOON)])
    await scene.started(task_id)

    logs = await scene.store.logs(task_id)

    assert [one.message for one in logs] == ["submitted", "hm", "started"]
    assert logs[1] == line
    assert len(await scene.store.logs(task_id, limit=2)) == 2


async def test_recent_figures_cover_the_window_only(scene: Scene) -> None:
    old, new, bad = await scene.submitted(3)
    await scene.complete(await scene.started(old))
    scene.clock.pass_s(600)
    await scene.complete(await scene.started(new))
    await scene.fail(await scene.started(bad))

    recent = await scene.store.recent(60)

    assert (recent.completed, recent.failed, recent.window_s) == (1, 1, 60)
    assert (recent.p50_ms, recent.p99_ms, recent.wait_p50_ms) == (1200, 1200, 600_000)
    assert (recent.cost_microusd, recent.usage) == (14, Usage(20, 40))


async def test_recent_figures_without_data_are_empty(scene: Scene) -> None:
    recent = await scene.store.recent(60)

    assert (recent.completed, recent.p50_ms, recent.wait_p99_ms) == (0, None, None)


async def test_usage_sums_by_key_also_of_tasks_that_came_with_none(scene: Scene) -> None:
    """One whose row is gone has its number; what came without a key stands together."""
    for key_id in (7, 7, 9, None):
        (task_id,) = await scene.submitted(key_id=key_id)
        await scene.complete(await scene.started(task_id))

    rows = await scene.store.usage("key", None, None)

    assert [(row.group, row.attempts, row.cost_microusd) for row in rows] == [("", 1, 7), ("#7", 2, 14), ("#9", 1, 7)]


async def test_usage_sums_by_model_tenant_and_day(scene: Scene) -> None:
    for task_id in await scene.submitted(2):
        await scene.complete(await scene.started(task_id))

    for group_by, group in (("model", "m"), ("tenant", "default"), ("day", "2027-01-15")):
        (row,) = await scene.store.usage(group_by, None, None)
        assert (row.group, row.attempts, row.completed, row.failed) == (group, 2, 2, 0)
        assert (row.usage, row.cost_microusd) == (Usage(20, 40), 14)
    assert await scene.store.usage("day", Millis(NOON + 2_000), None) == []
    assert await scene.store.usage("day", None, NOON) == []
    with pytest.raises(InvalidInputError):
        await scene.store.usage("colour", None, None)


async def test_a_day_is_rolled_up_again_and_again(scene: Scene) -> None:
    done, bad, _queued = await scene.submitted(3)
    await scene.complete(await scene.started(done))
    await scene.store.roll_up("2027-01-15")
    await scene.fail(await scene.started(bad))
    await scene.store.roll_up("2027-01-15")
    await scene.store.roll_up("2027-01-14")

    before, day = await scene.store.days("2027-01-01", "2027-01-31")

    assert before.total_tasks == 0
    assert (day.stat_date, day.total_tasks, day.completed_tasks, day.failed_tasks) == ("2027-01-15", 3, 1, 1)
    assert (day.avg_processing_time_ms, day.queue_length, day.active_models) == (1200, 1, 1)
    with pytest.raises(InvalidInputError):
        await scene.store.roll_up("yesterday")


async def test_a_day_counts_no_cancelled_task_as_completed_whose_answer_came_all_the_same(scene: Scene) -> None:
    done, cancelled = await scene.submitted(2)
    await scene.complete(await scene.started(done))
    late = await scene.started(cancelled)
    await scene.store.cancel([cancelled])
    await scene.complete(late)
    await scene.store.roll_up("2027-01-15")

    [day] = await scene.store.days("2027-01-15", "2027-01-15")

    assert (day.total_tasks, day.completed_tasks, day.failed_tasks) == (2, 1, 0)
