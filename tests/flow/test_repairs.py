"""Faults between two steps, each of which once lost a task, a slot or an answer."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from tests.inside import BODY, inside, until
from tests.unit.workers.test_attempt import Odd, OddKind

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.model import ModelOptions
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import NewTask
from llm_scheduler.ports.provider import Answer, Call
from llm_scheduler.ports.store import TaskFilter

if TYPE_CHECKING:
    from pathlib import Path

AT_ONCE = RetryPolicy(max_retries=3, initial_delay_s=0, max_delay_s=0)


async def test_a_walk_beside_running_calls_leaks_no_slot(tmp_path: Path) -> None:
    """A row read as running may be over when the page is applied: its slot must not come back."""
    async with inside(tmp_path) as it:
        model = await it.add_model(max_workers=8, config={"delay_ms": 2})
        ids = await it.submit(model, 600)
        while it.broker.waiting():
            await it.installation.index.walk()
        await it.wait_for(ids[-1], "completed")

        await until(lambda: len(it.installation.running) == 0, "nothing runs")
        assert not await it.broker.slots()


async def test_a_retry_that_is_due_at_once_is_not_lost(tmp_path: Path) -> None:
    """Its promotion must not overtake the release of its slot. One call in three fails: the circuit stays closed."""
    async with inside(tmp_path) as it:
        model = await it.add_model(
            max_workers=64,
            config={"errors": [{"every": 3, "code": "server_error"}]},
            retry=AT_ONCE,
            options=ModelOptions(retry_share=None),
        )
        await it.submit(model, 400, max_retries=20)

        async def all_completed() -> bool:
            return (await it.store.counts(TaskFilter())).get(Status.COMPLETED) == 400

        await until(all_completed, "all completed", 10)


async def test_an_answer_too_deep_to_be_written_ends_its_task(tmp_path: Path) -> None:
    """What can be read cannot always be written: it is a failure with a reason, and the slot is free."""
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    async with inside(tmp_path) as it:
        provider = Odd(lambda _call: Answer("x", {"deep": deep}))
        it.installation.catalogue.kinds = {**it.installation.catalogue.kinds, "odd": OddKind(provider)}
        model = await it.add_model(kind="odd", max_workers=1)
        ids = await it.submit(model, 2)

        for task_id in ids:
            assert (await it.wait_for(task_id, "failed")).error.code == "unstorable_answer"  # type: ignore[union-attr]
        assert not await it.broker.slots()


async def test_a_start_that_was_committed_but_reported_as_failed_is_put_back(tmp_path: Path) -> None:
    """Its owner lives, so the owner itself notices, on the second look, and no retry is burnt."""
    async with inside(tmp_path) as it:
        real, left = it.store.start, 1

        async def start(session_id: Any, orders: Any) -> Any:
            nonlocal left
            answer = await real(session_id, orders)
            if left:
                left -= 1
                raise StoreUnavailableError("the disk said no, and yes")
            return answer

        it.store.start = start
        model = await it.add_model(max_workers=1)
        [task_id] = await it.submit(model)
        await it.wait_for(task_id, "running")
        assert await it.installation.strays.look() == 0
        assert await it.installation.strays.look() == 1
        task = await it.wait_for(task_id, "completed")

        assert (task.attempt, task.failures, task.crashes) == (2, 0, 0)


async def test_a_call_that_runs_is_no_stray(tmp_path: Path) -> None:
    """However often one looks."""
    async with inside(tmp_path) as it:
        model = await it.add_model(config={"delay_ms": 300})
        [task_id] = await it.submit(model)
        await it.wait_for(task_id, "running")

        assert [await it.installation.strays.look() for _ in range(3)] == [0, 0, 0]
        assert (await it.wait_for(task_id, "completed")).attempt == 1


async def test_a_session_fenced_while_its_start_was_on_the_way_calls_nobody(tmp_path: Path) -> None:
    """START may still win by the record; the call must not begin beside the one of the next session."""
    open_now = most = 0
    async with inside(tmp_path) as it:
        real = it.store.start
        heartbeat = it.installation.heartbeat
        is_first = True

        async def start(session_id: Any, orders: Any) -> Any:
            nonlocal is_first
            answer = await real(session_id, orders)
            if is_first:
                is_first = False
                heartbeat.fence("a test says so")
            return answer

        def act(_call: Call) -> Answer:
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            return Answer("fine", {})

        it.store.start = start
        it.installation.catalogue.kinds = {**it.installation.catalogue.kinds, "odd": OddKind(Odd(act))}
        model = await it.add_model(kind="odd", max_workers=1)
        [task_id] = await it.submit(model)
        await it.wait_for(task_id, "running")
        await heartbeat.beat()
        assert open_now == 0
        # The old session is silent from now on; ten seconds later anyone buries it.
        with sqlite3.connect(tmp_path / "llm-scheduler.db") as database:
            database.execute("UPDATE sessions SET heartbeat_at = 0 WHERE id <> ?", (heartbeat.session_id,))
        database.close()
        await it.installation.upkeep.rescue()
        await it.wait_for(task_id, "completed")

        assert (open_now, most) == (1, 1)


async def test_a_heartbeat_from_the_future_does_not_hold_tasks_after_a_restart(tmp_path: Path) -> None:
    """The clock ran ahead before: the folder's lock says that the session is dead all the same."""
    async with inside(tmp_path) as it:
        model = await it.add_model(config={"delay_ms": 60_000})
        [task_id] = await it.submit(model)
        await it.wait_for(task_id, "running")
        it.installation.heartbeat.fence("as if the process had died")
    with sqlite3.connect(tmp_path / "llm-scheduler.db") as database:
        database.execute("UPDATE sessions SET alive = 1, heartbeat_at = heartbeat_at + 3600000")
    database.close()
    async with inside(tmp_path) as it:
        await it.models.change("m", DEFAULT_TENANT, {"config": {"delay_ms": 0}})
        task = await it.wait_for(task_id, "completed", "running")

        assert task.crashes == 1


async def test_a_bulk_action_leaves_later_tasks_alone(tmp_path: Path) -> None:
    """What was submitted after the request was not meant by it."""
    async with inside(tmp_path) as it:
        model = await it.add_model()
        await it.models.pause("m", DEFAULT_TENANT)
        early = await it.submit(model, 1_200)
        began = await it.installation.actions.begin("cancel", '{"tenant_id": 1}')
        clock = it.installation.clock
        await until(lambda: clock.now() > began.created_at, "the clock ticks")
        later = await it.installation.submissions.submit([NewTask(DEFAULT_TENANT, model.id, "chat", BODY, 5, 3, 9)])

        async def is_over() -> bool:
            return (await it.installation.actions.progress(began.id)).status != "running"

        await until(is_over, "the action is over")
        assert (await it.task(early[-1])).status is Status.CANCELLED
        assert (await it.task(later[0].task_id)).status is Status.QUEUED


async def test_a_key_that_is_lost_can_be_entered_again(tmp_path: Path) -> None:
    """Another LLMS_SECRET_KEY: models are still listed, and a new provider key mends the one."""
    config = {"base_url": "http://127.0.0.1:9/v1", "api_key": "sk-before-0123456789"}
    async with inside(tmp_path, secret_key="one secret of length") as it:
        await it.add_model("locked", "openai", config=config)
    async with inside(tmp_path, secret_key="another secret of length") as it:
        locked = it.models.get("locked", DEFAULT_TENANT)
        assert it.models.masked_config(locked)["api_key"] == "…"
        await it.models.scale("locked", DEFAULT_TENANT, 9)
        mended = await it.models.change("locked", DEFAULT_TENANT, {"config": {"api_key": "sk-after-0123456789"}})

        assert it.models.plain_config(mended)["api_key"] == "sk-after-0123456789"
        assert mended.max_workers == 9
