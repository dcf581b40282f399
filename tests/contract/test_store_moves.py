"""The life of a task in the record: submit, START, the ends, and who wins a race."""

import asyncio

import pytest
from tests.contract import store_scene
from tests.contract.store_scene import NOON, Scene

from llm_scheduler.domain.errors import IdempotencyConflictError, InvalidInputError, ModelNotFoundError
from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.session import Vitals
from llm_scheduler.domain.status import DeadReason, Status
from llm_scheduler.domain.task import AttemptOutcome, TaskError, Usage
from llm_scheduler.ports.store import StartOrder

scene = store_scene.scene
IDLE = Vitals(running=0, cpu_percent=0.0, rss_bytes=0)
BUSY = Vitals(running=1, cpu_percent=0.0, rss_bytes=0)
RATE = TaskError("rate_limited", "slow down", is_retryable=True, http_status=429)


async def test_a_submitted_task_reads_back_as_it_was_given(scene: Scene) -> None:
    given = scene.new(
        input='{"messages": [{"role": "user", "content": "żółć 🦊 \\u0000"}]}',
        priority=0,
        deadline_at=Millis(NOON + 60_000),
        timeout_s=12.5,
        retry=RetryPolicy(1, 2.0, 3.0, 4.0),
        metadata={"run": "42", "ключ": "值"},
    )

    (answer,) = await scene.store.submit([given])

    task = await scene.task(answer.task_id)
    assert (answer.is_new, answer.status, answer.queued_at) == (True, Status.QUEUED, NOON)
    assert (task.input, task.priority, task.deadline_at) == (given.input, 0, given.deadline_at)
    assert (task.timeout_s, task.retry, task.metadata) == (12.5, given.retry, given.metadata)
    assert (task.status, task.attempt, task.generation, task.created_at) == (Status.QUEUED, 0, 1, NOON)


async def test_ids_ascend_in_the_order_of_submits(scene: Scene) -> None:
    first = await scene.submitted(3)
    second = await scene.submitted(300)

    assert first + second == sorted(set(first + second))


async def test_a_task_for_later_is_scheduled_until_its_time_has_come(scene: Scene) -> None:
    (task_id,) = await scene.submitted(run_at=Millis(NOON + 5_000))

    assert await scene.status(task_id) is Status.SCHEDULED
    assert await scene.store.next_due_at() == NOON + 5_000
    assert await scene.store.promote(10) == []
    scene.clock.pass_s(5)

    (waiting,) = await scene.store.promote(10)
    assert (waiting.task_id, waiting.queued_at) == (task_id, NOON + 5_000)
    assert await scene.status(task_id) is Status.QUEUED


async def test_an_idempotency_key_gives_the_same_task_again(scene: Scene) -> None:
    task = scene.new(idempotency_key="k", fingerprint="f")

    answers = await asyncio.gather(*(scene.store.submit([task]) for _ in range(5)))
    again = await scene.store.submit([task, scene.new()])

    assert len({answer[0].task_id for answer in answers}) == 1
    assert sum(answer[0].is_new for answer in answers) == 1
    assert [one.is_new for one in again] == [False, True]


async def test_an_idempotency_key_with_another_body_refuses_the_whole_list(scene: Scene) -> None:
    await scene.store.submit([scene.new(idempotency_key="k", fingerprint="f")])

    with pytest.raises(IdempotencyConflictError):
        await scene.store.submit([scene.new(), scene.new(idempotency_key="k", fingerprint="g")])

    assert await scene.store.queued_count() == 1


async def test_a_key_of_a_deleted_task_may_be_used_again(scene: Scene) -> None:
    (old,) = await scene.submitted(idempotency_key="k", fingerprint="f")
    await scene.store.cancel([old])
    await scene.store.delete([old])

    (new,) = await scene.store.submit([scene.new(idempotency_key="k", fingerprint="g")])

    assert new.is_new
    assert new.task_id != old


async def test_a_task_for_an_unknown_model_is_refused(scene: Scene) -> None:
    with pytest.raises(ModelNotFoundError):
        await scene.store.submit([scene.new(), scene.new(model_id=ModelId(999))])

    assert await scene.store.queued_count() == 0


async def test_data_that_cannot_be_stored_fails_alone(scene: Scene) -> None:
    poison, *good = await asyncio.gather(
        scene.store.submit([scene.new(input="\ud800")]),
        *(scene.store.submit([scene.new()]) for _ in range(5)),
        return_exceptions=True,
    )

    assert isinstance(poison, InvalidInputError)
    assert len({answer[0].task_id for answer in good if not isinstance(answer, BaseException)}) == 5
    assert await scene.store.queued_count() == 5


async def test_start_gives_the_worker_what_it_needs_and_opens_an_attempt(scene: Scene) -> None:
    (task_id,) = await scene.submitted(input='{"x": "é"}')
    scene.clock.pass_s(1)

    started = await scene.started(task_id)

    assert (started.attempt, started.input, started.started_at) == (1, '{"x": "é"}', NOON + 1_000)
    (attempt,) = await scene.store.attempts(task_id)
    assert (attempt.session_id, attempt.ended_at, attempt.outcome) == (scene.session, None, None)
    (slot,) = await scene.store.running()
    assert (slot.task_id, slot.session, slot.attempt) == (task_id, scene.session, 0)


async def test_of_two_starts_one_wins(scene: Scene) -> None:
    (task_id,) = await scene.submitted()

    answers = await asyncio.gather(*(scene.start(task_id) for _ in range(4)))
    late = await scene.start(task_id)

    assert sum(answer is not None for answer in answers) == 1
    assert late is None


async def test_start_loses_on_another_attempt_a_cancel_or_an_unknown_task(scene: Scene) -> None:
    one, two = await scene.submitted(2)
    await scene.store.cancel([two])

    orders = [StartOrder(one, 1), StartOrder(two, 0), StartOrder(TaskId(999_999), 0)]

    assert await scene.store.start(scene.session, orders) == [None, None, None]


async def test_w3_a_buried_session_starts_nothing(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    other = await scene.lose_worker()

    assert await scene.start(task_id) is None
    assert await scene.start(task_id, session=SessionId(999)) is None
    assert await scene.start(task_id, session=other) is not None


async def test_a_completed_task_has_its_result_and_its_story(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    started = await scene.started(task_id)

    recorded = await scene.complete(started, ttft_ms=300)

    task = await scene.task(task_id)
    assert recorded[:2] == (True, Status.COMPLETED)
    assert (task.status, task.output, task.raw) == (Status.COMPLETED, "hello", '{"a": 1}')
    assert (task.usage, task.cost_microusd, task.owner) == (Usage(10, 20), 7, None)
    (attempt,) = await scene.store.attempts(task_id)
    assert (attempt.outcome, attempt.ttft_ms) == (AttemptOutcome.COMPLETED, 300)
    assert await scene.said(task_id) == ["submitted", "started", "completed in 1.2 s"]


async def test_models_count_requests_and_successes(scene: Scene) -> None:
    good, bad = [await scene.started(task_id) for task_id in await scene.submitted(2)]
    await asyncio.gather(scene.complete(good), scene.fail(bad))

    (model,) = await scene.store.models()

    assert (model.total_requests, model.success_requests) == (2, 1)


async def test_a_replayed_end_is_answered_like_the_first(scene: Scene) -> None:
    good, bad = [await scene.started(task_id) for task_id in await scene.submitted(2)]
    first = await scene.complete(good), await scene.retry_later(bad)

    replayed = await asyncio.gather(scene.complete(good), scene.complete(good), scene.retry_later(bad))

    assert replayed == [first[0], first[0], first[1]]
    assert (await scene.task(bad.task_id)).failures == 1
    (model,) = await scene.store.models()
    assert model.success_requests == 1


async def test_two_ends_of_one_attempt_at_once_move_it_once(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    started = await scene.started(task_id)

    answers = await asyncio.gather(scene.fail(started), scene.retry_later(started), scene.fail(started))

    assert len({answer.status for answer in answers}) == 1
    assert (await scene.task(task_id)).failures == 1


async def test_a_failed_task_says_why(scene: Scene) -> None:
    (task_id,) = await scene.submitted()

    recorded = await scene.fail(await scene.started(task_id))

    task = await scene.task(task_id)
    assert recorded[:2] == (True, Status.FAILED)
    assert (task.error, task.dead_reason, task.failures) == (store_scene.BOOM, DeadReason.NOT_RETRYABLE, 1)
    assert (await scene.said(task_id))[-1] == "failed: the provider broke (not retryable)"


async def test_a_retry_waits_for_its_time_and_counts(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    await scene.retry_later(await scene.started(task_id), wait_s=5)

    scene.clock.pass_s(4.9)
    assert await scene.store.promote(10) == []
    scene.clock.pass_s(0.1)
    (waiting,) = await scene.store.promote(10)

    task = await scene.task(task_id)
    assert (waiting.attempt, task.failures, task.retry_count) == (1, 1, 1)
    assert any("retry 1 of 3" in line for line in await scene.said(task_id))
    assert (await scene.started(task_id, expected=1)).attempt == 2


async def test_ends_of_many_kinds_in_one_commit_do_not_mix(scene: Scene) -> None:
    started = [await scene.started(task_id) for task_id in await scene.submitted(90)]
    errors = [TaskError(f"code{i}", f"words {i}", i % 2 == 0, 400 + i) for i in range(90)]

    await asyncio.gather(
        *(scene.complete(one, output=f"out {one.task_id}") for one in started[:30]),
        *(scene.fail(one, error=errors[i]) for i, one in enumerate(started[30:60])),
        *(scene.retry_later(one, wait_s=i, error=errors[i]) for i, one in enumerate(started[60:], 1)),
    )

    tasks = [await scene.task(one.task_id) for one in started]
    assert [task.output for task in tasks[:30]] == [f"out {task.id}" for task in tasks[:30]]
    assert [task.error for task in tasks[30:60]] == errors[:30]
    assert [task.error for task in tasks[60:]] == errors[1:31]
    assert [task.eligible_at for task in tasks[60:]] == [NOON + i * 1000 for i in range(1, 31)]


async def test_a_rate_limited_task_keeps_its_place_and_its_retries(scene: Scene) -> None:
    first, second = await scene.submitted(2)
    started = await scene.started(first)
    scene.clock.pass_s(30)

    limited = {"outcome": AttemptOutcome.RATE_LIMITED, "error": RATE}
    recorded = await scene.store.record(scene.end(started, Status.QUEUED, **limited))

    task = await scene.task(first)
    assert recorded[:2] == (True, Status.QUEUED)
    assert (task.failures, task.retry_count, task.attempt) == (0, 0, 1)
    page = await scene.store.waiting_page(None, 10)
    assert [(one.task_id, one.attempt, one.queued_at) for one in page] == [(first, 1, NOON), (second, 0, NOON)]
    assert "rate limited; keeps its place" in await scene.said(first)


async def test_w1_a_late_success_of_a_lost_worker_is_salvaged(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    old = await scene.started(task_id)
    other = await scene.lose_worker()
    await scene.store.rescue(3, 10)
    await scene.started(task_id, expected=1, session=other)

    recorded = await scene.complete(old, output="paid for")

    assert recorded[:2] == (True, Status.COMPLETED)
    assert (await scene.task(task_id)).output == "paid for"
    assert (await scene.store.beat(other, BUSY)).stop == (task_id,)


async def test_w1_after_a_salvage_the_newer_answer_is_refused(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    old = await scene.started(task_id)
    other = await scene.lose_worker()
    await scene.store.rescue(3, 10)
    new = await scene.started(task_id, expected=1, session=other)
    await scene.complete(old, output="first")

    recorded = await scene.complete(new, session_id=other, output="second")

    assert recorded[:2] == (False, Status.COMPLETED)
    assert (await scene.task(task_id)).output == "first"
    assert [a.cost_microusd for a in await scene.store.attempts(task_id)] == [7, 7]


async def test_w2_a_late_failure_never_counts(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    old = await scene.started(task_id)
    other = await scene.lose_worker()
    await scene.store.rescue(3, 10)
    await scene.started(task_id, expected=1, session=other)

    recorded = await asyncio.gather(scene.fail(old), scene.retry_later(old))

    assert [one[:2] for one in recorded] == [(False, Status.RUNNING), (False, Status.RUNNING)]
    task = await scene.task(task_id)
    assert (task.attempt, task.owner, task.failures) == (2, other, 0)


async def test_a_late_success_for_another_input_is_refused(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    old = await scene.started(task_id)
    await scene.lose_worker()
    await scene.store.rescue(1, 10)
    await scene.store.requeue([task_id], statuses=[Status.FAILED], input='{"new": 1}', est_tokens=9, est_output=4)

    assert (await scene.complete(old))[:2] == (False, Status.QUEUED)
    task = await scene.task(task_id)
    assert (task.input, task.est_tokens, task.est_output, task.generation) == ('{"new": 1}', 9, 4, 2)


async def test_an_end_from_someone_who_never_started_it_is_refused(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    started = await scene.started(task_id)

    stranger = await scene.complete(started, session_id=SessionId(999))
    future = await scene.complete(started, attempt=2)

    assert (stranger[:2], future[:2]) == ((False, Status.RUNNING), (False, Status.RUNNING))


async def test_r3_of_two_rescuers_one_moves_the_task(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    await scene.started(task_id)
    await scene.lose_worker()

    rescues = await asyncio.gather(scene.store.rescue(3, 10), scene.store.rescue(3, 10))

    assert [len(waiting) for waiting, _ in rescues] == [1, 0]
    task = await scene.task(task_id)
    assert (task.status, task.crashes, task.failures) == (Status.QUEUED, 1, 0)
    (attempt,) = await scene.store.attempts(task_id)
    assert attempt.outcome is AttemptOutcome.CRASHED


async def test_r4_a_result_and_a_rescue_at_once_leave_one_result(scene: Scene) -> None:
    started = [await scene.started(task_id) for task_id in await scene.submitted(20)]
    await scene.lose_worker()

    await asyncio.gather(
        *(scene.complete(one) for one in started[:10]),
        scene.store.rescue(3, 100),
        *(scene.complete(one) for one in started[10:]),
    )

    assert {await scene.status(one.task_id) for one in started} == {Status.COMPLETED}


async def test_a_task_that_loses_too_many_workers_becomes_a_dead_letter(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    rescued = []
    for crash in range(3):
        session = await scene.store.open_session("doomed", 3, "1.0")
        await scene.started(task_id, expected=crash, session=session)
        await scene.store.close_session(session)
        rescued.append(await scene.store.rescue(3, 10))

    task = await scene.task(task_id)
    assert [len(waiting) for waiting, _ in rescued] == [1, 1, 0]
    assert [one.status for _, ended in rescued for one in ended] == [Status.FAILED]
    assert (task.dead_reason, task.crashes) == (DeadReason.WORKER_CRASHES, 3)
    assert task.error is not None
    assert task.error.code == "worker_crashes"


async def test_rescue_leaves_tasks_of_living_sessions_alone(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    await scene.started(task_id)
    scene.clock.pass_s(9)
    await scene.store.beat(scene.session, IDLE)
    scene.clock.pass_s(9)
    await scene.store.bury(10)

    assert await scene.store.rescue(3, 10) == ([], [])
    assert await scene.status(task_id) is Status.RUNNING


async def test_c1_a_cancel_ends_what_waits_and_marks_what_runs(scene: Scene) -> None:
    waiting, running, done = await scene.submitted(3)
    await scene.started(running)
    await scene.complete(await scene.started(done))

    moved = await scene.store.cancel([waiting, running, done, TaskId(999_999)])

    assert {(one.task_id, one.status) for one in moved} == {
        (waiting, Status.CANCELLED),
        (running, Status.RUNNING),
    }
    assert (await scene.task(running)).is_cancel_requested
    assert (await scene.store.beat(scene.session, BUSY)).stop == (running,)
    assert await scene.start(waiting) is None


@pytest.mark.parametrize("status", [Status.QUEUED, Status.SCHEDULED, Status.FAILED, Status.COMPLETED])
async def test_c3_once_a_cancel_was_asked_every_end_is_cancelled(scene: Scene, status: Status) -> None:
    (task_id,) = await scene.submitted()
    started = await scene.started(task_id)
    await scene.store.cancel([task_id])

    recorded = await scene.store.record(scene.end(started, status))

    task = await scene.task(task_id)
    assert recorded[:2] == (True, Status.CANCELLED)
    assert (task.status, task.output, task.owner) == (Status.CANCELLED, None, None)


async def test_c3_a_cancel_after_the_result_changes_nothing(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    await scene.complete(await scene.started(task_id))

    assert await scene.store.cancel([task_id]) == []
    assert await scene.status(task_id) is Status.COMPLETED


async def test_c2_a_cancelled_task_whose_worker_dies_is_not_run_again(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    old = await scene.started(task_id)
    await scene.store.cancel([task_id])
    await scene.lose_worker()

    waiting, ended = await scene.store.rescue(3, 10)

    assert (list(waiting), [one.status for one in ended]) == ([], [Status.CANCELLED])
    assert (await scene.complete(old))[:2] == (False, Status.CANCELLED)


async def test_a_person_requeues_dead_letters_and_cancelled_tasks(scene: Scene) -> None:
    dead, cancelled, done = await scene.submitted(3)
    await scene.fail(await scene.started(dead))
    await scene.store.cancel([cancelled])
    await scene.complete(await scene.started(done))
    scene.clock.pass_s(60)

    none = await scene.store.requeue([dead], statuses=[Status.CANCELLED])
    waiting = await scene.store.requeue([dead, cancelled, done], statuses=[Status.FAILED, Status.CANCELLED])

    task = await scene.task(dead)
    assert none == []
    assert {(one.task_id, one.queued_at) for one in waiting} == {
        (dead, NOON + 60_000),
        (cancelled, NOON + 60_000),
    }
    assert (task.failures, task.error, task.dead_reason, task.attempt) == (0, None, None, 1)
    assert await scene.start(cancelled) is not None


async def test_a_waiting_task_past_its_deadline_expires(scene: Scene) -> None:
    soon, running, never = await scene.submitted(2, deadline_at=Millis(NOON + 1_000)) + await scene.submitted()
    await scene.started(running)
    scene.clock.pass_s(1)

    moved = await scene.store.expire(10)

    assert [(one.task_id, one.status) for one in moved] == [(soon, Status.EXPIRED)]
    assert await scene.status(running) is Status.RUNNING
    assert await scene.status(never) is Status.QUEUED
    assert await scene.store.next_due_at() is None


async def test_a_passed_deadline_does_not_end_a_requeued_task(scene: Scene) -> None:
    (task_id,) = await scene.submitted(deadline_at=Millis(NOON + 1_000))
    await scene.store.cancel([task_id])
    scene.clock.pass_s(2)
    await scene.store.requeue([task_id], statuses=[Status.CANCELLED])

    assert await scene.store.expire(10) == []
    assert (await scene.task(task_id)).deadline_at is None


async def test_only_waiting_tasks_change_their_priority(scene: Scene) -> None:
    queued, running = await scene.submitted(2)
    (later,) = await scene.submitted(run_at=Millis(NOON + 5_000))
    await scene.started(running)

    changed = await scene.store.set_priority([queued, running, later], 0)

    assert [(one.task_id, one.priority) for one in changed] == [(queued, 0)]
    assert [(await scene.task(one)).priority for one in (queued, running, later)] == [0, 5, 0]


async def test_only_finished_tasks_are_deleted_with_all_that_hangs_on_them(scene: Scene) -> None:
    done, queued = await scene.submitted(2, metadata={"run": "1"})
    await scene.complete(await scene.started(done))

    assert await scene.store.delete([done, queued, done]) == 1

    assert await scene.store.task(done) is None
    assert list(await scene.store.attempts(done)) == []
    assert list(await scene.store.logs(done)) == []
    assert await scene.listed(store_scene.TaskFilter(metadata={"run": "1"})) == [queued]
