"""Budgets in the record: what is put aside, what is settled, and that each happens once. On both engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract import store_scene
from tests.contract.store_scene import NOON, Scene

from llm_scheduler.domain.budget import Budget, Period, PriceRow, Tariff
from llm_scheduler.domain.errors import BudgetNameTakenError
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId
from llm_scheduler.domain.money import DEFAULT_TIER, Price, Rates
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome
from llm_scheduler.ports.money import HeldTask
from llm_scheduler.ports.store import StartedTask, StartOrder
from llm_scheduler.services.budgets import new_budget
from llm_scheduler.stores.sqlite.leaving import Source

if TYPE_CHECKING:
    from pathlib import Path

scene = store_scene.scene
TARIFF = Tariff({DEFAULT_TIER: Price(Rates(request_nanousd=100_000), source="test")}, {}, 0, 50)
"""100 micro-USD for any call."""
UNKNOWN = TARIFF._replace(tiers={})


async def budget(scene: Scene, limit: int = 250, name: str = "b", **fields: Any) -> Budget:
    period = fields.pop("period", Period.TOTAL)
    return await scene.store.add_budget(new_budget(DEFAULT_TENANT, name, period, limit, **fields))


async def begin(
    scene: Scene, task_id: TaskId, expected: int = 0, tariff: Tariff = TARIFF
) -> StartedTask | HeldTask | None:
    [answer] = await scene.store.start(scene.session, [StartOrder(task_id, expected, tariff=tariff)])
    return answer


async def begun(scene: Scene, task_id: TaskId, expected: int = 0) -> StartedTask:
    answer = await begin(scene, task_id, expected)
    assert isinstance(answer, StartedTask)
    return answer


async def purse(scene: Scene, name: str = "b") -> tuple[int, int]:
    """Spent, reserved."""
    found = {one.name: one for one in await scene.store.budgets()}[name]
    return found.spent_microusd, found.reserved_microusd


async def gap(scene: Scene) -> tuple[int, int]:
    balance = await scene.store.balance()
    return balance.gap_microusd, balance.open_microusd


async def test_a_start_puts_the_most_aside_that_the_call_may_cost(scene: Scene) -> None:
    await budget(scene)
    [task_id] = await scene.submitted()

    started = await begun(scene, task_id)

    assert started.reserved_microusd == 100
    assert await purse(scene) == (0, 100)
    assert await gap(scene) == (0, 100)


async def test_the_request_of_a_covered_call_is_given_a_bound(scene: Scene) -> None:
    """What is reserved holds for what is sent."""
    await budget(scene)
    [task_id] = await scene.submitted()

    assert (await begun(scene, task_id)).input == '{"messages":[],"max_tokens":50}'


async def test_a_task_without_room_is_held_and_nothing_stays_reserved(scene: Scene) -> None:
    """Two fit into 250, of one batch; the third waits, its attempt as it was."""
    await budget(scene)
    await budget(scene, 10_000, "roomy")
    ids = await scene.submitted(3)

    answers = await scene.store.start(scene.session, [StartOrder(one, 0, tariff=TARIFF) for one in ids])

    assert [type(one) for one in answers] == [StartedTask, StartedTask, HeldTask]
    held = await scene.task(ids[2])
    assert (held.status, held.attempt, held.owner) == (Status.HELD, 0, None)
    assert held.error is not None
    assert held.error.code == "budget_exhausted"
    assert "'b'" in held.error.message
    assert "'roomy'" not in held.error.message
    assert (await scene.said(ids[2]))[-1].startswith("held: The call may cost $0.0001")
    assert (await purse(scene), await purse(scene, "roomy")) == ((0, 200), (0, 200))
    assert await gap(scene) == (0, 400)
    assert not await scene.store.attempts(ids[2])


async def test_without_a_tariff_nothing_is_reserved(scene: Scene) -> None:
    """Tenants without budgets start as ever."""
    await budget(scene, 0)
    [task_id] = await scene.submitted()

    started = await scene.started(task_id)

    assert (started.reserved_microusd, await purse(scene)) == (0, (0, 0))


@pytest.mark.parametrize("fields", [{"model_id": ModelId(999)}, {"key_id": 8}])
async def test_a_budget_of_another_model_or_key_does_not_count(scene: Scene, fields: dict[str, Any]) -> None:
    await budget(scene, 0, **fields)
    [task_id] = await scene.submitted(key_id=7)

    assert (await begun(scene, task_id)).reserved_microusd == 0


async def test_a_budget_of_one_model_and_key_counts_for_them(scene: Scene) -> None:
    await budget(scene, 0, model_id=scene.model.id, key_id=7)
    [mine, other] = [*(await scene.submitted(key_id=7)), *(await scene.submitted(key_id=8))]

    assert isinstance(await begin(scene, mine), HeldTask)
    assert isinstance(await begin(scene, other), StartedTask)


async def test_a_covered_call_without_a_price_is_denied_by_name(scene: Scene) -> None:
    """It starts, so that its end is on record; nothing is put aside."""
    await budget(scene)
    [task_id] = await scene.submitted()

    answer = await begin(scene, task_id, tariff=UNKNOWN)

    assert isinstance(answer, StartedTask)
    assert (answer.denied_by, answer.reserved_microusd) == ("b", 0)


async def test_an_end_gives_back_what_the_call_did_not_cost(scene: Scene) -> None:
    await budget(scene)
    [task_id] = await scene.submitted()
    started = await begun(scene, task_id)

    await scene.complete(started, cost_microusd=30, is_reserved=True, charge_microusd=30)

    assert await purse(scene) == (30, 0)
    assert await gap(scene) == (0, 0)


async def test_an_end_of_unknown_cost_takes_all_of_it(scene: Scene) -> None:
    await budget(scene)
    [task_id] = await scene.submitted()

    await scene.retry_later(await begun(scene, task_id), is_reserved=True, charge_microusd=None)

    assert await purse(scene) == (100, 0)


async def test_a_rate_limited_call_costs_nothing_and_reserves_anew(scene: Scene) -> None:
    """The reservation belongs to the attempt and goes with it."""
    await budget(scene)
    [task_id] = await scene.submitted()
    started = await begun(scene, task_id)
    end = scene.end(started, Status.QUEUED, outcome=AttemptOutcome.RATE_LIMITED, is_reserved=True)

    await scene.store.record(end)

    assert await purse(scene) == (0, 0)
    again = await begun(scene, task_id, 1)
    assert (again.attempt, await purse(scene)) == (2, (0, 100))


async def test_a_replayed_end_is_settled_once(scene: Scene) -> None:
    await budget(scene)
    [task_id] = await scene.submitted()
    started = await begun(scene, task_id)

    for _ in range(3):
        await scene.complete(started, is_reserved=True, charge_microusd=30)

    assert await purse(scene) == (30, 0)


async def test_a_lost_worker_has_spent_all_of_it(scene: Scene) -> None:
    """Rescue settles; its answer, coming late after all, is taken and changes nothing in the budget."""
    await budget(scene)
    [task_id] = await scene.submitted()
    started = await begun(scene, task_id)
    await scene.lose_worker()

    await scene.store.rescue(3, 10)
    await scene.store.rescue(3, 10)

    assert await purse(scene) == (100, 0)
    late = await scene.complete(started, is_reserved=True, charge_microusd=30)
    assert (late.is_accepted, await purse(scene)) == (True, (100, 0))
    assert await gap(scene) == (0, 0)


async def test_an_attempt_that_a_salvaged_answer_overtook_is_settled_by_its_own_end(scene: Scene) -> None:
    """Both calls were made, so both are paid."""
    await budget(scene)
    [task_id] = await scene.submitted()
    first, old_session = await begun(scene, task_id), scene.session
    scene.session = await scene.lose_worker()
    await scene.store.rescue(3, 10)
    second = await begun(scene, task_id, 1)
    assert await purse(scene) == (100, 100)

    await scene.complete(first, session_id=old_session, is_reserved=True, charge_microusd=30)
    recorded = await scene.complete(second, is_reserved=True, charge_microusd=40)

    assert not recorded.is_accepted
    assert await purse(scene) == (140, 0)
    assert await gap(scene) == (0, 0)


async def test_what_leaks_is_mended_and_counted(scene: Scene) -> None:
    """An overtaken attempt whose worker dies is nobody's to end: the sweep settles it, once."""
    await budget(scene)
    [task_id] = await scene.submitted()
    first, old_session = await begun(scene, task_id), scene.session
    scene.session = await scene.lose_worker()
    await scene.store.rescue(3, 10)
    await begun(scene, task_id, 1)
    await scene.complete(first, session_id=old_session, is_reserved=True, charge_microusd=30)
    assert await scene.store.mend_reservations(10) == 0

    await scene.lose_worker()

    assert [await scene.store.mend_reservations(10) for _ in range(2)] == [1, 0]
    assert await purse(scene) == (200, 0)


async def test_held_tasks_go_on_after_a_top_up_oldest_first(scene: Scene) -> None:
    """As many as fit, in their old places."""
    made = await budget(scene, 0)
    ids = await scene.submitted(3)
    for one in ids:
        assert isinstance(await begin(scene, one), HeldTask)
    assert not (await scene.store.release_held(None, 10)).tasks

    topped = await scene.store.top_up(made.id, 250)
    released = await scene.store.release_held(None, 10)

    assert topped is not None
    assert (topped.limit_microusd, topped.told_percent) == (250, 0)
    assert [one.task_id for one in released.tasks] == ids[:2]
    assert (await scene.task(ids[0])).error is None
    assert [await scene.status(one) for one in ids] == [Status.QUEUED, Status.QUEUED, Status.HELD]
    assert (await begun(scene, ids[0])).queued_at == NOON


async def test_a_task_that_fits_nowhere_stands_in_nobodys_way(scene: Scene) -> None:
    """The larger one stays held, the younger one goes on."""
    made = await budget(scene, 0)
    [large, small] = await scene.submitted(2)
    dear = TARIFF._replace(tiers={DEFAULT_TIER: Price(Rates(request_nanousd=900_000), source="test")})
    await begin(scene, large, tariff=dear)
    await begin(scene, small)

    await scene.store.top_up(made.id, 500)
    released = await scene.store.release_held(None, 10)

    assert [one.task_id for one in released.tasks] == [small]


async def test_a_walk_over_held_tasks_goes_page_by_page(scene: Scene) -> None:
    await budget(scene, 0)
    ids = await scene.submitted(5)
    for one in ids:
        await begin(scene, one)
    [made] = await scene.store.budgets()
    await scene.store.top_up(made.id, 1000)

    first = await scene.store.release_held(None, 3)
    second = await scene.store.release_held(first.after, 3)

    assert [len(first.tasks), len(second.tasks), second.after] == [3, 2, None]


async def test_a_new_period_begins_with_nothing_spent(scene: Scene) -> None:
    """In SQL, with the first call of the day; what runs over midnight is still put aside."""
    await budget(scene, 100, period=Period.DAY)
    ids = await scene.submitted(2)
    started = await begun(scene, ids[0])
    await scene.complete(started, is_reserved=True, charge_microusd=100)
    assert isinstance(await begin(scene, ids[1]), HeldTask)

    scene.clock.pass_s(86_400)

    assert [one.task_id for one in (await scene.store.release_held(None, 10)).tasks] == [ids[1]]
    await begun(scene, ids[1])
    assert await purse(scene) == (0, 100)


async def test_marks_are_told_once_in_a_period(scene: Scene) -> None:
    """80 % by an end, 100 % by the task that found no room; also in the task's own log."""
    await budget(scene, 150)
    ids = await scene.submitted(3)
    first = await scene.complete(await begun(scene, ids[0]), is_reserved=True, charge_microusd=120)
    second = await begin(scene, ids[1])
    third = await begin(scene, ids[2])

    assert [(one.name, one.percent, one.spent_microusd) for one in first.told] == [("b", 80, 120)]
    assert isinstance(second, HeldTask)
    assert [one.percent for one in second.told] == [100]
    assert isinstance(third, HeldTask)
    assert not third.told
    assert any("80 % are spent" in said for said in await scene.said(ids[0]))
    assert [one.told_percent for one in await scene.store.budgets()] == [100]


async def test_a_cancelled_or_expired_held_task_leaves_nothing_behind(scene: Scene) -> None:
    """Cancel, expire, delete and filters know `held`."""
    await budget(scene, 0)
    [one, two] = [*(await scene.submitted()), *(await scene.submitted(deadline_at=Millis(NOON + 1000)))]
    await begin(scene, one)
    await begin(scene, two)

    cancelled = await scene.store.cancel([one])
    scene.clock.pass_s(2)
    expired = await scene.store.expire(10)

    assert [moved.status for moved in (*cancelled, *expired)] == [Status.CANCELLED, Status.EXPIRED]
    assert await scene.store.delete([one, two]) == 2
    assert await scene.store.mend_reservations(10) == 0
    [made] = await scene.store.budgets()
    await scene.store.top_up(made.id, 1000)
    assert not (await scene.store.release_held(None, 10)).tasks


async def test_a_held_task_cancelled_and_queued_again_starts_as_any_other(scene: Scene) -> None:
    made = await budget(scene, 0)
    [task_id] = await scene.submitted()
    await begin(scene, task_id)
    await scene.store.cancel([task_id])
    await scene.store.requeue([task_id], statuses=[Status.CANCELLED])
    assert isinstance(await begin(scene, task_id), HeldTask)
    await scene.store.top_up(made.id, 100)
    await scene.store.release_held(None, 10)

    assert (await begun(scene, task_id)).attempt == 1


async def test_a_removed_budget_holds_nobody(scene: Scene) -> None:
    """Those that run end without it."""
    made = await budget(scene, 100)
    ids = await scene.submitted(2)
    started = await begun(scene, ids[0])
    await begin(scene, ids[1])

    await scene.store.remove_budget(made.id)

    assert [one.task_id for one in (await scene.store.release_held(None, 10)).tasks] == [ids[1]]
    assert (await scene.complete(started, is_reserved=True, charge_microusd=30)).is_accepted
    assert await gap(scene) == (0, 0)


async def test_a_changed_budget_keeps_what_it_has_spent_unless_its_period_changes(scene: Scene) -> None:
    made = await budget(scene, 100)
    [task_id] = await scene.submitted()
    await scene.complete(await begun(scene, task_id), is_reserved=True, charge_microusd=90)

    raised = await scene.store.change_budget(made.id, {"limit_microusd": 1000})
    daily = await scene.store.change_budget(made.id, {"period": Period.DAY})

    assert raised is not None
    assert daily is not None
    assert (raised.spent_microusd, raised.told_percent) == (90, 0)
    assert (daily.spent_microusd, daily.period) == (0, Period.DAY)
    assert await scene.store.change_budget(made.id + 1000, {}) is None


async def test_a_name_belongs_to_one_budget_of_a_tenant(scene: Scene) -> None:
    await budget(scene)
    with pytest.raises(BudgetNameTakenError):
        await budget(scene)


async def test_a_price_of_the_same_tier_and_date_is_replaced(scene: Scene) -> None:
    row = PriceRow(0, None, "openai", "m", "default", Millis(0), Rates(1, 2, None, 4, 5), "test", Millis(0))
    await scene.store.save_prices([row, row._replace(tier="flex")])
    await scene.store.save_prices([row._replace(rates=Rates(9, 9))])

    found = await scene.store.prices()

    assert sorted((one.tier, one.rates) for one in found) == [
        ("default", Rates(9, 9)),
        ("flex", Rates(1, 2, None, 4, 5)),
    ]
    assert not await scene.store.remove_price(found[0].id, DEFAULT_TENANT)
    assert await scene.store.remove_price(found[0].id, None)
    assert len(await scene.store.prices()) == 1


async def test_an_installation_that_moves_while_calls_are_open_has_spent_all_that_was_put_aside(tmp_path: Path) -> None:
    """As after a crash: nobody can tell what they cost."""
    async with store_scene.opened(store_scene.sqlite_store, tmp_path) as scene:
        await budget(scene)
        ids = await scene.submitted(3)
        for one in ids:
            await begin(scene, one)

    source = Source(tmp_path / "record.db")
    assert source.put_back(NOON) == 2
    source.close()

    async with store_scene.opened(store_scene.sqlite_store, tmp_path) as scene:
        assert await purse(scene) == (200, 0)
        assert await gap(scene) == (0, 0)
        assert [await scene.status(one) for one in ids] == [Status.QUEUED, Status.QUEUED, Status.HELD]
        [made] = await scene.store.budgets()
        await scene.store.top_up(made.id, 1000)
        assert len((await scene.store.release_held(None, 10)).tasks) == 1
