"""The index follows the record: what is missing is added, what is stale is dropped, seen twice or never."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.inside import inside, until

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, SessionId, TaskId
from llm_scheduler.ports.broker import Claim, Release, Slot
from llm_scheduler.ports.store import StartOrder
from llm_scheduler.relay.upkeep import Pace

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LONG_AGO = Millis(1)


async def test_a_claim_that_nobody_started_is_given_up_at_the_second_look(tmp_path: Path) -> None:
    """Its worker died between claim and START: the row waits, the slot is held, and time has passed."""
    async with inside(tmp_path) as it:
        model = await it.add_model(max_workers=1)
        await it.models.pause("m", DEFAULT_TENANT)
        [task_id] = await it.submit(model)
        await it.broker.remove(model.id, [TaskId(task_id)])
        dead = Slot(TaskId(task_id), model.id, DEFAULT_TENANT, SessionId(99), 0, LONG_AGO)
        await it.broker.reconcile([], [dead], [])

        assert await it.installation.index.audit() == 0
        assert it.installation.index.is_in_doubt
        assert [slot.session for slot in await it.broker.slots()] == [99]
        assert await it.installation.index.audit() == 2  # the slot and the task
        assert not await it.broker.slots()
        assert it.broker.waiting(model.id) == 1

        await it.models.resume("m", DEFAULT_TENANT)
        await it.wait_for(task_id, "completed")


async def test_a_doubt_brings_the_second_look_long_before_the_next_period(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an hour between two looks, the slot of a dead worker is free again all the same."""
    monkeypatch.setattr("llm_scheduler.app.installation.ALONE", Pace(audit_s=3_600, idle_audit_s=3_600))
    async with inside(tmp_path) as it:
        model = await it.add_model(max_workers=1)
        dead = Slot(TaskId(7), model.id, DEFAULT_TENANT, SessionId(99), 0, LONG_AGO)
        await it.broker.reconcile([], [dead], [])
        await it.installation.index.audit()

        async def is_free() -> bool:
            return not await it.broker.slots()

        await until(is_free, "the slot is free", 20)


async def test_a_fresh_claim_is_not_taken_for_a_dead_one(tmp_path: Path) -> None:
    """Its START may be on the way."""
    async with inside(tmp_path) as it:
        model = await it.add_model(max_workers=1)
        await it.models.pause("m", DEFAULT_TENANT)
        [task_id] = await it.submit(model)
        await it.broker.remove(model.id, [TaskId(task_id)])
        fresh = Slot(TaskId(task_id), model.id, DEFAULT_TENANT, SessionId(1), 0, it.installation.clock.now())
        await it.broker.reconcile([], [fresh], [])

        assert [await it.installation.index.audit() for _ in range(3)] == [0, 0, 0]
        assert not it.installation.index.is_in_doubt
        assert await it.broker.slots() == [fresh]


async def test_what_runs_without_a_slot_gets_one_at_the_second_look(tmp_path: Path) -> None:
    """The index forgot it; without the slot the model would run above its limit."""
    async with inside(tmp_path) as it:
        model = await it.add_model(max_workers=1, config={"delay_ms": 60_000})
        [task_id] = await it.submit(model)
        await it.wait_for(task_id, "running")
        [slot] = await it.broker.slots()
        await it.broker.release([Release(Claim(slot.task_id, slot.lane, slot.tenant_id, slot.attempt, 0))])

        assert await it.installation.index.audit() == 0
        assert it.installation.index.is_in_doubt
        assert await it.installation.index.audit() == 1
        assert not it.installation.index.is_in_doubt
        assert [(one.task_id, one.attempt, one.session) for one in await it.broker.slots()] == [
            (slot.task_id, slot.attempt, slot.session)
        ]


async def test_slots_of_buried_sessions_are_freed_at_once(tmp_path: Path) -> None:
    """START refuses their claims from now on, so nobody needs to look twice."""
    async with inside(tmp_path) as it:
        model = await it.add_model(max_workers=1)
        await it.models.pause("m", DEFAULT_TENANT)
        [task_id] = await it.submit(model)
        other = await it.store.open_session("elsewhere", 7, "1")
        await it.broker.remove(model.id, [TaskId(task_id)])
        slot = Slot(TaskId(task_id), model.id, DEFAULT_TENANT, other, 0, it.installation.clock.now())
        await it.broker.reconcile([], [slot], [])
        await it.store.close_session(other)
        mine = it.installation.heartbeat.session_id
        assert mine is not None

        assert await it.installation.index.free([mine]) == 1
        assert await it.installation.index.walk() == 1
        assert await it.store.start(other, [StartOrder(TaskId(task_id), 0)]) == [None]


async def test_the_spent_minute_survives_a_restart(tmp_path: Path) -> None:
    """The provider remembers the calls of the last minute, so the index must, too."""
    async with inside(tmp_path) as it:
        model = await it.add_model(rpm=5)
        ids = await it.submit(model, 3)
        await it.wait_for(ids[0], "completed")
    async with inside(tmp_path) as it:
        session = it.installation.heartbeat.session_id
        assert session is not None
        answer = await it.broker.claim(session, it.installation.catalogue.lanes(), 5)

        assert not answer.claims
        assert answer.wait_ms is not None
        assert answer.wait_ms > 5_000
