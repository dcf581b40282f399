"""Stored answers: one call for equal tasks, and nobody waits for a task that is over."""

import asyncio

import pytest
from tests.contract import store_scene
from tests.contract.cached_scene import DIGEST, HOUR, Cached, wish
from tests.contract.store_scene import NOON, Scene

from llm_scheduler.domain.errors import IdempotencyConflictError
from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome, CacheUse, TaskError, Usage
from llm_scheduler.ports.answers import Followers
from llm_scheduler.ports.store import TaskFilter

scene = store_scene.scene
BLOCKED, QUEUED, COMPLETED = Status.BLOCKED, Status.QUEUED, Status.COMPLETED
FAILED, CANCELLED, EXPIRED = Status.FAILED, Status.CANCELLED, Status.EXPIRED


@pytest.fixture
def cached(scene: Scene) -> Cached:
    return Cached(scene)


async def test_an_equal_task_is_answered_at_once(scene: Scene, cached: Cached) -> None:
    (first,) = await cached.submit("a")
    await cached.run(first.task_id, output="hi", raw='{"x": "é"}', finish_reason="stop")
    scene.clock.pass_s(60)

    (second,) = await cached.submit("a")

    task = await scene.task(second.task_id)
    assert (second.status, second.is_new) == (COMPLETED, True)
    assert (task.status, task.output, task.raw) == (COMPLETED, "hi", '{"x": "é"}')
    assert (task.usage, task.cost_microusd, task.attempt) == (Usage(), 0, 0)
    assert (task.started_at, task.completed_at) == (None, NOON + 60_000)
    assert task.cache == CacheUse(HOUR, None, first.task_id)
    assert await scene.said(second.task_id) == ["submitted", f"answered from the cache (task {first.task_id})"]
    assert list(await scene.store.attempts(second.task_id)) == []
    assert await scene.start(second.task_id) is None
    (model,) = await scene.store.models()
    assert (model.total_requests, model.success_requests) == (1, 1)


async def test_other_keys_other_tenants_and_tasks_without_a_wish_run(scene: Scene, cached: Cached) -> None:
    (first,) = await cached.submit("a")
    await cached.run(first.task_id)

    others = await cached.submit("b") + await cached.submit("a", tenant_id=2)
    (plain,) = await scene.store.submit([scene.new()])

    assert [one.status for one in (*others, plain)] == [QUEUED] * 3
    assert (await scene.task(plain.task_id)).cache is None


@pytest.mark.parametrize("is_one_batch", [True, False])
async def test_equal_tasks_in_flight_follow_one(scene: Scene, cached: Cached, is_one_batch: bool) -> None:
    if is_one_batch:
        answers = await cached.submit("a", "a", "b", "a")
    else:
        each = await asyncio.gather(*(cached.submit(name) for name in "aaba"))
        answers = [one for (one,) in each]
    leader, *_ = ids = [one.task_id for one in answers]

    assert [one.status for one in answers] == [QUEUED, BLOCKED, QUEUED, BLOCKED]
    assert [await cached.follows(one) for one in ids] == [None, leader, None, leader]
    assert await scene.start(ids[1]) is None
    assert await scene.store.queued_count() == 2


async def test_followers_complete_in_the_commit_of_their_leader(scene: Scene, cached: Cached) -> None:
    leader, *followers = await cached.group(3)
    started = await scene.started(leader)
    (later,) = await cached.submit("a")
    scene.clock.pass_s(5)

    recorded = await scene.complete(started, output="hi", raw='{"r": 1}')

    every = [*followers, later.task_id]
    assert recorded[:2] == (True, COMPLETED)
    assert [(one.task_id, one.status) for one in recorded.followers.ended] == [(one, COMPLETED) for one in every]
    assert list(recorded.followers.freed) == []
    for one in every:
        task = await scene.task(one)
        assert (task.status, task.output, task.raw, task.completed_at) == (COMPLETED, "hi", '{"r": 1}', NOON + 5_000)
        assert (task.usage.total_tokens, task.cost_microusd, task.cache) == (0, 0, CacheUse(HOUR, None, leader))
    assert (await scene.task(leader)).cache == CacheUse(HOUR)
    usage = await scene.store.usage("model", None, None)
    assert [(row.attempts, row.usage) for row in usage] == [(1, Usage(10, 20))]


async def test_ends_of_several_leaders_in_one_commit_keep_to_their_own(scene: Scene, cached: Cached) -> None:
    groups = [await cached.group(2, name) for name in "abc"]
    (plain,) = await scene.submitted()
    started = [await scene.started(group[0]) for group in groups] + [await scene.started(plain)]

    a, b, c, none = await asyncio.gather(
        scene.complete(started[0], output="A"),
        scene.fail(started[1]),
        scene.complete(started[2], output="C"),
        scene.complete(started[3]),
    )

    assert [one.task_id for one in a.followers.ended] == groups[0][1:]
    assert [one.task_id for one in b.followers.freed] == groups[1][1:2]
    assert [one.task_id for one in c.followers.ended] == groups[2][1:]
    assert none.followers == Followers()
    outputs = [(await scene.task(one)).output for group in (groups[0], groups[2]) for one in group]
    assert outputs == ["A"] * 3 + ["C"] * 3


async def test_a_leader_that_fails_hands_the_lead_on(scene: Scene, cached: Cached) -> None:
    leader, second, third, fourth = await cached.group(3)
    scene.clock.pass_s(5)

    recorded = await scene.fail(await scene.started(leader))

    (freed,) = recorded.followers.freed
    assert (freed.task_id, freed.queued_at, freed.attempt) == (second, NOON, 0)
    assert await cached.statuses([leader, second, third, fourth]) == [FAILED, QUEUED, BLOCKED, BLOCKED]
    assert [await cached.follows(one) for one in (second, third, fourth)] == [None, second, second]
    (newcomer,) = await cached.submit("a")
    assert await cached.follows(newcomer.task_id) == second
    await cached.run(second)
    assert await cached.statuses([third, fourth, newcomer.task_id]) == [COMPLETED] * 3
    assert f"queued: task {leader} ended without an answer" in await scene.said(second)


async def test_a_leader_that_tries_again_keeps_its_followers(scene: Scene, cached: Cached) -> None:
    leader, follower = await cached.group(1)
    recorded = await scene.retry_later(await scene.started(leader))
    scene.clock.pass_s(5)
    (newcomer,) = await cached.submit("a")
    (waiting,) = await scene.store.promote(10)

    assert (recorded.followers, waiting.task_id) == (Followers(), leader)
    assert await scene.store.regroup(100) == Followers()
    assert await cached.statuses([follower, newcomer.task_id]) == [BLOCKED, BLOCKED]
    await cached.run(leader, expected=1)
    assert await cached.statuses([follower, newcomer.task_id]) == [COMPLETED, COMPLETED]


async def test_a_leader_that_is_put_back_keeps_its_followers(scene: Scene, cached: Cached) -> None:
    leader, follower = await cached.group(1)
    started = await scene.started(leader)
    rate = TaskError("rate_limited", "slow down", is_retryable=True, http_status=429)
    back = scene.end(started, QUEUED, outcome=AttemptOutcome.RATE_LIMITED, error=rate, usage=Usage())
    assert (await scene.store.record(back)).followers == Followers()

    await cached.run(leader, expected=1)
    assert await scene.status(follower) is COMPLETED


async def test_a_crash_of_the_leaders_worker_leaves_the_followers_where_they_are(scene: Scene, cached: Cached) -> None:
    leader, follower = await cached.group(1)
    await scene.started(leader)
    other = await scene.lose_worker()
    waiting, _ = await scene.store.rescue(3, 10)

    assert [one.task_id for one in waiting] == [leader]
    assert await scene.store.regroup(100) == Followers()
    await scene.complete(await scene.started(leader, 1, other), session_id=other)
    assert await scene.status(follower) is COMPLETED


async def test_a_leader_that_loses_too_many_workers_is_followed_no_more(scene: Scene, cached: Cached) -> None:
    leader, follower = await cached.group(1)
    await scene.started(leader)
    await scene.lose_worker()
    _, ended = await scene.store.rescue(1, 10)

    followers = await scene.store.regroup(100)

    assert [one.status for one in ended] == [FAILED]
    assert [one.task_id for one in followers.freed] == [follower]
    assert await scene.status(follower) is QUEUED


async def test_a_late_answer_of_a_lost_worker_answers_the_followers_too(scene: Scene, cached: Cached) -> None:
    leader, follower = await cached.group(1)
    old = await scene.started(leader)
    await scene.lose_worker()
    await scene.store.rescue(3, 10)

    recorded = await scene.complete(old, output="late")

    assert recorded[:2] == (True, COMPLETED)
    assert (await scene.task(follower)).output == "late"
    assert [one.task_id for one in recorded.followers.ended] == [follower]
    (hit,) = await cached.submit("a")
    assert hit.status is COMPLETED


async def test_cancelling_the_leader_of_three_frees_the_next(scene: Scene, cached: Cached) -> None:
    leader, second, third, fourth = await cached.group(3)
    (newcomer,) = await cached.submit("b")
    await scene.store.cancel([leader])

    followers = await scene.store.regroup(100)

    assert [one.task_id for one in followers.freed] == [second]
    assert await cached.statuses([second, third, fourth]) == [QUEUED, BLOCKED, BLOCKED]
    assert [await cached.follows(one) for one in (third, fourth)] == [second, second]
    assert await scene.store.regroup(100) == Followers()
    assert await scene.status(newcomer.task_id) is QUEUED


async def test_a_running_leader_that_is_cancelled_frees_the_next_when_it_ends(scene: Scene, cached: Cached) -> None:
    leader, follower = await cached.group(1)
    started = await scene.started(leader)
    await scene.store.cancel([leader])
    assert await scene.store.regroup(100) == Followers()

    recorded = await scene.complete(started)

    assert recorded.status is CANCELLED
    assert [one.task_id for one in recorded.followers.freed] == [follower]


async def test_a_newcomer_does_not_follow_a_leader_that_is_over(scene: Scene, cached: Cached) -> None:
    """Between a cancel and the sweep: it leads, and the orphans follow it."""
    leader, orphan = await cached.group(1)
    await scene.store.cancel([leader])
    (newcomer,) = await cached.submit("a")

    assert newcomer.status is QUEUED
    assert (await scene.store.regroup(100)).freed == []
    assert await cached.follows(orphan) == newcomer.task_id
    await cached.run(newcomer.task_id)
    assert await scene.status(orphan) is COMPLETED


async def test_a_follower_can_be_cancelled_and_expires_and_changes_its_priority(scene: Scene, cached: Cached) -> None:
    leader, cancelled, stays = await cached.group(2)
    (short,) = await cached.submit("a", deadline_at=Millis(NOON + 1_000))
    assert [one.status for one in await scene.store.cancel([cancelled])] == [CANCELLED]
    assert list(await scene.store.set_priority([stays], 0)) == []
    assert await scene.store.next_due_at() == NOON + 1_000
    scene.clock.pass_s(1)
    assert [one.task_id for one in await scene.store.expire(10)] == [short.task_id]

    recorded = await scene.complete(await scene.started(leader))

    assert [one.task_id for one in recorded.followers.ended] == [stays]
    assert await cached.statuses([cancelled, short.task_id]) == [CANCELLED, EXPIRED]
    assert (await scene.task(stays)).priority == 0


async def test_a_leader_past_its_deadline_frees_the_next(scene: Scene, cached: Cached) -> None:
    (leader,) = await cached.submit("a", deadline_at=Millis(NOON + 1_000))
    (follower,) = await cached.submit("a")
    scene.clock.pass_s(1)
    assert [one.task_id for one in await scene.store.expire(10)] == [leader.task_id]

    assert await scene.store.next_due_at() == 0
    assert [one.task_id for one in (await scene.store.regroup(10)).freed] == [follower.task_id]
    assert await scene.store.next_due_at() is None


async def test_the_most_urgent_follower_leads_next(scene: Scene, cached: Cached) -> None:
    leader, low, urgent = await cached.group(2)
    await scene.store.set_priority([urgent], 0)

    recorded = await scene.fail(await scene.started(leader))

    assert [(one.task_id, one.priority) for one in recorded.followers.freed] == [(urgent, 0)]
    assert await cached.follows(low) == urgent


async def test_an_answered_follower_has_no_deadline_left(scene: Scene, cached: Cached) -> None:
    (leader,) = await cached.submit("a")
    (follower,) = await cached.submit("a", deadline_at=Millis(NOON + 1_000))
    await cached.run(leader.task_id)
    (hit,) = await cached.submit("a", deadline_at=Millis(NOON + 1_000))
    scene.clock.pass_s(2)

    assert await scene.store.expire(10) == []
    assert await scene.store.next_due_at() is None
    assert await cached.statuses([follower.task_id, hit.task_id]) == [COMPLETED, COMPLETED]


async def test_answers_lapse_by_the_clock_and_are_forgotten(scene: Scene, cached: Cached) -> None:
    (first,) = await cached.submit("a", ttl_s=10)
    await cached.run(first.task_id)
    scene.clock.pass_s(9.9)
    (hit,) = await cached.submit("a")
    assert await scene.store.drop_answers(100) == 0
    scene.clock.pass_s(0.1)

    (miss,) = await cached.submit("a", ttl_s=10)

    assert (hit.status, miss.status) == (COMPLETED, QUEUED)
    await cached.run(miss.task_id)
    scene.clock.pass_s(10)
    assert [await scene.store.drop_answers(100) for _ in range(2)] == [1, 0]


async def test_forgetting_is_bounded_and_leaves_what_is_in_flight(scene: Scene, cached: Cached) -> None:
    names = [f"n{number}" for number in range(100)]
    for one in await cached.submit(*names, ttl_s=5):
        await cached.run(one.task_id)
    leader, follower = await cached.group(1, "live")
    (dead,) = await cached.submit("dead")
    await scene.store.cancel([dead.task_id])
    scene.clock.pass_s(5)

    dropped = [await scene.store.drop_answers(40) for _ in range(4)]

    assert dropped == [41, 40, 20, 0]
    await cached.run(leader)
    assert await scene.status(follower) is COMPLETED


async def test_a_task_for_later_neither_leads_nor_follows_until_its_time(scene: Scene, cached: Cached) -> None:
    (later,) = await cached.submit("a", run_at=Millis(NOON + 5_000))
    (now,) = await cached.submit("a")
    (another,) = await cached.submit("a", run_at=Millis(NOON + 5_000))
    assert [one.status for one in (later, now, another)] == [Status.SCHEDULED, QUEUED, Status.SCHEDULED]
    scene.clock.pass_s(5)

    assert await scene.store.promote(10) == []

    ids = [later.task_id, another.task_id]
    assert [await cached.follows(one) for one in ids] == [now.task_id] * 2
    await cached.run(now.task_id)
    assert await cached.statuses(ids) == [COMPLETED] * 2


async def test_tasks_for_later_take_a_stored_answer_when_their_time_has_come(scene: Scene, cached: Cached) -> None:
    (first,) = await cached.submit("a")
    await cached.run(first.task_id)
    (later,) = await cached.submit("a", run_at=Millis(NOON + 5_000))
    assert later.status is Status.SCHEDULED
    scene.clock.pass_s(5)
    assert await scene.store.promote(10) == []

    followers = await scene.store.regroup(10)

    assert [(one.task_id, one.status) for one in followers.ended] == [(later.task_id, COMPLETED)]
    assert await cached.source(later.task_id) == first.task_id


async def test_of_equal_tasks_due_together_one_leads(scene: Scene, cached: Cached) -> None:
    ids = [one.task_id for one in await cached.submit("a", "a", "a", run_at=Millis(NOON + 5_000))]
    scene.clock.pass_s(5)

    waiting = await scene.store.promote(10)

    assert [one.task_id for one in waiting] == ids[:1]
    await cached.run(ids[0])
    assert await cached.statuses(ids) == [COMPLETED] * 3


async def test_a_requeued_leader_leads_again_if_nobody_else_does(scene: Scene, cached: Cached) -> None:
    (leader,) = await cached.submit("a")
    await scene.fail(await scene.started(leader.task_id))
    await scene.store.requeue([leader.task_id], statuses=[FAILED])
    (follower,) = await cached.submit("a")

    assert await cached.follows(follower.task_id) == leader.task_id
    await cached.run(leader.task_id, expected=1)
    assert await scene.status(follower.task_id) is COMPLETED


async def test_a_requeued_leader_runs_by_itself_when_another_leads(scene: Scene, cached: Cached) -> None:
    old, new = await cached.group(1)
    await scene.fail(await scene.started(old))
    (waiting,) = await scene.store.requeue([old], statuses=[FAILED])
    (follower,) = await cached.submit("a")
    assert (waiting.task_id, await cached.follows(follower.task_id)) == (old, new)

    await cached.run(old, expected=1, output="old")
    assert await scene.status(follower.task_id) is BLOCKED
    await cached.run(new, output="new")

    (hit,) = await cached.submit("a")
    assert [(await scene.task(one)).output for one in (old, follower.task_id, hit.task_id)] == ["old", "new", "new"]


async def test_a_requeued_follower_follows_nobody(scene: Scene, cached: Cached) -> None:
    leader, follower = await cached.group(1)
    await scene.store.cancel([follower])
    await scene.store.requeue([follower], statuses=[CANCELLED])

    recorded = await scene.complete(await scene.started(leader), output="lead")

    assert list(recorded.followers.ended) == []
    await cached.run(follower, output="own")
    assert (await scene.task(follower)).output == "own"


async def test_an_edited_task_neither_stores_nor_takes_answers_of_its_old_input(scene: Scene, cached: Cached) -> None:
    """Nor does it keep the followers that no sweep has seen yet."""
    edited, orphan, second = await cached.group(2)
    await scene.store.cancel([edited])
    waiting = await scene.store.requeue([edited], statuses=[CANCELLED], input='{"other": 1}')
    (equal,) = await cached.submit("a")
    await cached.run(edited, output="of another question")

    assert [one.task_id for one in waiting] == [edited, orphan]
    assert (await scene.task(edited)).cache is None
    assert [await cached.follows(one) for one in (orphan, second, equal.task_id)] == [None, orphan, orphan]
    await cached.run(orphan, output="of this one")
    assert [(await scene.task(one)).output for one in (second, equal.task_id)] == ["of this one"] * 2


async def test_the_answer_of_a_deleted_task_is_not_given(scene: Scene, cached: Cached) -> None:
    (first,) = await cached.submit("a")
    await cached.run(first.task_id)
    (copy,) = await cached.submit("a")
    await scene.store.delete([first.task_id])

    (miss,) = await cached.submit("a")

    assert miss.status is QUEUED
    assert (await scene.task(copy.task_id)).output == "hello"


async def test_followers_of_a_deleted_leader_lead_on(scene: Scene, cached: Cached) -> None:
    leader, second, third = await cached.group(2)
    await scene.store.cancel([leader])
    await scene.store.delete([leader])

    followers = await scene.store.regroup(100)

    assert [one.task_id for one in followers.freed] == [second]
    assert await cached.follows(third) == second


async def test_thousands_of_followers_are_answered_bit_by_bit(scene: Scene, cached: Cached) -> None:
    leader, *followers = await cached.group(1_200)
    recorded = await scene.complete(await scene.started(leader))
    sizes = [len(recorded.followers.ended)]
    is_cut = recorded.followers.is_cut
    while is_cut:
        more = await scene.store.regroup(500)
        sizes.append(len(more.ended))
        is_cut = more.is_cut

    assert sizes == [500, 500, 200]
    assert await scene.store.counts(TaskFilter()) == {COMPLETED: 1_201}
    assert {await cached.source(one) for one in followers[::100]} == {leader}


async def test_thousands_of_followers_of_a_failed_leader_find_the_next_one(scene: Scene, cached: Cached) -> None:
    leader, second, *_ = await cached.group(1_200)
    recorded = await scene.fail(await scene.started(leader))
    freed, is_cut = list(recorded.followers.freed), recorded.followers.is_cut
    while is_cut:
        more = await scene.store.regroup(500)
        freed += more.freed
        is_cut = more.is_cut

    assert [one.task_id for one in freed] == [second]
    assert await scene.store.counts(TaskFilter()) == {FAILED: 1, QUEUED: 1, BLOCKED: 1_199}
    recorded = await scene.complete(await scene.started(second))
    while recorded.followers.is_cut and (await scene.store.regroup(500)).is_cut:
        pass
    assert await scene.store.counts(TaskFilter()) == {FAILED: 1, COMPLETED: 1_200}


async def test_an_answer_made_with_another_config_is_for_those_who_wait_only(scene: Scene, cached: Cached) -> None:
    """The model was changed between submit and run: under its old config nobody may find this answer later."""
    leader, follower = await cached.group(1)
    await cached.run(leader, config_digest="e" * 16)
    (later,) = await cached.submit("a")

    assert await scene.status(follower) is COMPLETED
    assert later.status is QUEUED
    await cached.run(later.task_id, config_digest=DIGEST)
    (hit,) = await cached.submit("a")
    assert hit.status is COMPLETED


async def test_an_idempotency_key_gives_the_same_task_hit_or_not(scene: Scene, cached: Cached) -> None:
    keyed = scene.new(cache=wish("a"), idempotency_key="k", fingerprint="f")
    both = await scene.store.submit([scene.new(cache=wish("a")), keyed])
    (repeated,) = await scene.store.submit([keyed])
    assert [(one.status, one.is_new) for one in (*both, repeated)] == [
        (QUEUED, True),
        (BLOCKED, True),
        (BLOCKED, False),
    ]
    await cached.run(both[0].task_id)

    same_batch = await scene.store.submit(
        [keyed, *(scene.new(cache=wish("a"), idempotency_key="n", fingerprint="f") for _ in range(2))]
    )

    assert [(one.status, one.is_new) for one in same_batch] == [
        (COMPLETED, False),
        (COMPLETED, True),
        (COMPLETED, False),
    ]
    assert same_batch[0].task_id == both[1].task_id
    with pytest.raises(IdempotencyConflictError):
        await scene.store.submit([scene.new(cache=wish("a"), idempotency_key="k", fingerprint="g")])


async def test_a_refused_list_takes_no_lead(scene: Scene, cached: Cached) -> None:
    await scene.store.submit([scene.new(idempotency_key="k", fingerprint="f")])
    refused = [scene.new(cache=wish("a")), scene.new(idempotency_key="k", fingerprint="g")]

    answers = await asyncio.gather(scene.store.submit(refused), cached.submit("a"), return_exceptions=True)

    assert isinstance(answers[0], IdempotencyConflictError)
    (leader,) = answers[1]  # type: ignore[misc]
    assert leader.status is QUEUED
    await cached.run(leader.task_id)


async def test_lists_show_what_became_of_the_wish(scene: Scene, cached: Cached) -> None:
    leader, follower = await cached.group(1)
    page = await scene.store.tasks(TaskFilter(), limit=10, is_ascending=True)
    assert [task.cache for task in page.items] == [CacheUse(HOUR), CacheUse(HOUR, leader)]
    assert (await scene.task(follower)).cache == CacheUse(HOUR, leader)


async def test_a_removed_model_leaves_no_answers_behind(scene: Scene, cached: Cached) -> None:
    (first,) = await cached.submit("a")
    await cached.run(first.task_id)
    await scene.store.remove_model(scene.model.id)

    assert await scene.store.counts(TaskFilter()) == {}
    scene.clock.pass_s(HOUR)
    assert await scene.store.drop_answers(10) == 1
