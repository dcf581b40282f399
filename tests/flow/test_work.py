"""What happens to tasks while they run: retries, cancels, deadlines, schedules, scaling."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.inside import Inside, inside, until
from tests.stubs.servers import running

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.status import DeadReason, Status
from llm_scheduler.domain.task import AttemptOutcome

if TYPE_CHECKING:
    from pathlib import Path

QUICK = RetryPolicy(max_retries=3, initial_delay_s=0.02, max_delay_s=0.05)


async def outcomes(it: Inside, task_id: int) -> list[AttemptOutcome | None]:
    return [attempt.outcome for attempt in await it.store.attempts(task_id)]  # type: ignore[arg-type]


async def test_a_failing_call_is_tried_again_until_it_succeeds(tmp_path: Path) -> None:
    """Two failures, then an answer; every attempt is on record, and so are the steps."""
    async with inside(tmp_path) as it:
        model = await it.add_model(config={"errors": [{"attempts": [1, 2], "code": "server_error"}]}, retry=QUICK)
        [task_id] = await it.submit(model)
        task = await it.wait_for(task_id, "completed")
        logs = [line.message for line in await it.store.logs(task.id)]

        assert (task.attempt, task.failures, task.retry_count) == (3, 2, 2)
        assert await outcomes(it, task_id) == ["failed", "failed", "completed"]
        assert len(logs) >= 7
        assert "submitted" in logs[0].lower()


async def test_a_task_whose_retries_are_used_up_is_a_dead_letter_and_can_be_revived(tmp_path: Path) -> None:
    """Failed with its reason; a person queues it again, and it may succeed then."""
    async with inside(tmp_path) as it:
        model = await it.add_model(
            config={"errors": [{"attempts": [1, 2, 3, 4], "code": "server_error", "http_status": 500}]}, retry=QUICK
        )
        [task_id] = await it.submit(model)
        dead = await it.wait_for(task_id, "failed")
        assert (dead.dead_reason, dead.failures, dead.retry_count) == (DeadReason.RETRIES_EXHAUSTED, 4, 3)
        assert dead.error is not None
        assert dead.error.http_status == 500

        await it.tasks.retry(dead.id, DEFAULT_TENANT)
        revived = await it.wait_for(task_id, "completed")
        assert (revived.attempt, revived.failures, revived.error) == (5, 0, None)


async def test_an_error_that_no_retry_mends_is_dead_at_once(tmp_path: Path) -> None:
    """400 is the caller's; nothing is paid twice."""
    async with inside(tmp_path) as it:
        rule = {"every": 1, "code": "invalid_request", "http_status": 400}
        model = await it.add_model(config={"errors": [rule]}, retry=QUICK)
        [task_id] = await it.submit(model)
        dead = await it.wait_for(task_id, "failed")

        assert (dead.dead_reason, dead.attempt) == (DeadReason.NOT_RETRYABLE, 1)


async def test_a_running_call_is_aborted_within_a_second_of_its_cancel(tmp_path: Path) -> None:
    """The provider sees the connection close."""
    async with running("tests.stubs.openai_stub") as stub, inside(tmp_path) as it:
        await stub.post("behaviour", behaviour="hang")
        model = await it.add_model(kind="openai", config={"base_url": stub.base_url})
        [task_id] = await it.submit(model)
        await stub.wait_until(lambda stats: stats["calls"] == 1)

        await it.tasks.cancel(task_id, DEFAULT_TENANT)  # type: ignore[arg-type]
        await stub.wait_until(lambda stats: stats["aborted"] == 1, 1.0)
        task = await it.wait_for(task_id, "cancelled", within_s=1)
        assert task.status is Status.CANCELLED
        assert not await it.broker.slots()


async def test_a_waiting_task_is_cancelled_at_once_and_never_called(tmp_path: Path) -> None:
    """Out of the record and out of the index."""
    async with inside(tmp_path) as it:
        model = await it.add_model(max_workers=1)
        await it.models.pause("m", DEFAULT_TENANT)
        ids = await it.submit(model, 3)
        cancelled = await it.tasks.cancel(ids[1], DEFAULT_TENANT)  # type: ignore[arg-type]
        await it.models.resume("m", DEFAULT_TENANT)
        await it.wait_for(ids[2], "completed")

        assert cancelled.status is Status.CANCELLED
        assert (await it.task(ids[1])).attempt == 0


async def test_a_delayed_task_starts_when_it_is_due(tmp_path: Path) -> None:
    """Not before `run_at`, and within a fraction of a second after it."""
    async with inside(tmp_path) as it:
        model = await it.add_model()
        due_at = Millis(it.installation.clock.now() + 700)
        [task_id] = await it.submit(model, run_at=due_at)
        assert (await it.task(task_id)).status is Status.SCHEDULED
        task = await it.wait_for(task_id, "completed", within_s=5)

        assert task.started_at is not None
        assert due_at <= task.started_at <= due_at + 400


async def test_a_task_that_waits_past_its_deadline_expires(tmp_path: Path) -> None:
    """It is never called."""
    async with inside(tmp_path) as it:
        model = await it.add_model()
        await it.models.pause("m", DEFAULT_TENANT)
        [task_id] = await it.submit(model, deadline_at=Millis(it.installation.clock.now() + 300))
        task = await it.wait_for(task_id, "expired", within_s=5)

        assert task.attempt == 0
        assert it.broker.waiting() == 0


async def test_a_call_that_runs_past_the_deadline_expires_its_task(tmp_path: Path) -> None:
    """The call gets only the time that is left."""
    async with inside(tmp_path) as it:
        model = await it.add_model(config={"delay_ms": 20_000}, retry=QUICK)
        [task_id] = await it.submit(model, deadline_at=Millis(it.installation.clock.now() + 1_500))

        assert (await it.wait_for(task_id, "expired")).attempt == 1


async def test_a_call_over_its_timeout_fails_and_is_tried_again(tmp_path: Path) -> None:
    """`timeout_s` is the task's own."""
    async with inside(tmp_path) as it:
        model = await it.add_model(config={"delay_ms": 20_000}, retry=QUICK)
        [task_id] = await it.submit(model, timeout_s=0.1, max_retries=1)
        dead = await it.wait_for(task_id, "failed", within_s=5)

        assert dead.error is not None
        assert (dead.error.code, dead.attempt) == ("timeout", 2)


async def test_a_pool_grows_and_shrinks_while_it_works(tmp_path: Path) -> None:
    """Growing starts more at once; shrinking lets running calls finish and starts fewer."""
    async with inside(tmp_path) as it:
        model = await it.add_model(max_workers=1, config={"delay_ms": 300})
        await it.submit(model, 40)
        await until(lambda: len(it.installation.running) == 1, "one runs")
        await it.models.scale("m", DEFAULT_TENANT, 6)
        await until(lambda: len(it.installation.running) == 6, "six run")
        before = {call._started.task_id for call in it.installation.running}  # type: ignore[attr-defined]
        await it.models.scale("m", DEFAULT_TENANT, 2)
        await until(lambda: len(it.installation.running) <= 2, "two run")
        finished = [await it.task(task_id) for task_id in before]

        assert {task.status for task in finished} <= {Status.COMPLETED}
        await it.models.scale("m", DEFAULT_TENANT, 64)
        await until(lambda: it.broker.waiting() == 0, "all started")


async def test_a_new_strategy_places_the_whole_queue_anew(tmp_path: Path) -> None:
    """Nothing is lost on the way, and the new order holds."""
    ledger = tmp_path / "ledger"
    async with inside(tmp_path / "data") as it:
        model = await it.add_model(max_workers=1, strategy="fifo", config={"ledger": str(ledger)})
        await it.models.pause("m", DEFAULT_TENANT)
        low = await it.submit(model, 10, priority=9)
        high = await it.submit(model, 10, priority=0)
        await it.models.change("m", DEFAULT_TENANT, {"strategy": "priority"})
        await it.models.resume("m", DEFAULT_TENANT)
        await it.wait_for(low[-1], "completed")

    assert [int(line.split()[0]) for line in ledger.read_text().splitlines()] == high + low


async def test_a_fenced_session_stops_its_calls_and_another_attempt_finishes(tmp_path: Path) -> None:
    """Buried while alive: the call is dropped without a word, the task is rescued and completed once."""
    async with inside(tmp_path) as it:
        model = await it.add_model(config={"delay_ms": 300}, max_workers=1)
        [task_id] = await it.submit(model)
        await it.wait_for(task_id, "running")
        await it.store.bury(0)
        await it.installation.heartbeat.beat()
        await until(lambda: len(it.installation.running) == 0, "the call is dropped")
        await it.installation.upkeep.rescue()
        await it.installation.heartbeat.beat()
        task = await it.wait_for(task_id, "completed")

        assert (task.attempt, task.failures, task.crashes) == (2, 0, 1)
        assert await outcomes(it, task_id) == ["crashed", "completed"]


async def test_an_index_that_lost_everything_is_rebuilt_from_the_record(tmp_path: Path) -> None:
    """The broker forgets the lane; the reconciler notices and nothing is lost."""
    async with inside(tmp_path) as it:
        model = await it.add_model(max_workers=4)
        await it.models.pause("m", DEFAULT_TENANT)
        ids = await it.submit(model, 300)
        await it.broker.drop_lane(model.id)
        assert it.broker.waiting() == 0
        await it.broker.set_rules([it.installation.catalogue.rules(model)])
        assert await it.installation.index.audit() == 300
        assert await it.installation.index.audit() == 0

        await asyncio.gather(*(it.wait_for(task_id, "completed") for task_id in ids[:3]))
        await until(lambda: it.broker.waiting() == 0, "all ran")
