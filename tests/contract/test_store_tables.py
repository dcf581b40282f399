"""Sessions, models, tenants, bulk actions, kept replies, and the store's own life."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract import store_scene
from tests.contract.store_scene import MAKERS, NOON, CountingMeter, Scene, mysql_store, opened

from llm_scheduler.domain.errors import (
    IdempotencyConflictError,
    ModelChangedError,
    ModelInUseError,
    ModelNotFoundError,
    NameTakenError,
    StoreUnavailableError,
)
from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId, TenantId
from llm_scheduler.domain.model import Model, ModelStatus
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.session import BeatAnswer, Vitals
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.ports.promises import KEY_TAKEN_MS, Taken

scene = store_scene.scene
BUSY = Vitals(running=3, cpu_percent=12.5, rss_bytes=2**33)


async def test_a_session_that_beats_in_time_stays_alive(scene: Scene) -> None:
    scene.clock.pass_s(9)
    answer = await scene.store.beat(scene.session, BUSY)
    scene.clock.pass_s(9)

    assert answer == BeatAnswer(is_alive=True)
    assert await scene.store.bury(10) == 0
    (session,) = await scene.store.sessions()
    assert (session.running, session.cpu_percent, session.rss_bytes) == (3, 12.5, 2**33)
    assert session.heartbeat_at == NOON + 9_000


async def test_a_session_tells_the_role_of_its_process(scene: Scene) -> None:
    await scene.store.open_session("front", 2, "1.0", "api")

    assert [session.role for session in await scene.store.sessions()] == ["api", "all"]


async def test_a_buried_session_learns_that_it_is_fenced(scene: Scene) -> None:
    other = await scene.lose_worker()

    assert await scene.store.beat(scene.session, BUSY) == BeatAnswer(is_alive=False)
    assert [session.id for session in await scene.store.sessions()] == [other]
    assert [session.is_alive for session in await scene.store.sessions(alive_only=False)] == [True, False]


async def test_what_a_closed_session_ran_is_rescued_at_once(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    await scene.started(task_id)
    await scene.store.close_session(scene.session)

    waiting, _ = await scene.store.rescue(3, 10)

    assert [one.task_id for one in waiting] == [task_id]


async def test_a_model_keeps_every_field_and_its_counters(scene: Scene) -> None:
    wanted = Model(
        id=ModelId(0),
        tenant_id=DEFAULT_TENANT,
        name="full",
        type="openai",
        config={"base_url": "http://x", "deep": {"a": [1, None]}},
        status=ModelStatus.PAUSED,
        max_workers=8,
        rpm=600,
        tpm=60_000,
        strategy="fifo",
        starve_after_s=None,
        max_queue_length=10,
        retry=RetryPolicy(1, 2.0, 3.0, 4.0),
    )
    added = await scene.store.add_model(wanted)
    await scene.started((await scene.submitted(model_id=added.id))[0])
    await scene.store.set_current_workers({added.id: 1})

    saved = await scene.store.save_model(replace(added, rpm=None, name="renamed"))

    assert added == replace(wanted, id=added.id, created_at=NOON, updated_at=NOON)
    assert (saved.version, saved.rpm, saved.total_requests, saved.current_workers) == (2, None, 1, 1)
    assert [model for model in await scene.store.models() if model.id == added.id] == [saved]


async def test_a_model_name_is_taken_once_per_tenant(scene: Scene) -> None:
    with pytest.raises(NameTakenError):
        await scene.store.add_model(Model(ModelId(0), DEFAULT_TENANT, "m", "scripted", {}))
    other = await scene.store.add_model(Model(ModelId(0), TenantId(2), "m", "scripted", {}))
    free = await scene.store.add_model(Model(ModelId(0), DEFAULT_TENANT, "n", "scripted", {}))
    with pytest.raises(NameTakenError):
        await scene.store.save_model(replace(free, name="m"))
    with pytest.raises(ModelNotFoundError):
        await scene.store.save_model(replace(other, id=ModelId(999)))


async def test_a_model_that_somebody_changed_meanwhile_is_not_overwritten(scene: Scene) -> None:
    read = await scene.store.add_model(Model(ModelId(0), DEFAULT_TENANT, "n", "scripted", {}))
    changed = await scene.store.save_model(replace(read, rpm=5))

    with pytest.raises(ModelChangedError):
        await scene.store.save_model(replace(read, tpm=9))

    assert [model for model in await scene.store.models() if model.id == read.id] == [changed]


async def test_a_model_goes_with_its_finished_tasks_but_not_before(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    with pytest.raises(ModelInUseError):
        await scene.store.remove_model(scene.model.id)
    await scene.complete(await scene.started(task_id))

    await scene.store.remove_model(scene.model.id)
    await scene.store.remove_model(scene.model.id)

    assert list(await scene.store.models()) == []
    assert await scene.store.task(task_id) is None


async def test_the_default_tenant_is_there_and_others_can_be_saved(scene: Scene) -> None:
    await scene.store.save_tenant(Tenant(TenantId(2), "two", 2.5, 3))
    await scene.store.save_tenant(Tenant(TenantId(2), "zwei", 1.5, None))

    assert await scene.store.tenants() == [Tenant(DEFAULT_TENANT, "default"), Tenant(TenantId(2), "zwei", 1.5)]


async def test_a_bulk_action_survives_a_restart(tmp_path: Path) -> None:
    for make in MAKERS.values():
        async with opened(make, tmp_path) as scene:
            begun = await scene.store.add_action("cancel", '{"q": "é"}', None)
            await scene.store.save_action(begun.id, seen=5, changed=3, status="running")

        async with opened(make, tmp_path) as scene:
            assert await scene.store.unfinished_actions() == [begun._replace(seen=5, changed=3)]
            await scene.store.save_action(begun.id, seen=9, changed=4, status="failed", error="no")
            assert list(await scene.store.unfinished_actions()) == []
            after = await scene.store.action(begun.id)
            assert after is not None
            assert (after.status, after.error, after.seen) == ("failed", "no", 9)


async def test_of_requests_with_one_key_one_has_it_until_its_answer_is_kept(scene: Scene) -> None:
    asked = await asyncio.gather(*(scene.store.take_key(DEFAULT_TENANT, "k", "f") for _ in range(8)))
    await scene.store.keep_reply(DEFAULT_TENANT, "k", '{"a": 1}')
    await scene.store.keep_reply(DEFAULT_TENANT, "k", '{"a": 2}')

    assert sorted(asked, key=lambda one: one is not None) == [None, *[Taken("f", None)] * 7]
    assert await scene.store.take_key(DEFAULT_TENANT, "k", "g") == Taken("f", '{"a": 1}')
    await scene.store.free_key(DEFAULT_TENANT, "k")
    assert await scene.store.take_key(DEFAULT_TENANT, "k", "g") == Taken("f", '{"a": 1}')
    assert await scene.store.take_key(TenantId(2), "k", "f") is None


async def test_a_key_is_free_again_when_nothing_was_made_or_whoever_had_it_is_gone(scene: Scene) -> None:
    await scene.store.take_key(DEFAULT_TENANT, "k", "f")
    await scene.store.free_key(DEFAULT_TENANT, "k")
    assert await scene.store.take_key(DEFAULT_TENANT, "k", "g") is None
    scene.clock.pass_s(KEY_TAKEN_MS / 1000 - 1)
    assert await scene.store.take_key(DEFAULT_TENANT, "k", "h") == Taken("g", None)
    scene.clock.pass_s(1)
    assert await scene.store.take_key(DEFAULT_TENANT, "k", "h") is None


async def test_a_tasks_key_is_none_for_other_requests_and_the_other_way_round(scene: Scene) -> None:
    await scene.submitted(idempotency_key="task", fingerprint="t")
    await scene.store.take_key(DEFAULT_TENANT, "other", "f")

    assert await scene.store.take_key(DEFAULT_TENANT, "task", "f") == Taken("t", None)
    with pytest.raises(IdempotencyConflictError):
        await scene.submitted(idempotency_key="other", fingerprint="f")


async def test_of_two_processes_one_has_a_key(tmp_path: Path) -> None:
    """A lock of one process let two of them make what one request asked for."""
    async with opened(mysql_store, tmp_path) as scene:
        other = mysql_store(tmp_path, scene.clock, CountingMeter())
        await other.open()
        stores = (scene.store, other)
        for number in range(20):
            asked = [store.take_key(DEFAULT_TENANT, f"k{number}", "f") for store in stores for _ in range(2)]
            assert (await asyncio.gather(*asked)).count(None) == 1
        await other.close()


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    for make in MAKERS.values():
        async with opened(make, tmp_path) as scene:
            ids = await scene.submitted(3)
            await scene.complete(await scene.started(ids[0]))
        async with opened(make, tmp_path) as scene:
            assert [await scene.status(one) for one in ids] == [Status.COMPLETED, Status.QUEUED, Status.QUEUED]
            assert min(await scene.submitted()) > max(ids)


async def test_close_writes_what_waits_and_then_refuses(tmp_path: Path) -> None:
    for make in MAKERS.values():
        async with opened(make, tmp_path) as scene:
            submits = [asyncio.ensure_future(scene.submitted()) for _ in range(50)]
            await asyncio.sleep(0)
            await scene.store.close()
            answers = await asyncio.gather(*submits)
            with pytest.raises(StoreUnavailableError):
                await scene.submitted()
            with pytest.raises(StoreUnavailableError):
                await scene.store.models()
            assert scene.store.connections() == 0
        async with opened(make, tmp_path) as scene:
            assert await scene.store.queued_count() == len({one for (one,) in answers}) == 50


async def test_a_ping_commits(scene: Scene) -> None:
    await scene.store.ping()

    assert scene.store.connections() >= 1
