"""Several processes that spend from the same budgets at once, on one database."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from tests.contract.store_scene import mysql_url
from tests.contract.test_store_money import TARIFF
from tests.inside import until
from tests.unit.stores.mysql.test_races import several

from llm_scheduler.domain.budget import Period
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import StartedTask, StartOrder
from llm_scheduler.services.budgets import new_budget
from llm_scheduler.stores.mysql.address import parse
from llm_scheduler.stores.mysql.connection import connect

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.store_scene import Scene


async def test_processes_that_spend_together_never_overspend_and_never_stand_in_each_others_way(tmp_path: Path) -> None:
    """Four stores, three budgets that overlap by key, batches in any order, walks and mending between."""
    async with several(tmp_path, 4) as scenes:
        store = scenes[0].store
        for name, limit, key in (("all", 4_000, None), ("first", 2_500, 1), ("second", 2_500, 2)):
            await store.add_budget(new_budget(DEFAULT_TENANT, name, Period.TOTAL, limit, key_id=key))
        ids = [one for key in (1, 2) for one in await scenes[0].submitted(60, key_id=key)]
        spent = 0

        async def work(scene: Scene, seed: int) -> None:
            nonlocal spent
            rng = random.Random(seed)
            for _ in range(12):
                orders = [StartOrder(one, 0, tariff=TARIFF) for one in rng.sample(ids, 10)]
                won = [one for one in await scene.store.start(scene.session, orders) if isinstance(one, StartedTask)]
                charges = [rng.choice([None, 100, 100]) for _ in won]
                ends = [
                    scene.end(one, Status.COMPLETED, is_reserved=True, charge_microusd=charge)
                    for one, charge in zip(won, charges, strict=True)
                ]
                for recorded in await asyncio.gather(*(scene.store.record(end) for end in ends)):
                    assert recorded.is_accepted
                spent += 100 * len(won)
                await scene.store.release_held(None, 50)
                await scene.store.mend_reservations(50)

        await asyncio.gather(*(work(scene, seed) for seed, scene in enumerate(scenes)))

        found = {one.name: one for one in await store.budgets()}
        assert found["all"].spent_microusd == spent == 4_000
        assert found["first"].spent_microusd + found["second"].spent_microusd == spent
        assert all(one.spent_microusd <= one.limit_microusd for one in found.values())
        assert all(one.reserved_microusd == 0 for one in found.values())
        assert await store.balance() == (0, 0)


async def test_mending_holds_no_need_while_it_waits_for_a_budget(tmp_path: Path) -> None:
    """START holds budgets and writes needs then; mending held needs and wanted budgets, and one had to go."""
    async with several(tmp_path, 1) as [scene]:
        await scene.store.add_budget(new_budget(DEFAULT_TENANT, "none", Period.TOTAL, 0))
        [held, gone] = await scene.submitted(2)
        await scene.store.start(scene.session, [StartOrder(one, 0, tariff=TARIFF) for one in (held, gone)])
        await scene.store.cancel([gone])
        [budget] = await scene.store.budgets()
        starting, looking = [await connect(parse(mysql_url(tmp_path))) for _ in range(2)]
        try:
            await starting.execute("BEGIN")
            await starting.execute(f"SELECT id FROM budgets WHERE id = {budget.id} FOR UPDATE")  # noqa: S608 - a number
            mending = asyncio.create_task(scene.store.mend_reservations(50))

            async def waits() -> bool:
                rows = await looking.execute(
                    "SELECT 1 FROM information_schema.processlist WHERE id <> CONNECTION_ID() "
                    "AND info LIKE 'SELECT % FROM budgets WHERE id > % FOR UPDATE'"
                )
                return bool(rows.rows)

            await until(waits, "mending waits for the budget")
            await starting.execute(
                "INSERT INTO reservations (task_id, attempt, budget_id, amount_microusd) "  # noqa: S608 - numbers
                f"VALUES ({gone}, 0, {budget.id}, 7) ON DUPLICATE KEY UPDATE amount_microusd = 7"
            )
            await starting.execute("COMMIT")
            await mending
        finally:
            await starting.close()
            await looking.close()
