"""Figures over time, and errors by cause."""

from __future__ import annotations

from tests.contract import store_scene
from tests.contract.store_scene import Scene

from llm_scheduler.domain.ids import Millis, ModelId, TenantId
from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.series import Span
from llm_scheduler.stores.portable import series

scene = store_scene.scene
STEP_MS = 60_000


def _all(scene: Scene) -> Span:
    return Span(Millis(0), Millis(scene.clock.at + STEP_MS))


async def test_each_step_counts_what_ended_in_it(scene: Scene) -> None:
    first, second, bad = await scene.submitted(3)
    await scene.complete(await scene.started(first))
    scene.clock.pass_s(600)
    await scene.complete(await scene.started(second))
    await scene.fail(await scene.started(bad))

    early, late = await scene.store.series(_all(scene), STEP_MS)

    assert (early.completed, early.failed, early.usage, early.cost_microusd) == (1, 0, Usage(10, 20), 7)
    assert (late.completed, late.failed, late.wait_p50_ms) == (1, 1, 600_000)
    assert (early.latency_p50_ms, early.wait_p95_ms) == (1200, 0)
    assert early.at % STEP_MS == late.at % STEP_MS == 0
    assert late.at - early.at == 600_000


async def test_a_span_of_a_tenant_or_a_model_leaves_the_others_out(scene: Scene) -> None:
    (task_id,) = await scene.submitted()
    await scene.complete(await scene.started(task_id))
    span = _all(scene)

    assert await scene.store.series(span._replace(tenant_id=TenantId(2)), STEP_MS) == []
    assert await scene.store.series(span._replace(model_id=ModelId(4711)), STEP_MS) == []
    assert await scene.store.series(span._replace(until=Millis(1)), STEP_MS) == []


async def test_percentiles_of_many_are_of_an_even_sample(scene: Scene, monkeypatch) -> None:
    monkeypatch.setattr(series, "SAMPLE", 5)
    for task_id in await scene.submitted(40):
        await scene.complete(await scene.started(task_id))

    (point,) = await scene.store.series(_all(scene), STEP_MS)

    assert point.completed == 40
    assert point.latency_p50_ms == 1200


async def test_errors_are_grouped_by_cause_the_commonest_first(scene: Scene) -> None:
    ids = await scene.submitted(3)
    for task_id in ids:
        await scene.fail(await scene.started(task_id))
        scene.clock.pass_s(1)

    (group,) = await scene.store.error_groups(_all(scene), 20)

    assert (group.number, group.task_id) == (3, ids[-1])
    assert group.code
    assert group.message
    assert await scene.store.error_groups(_all(scene)._replace(tenant_id=TenantId(2)), 20) == []


async def test_the_latest_calls_tell_how_long_they_took(scene: Scene) -> None:
    """Those that completed, the latest first; one that failed, still runs or ended before then tells nothing."""
    old, first, second, bad, running = await scene.submitted(5)
    await scene.complete(await scene.started(old))
    scene.clock.pass_s(600)
    since = Millis(scene.clock.at)
    for task_id in (first, second):
        scene.clock.pass_s(10)
        await scene.complete(await scene.started(task_id))
    await scene.fail(await scene.started(bad))
    await scene.started(running)
    model_id = scene.model.id

    assert await scene.store.call_times(since, 10) == [(model_id, 1200), (model_id, 1200)]
    assert await scene.store.call_times(since, 1) == [(model_id, 1200)]
    assert len(await scene.store.call_times(Millis(0), 10)) == 3
