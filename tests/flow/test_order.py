"""In which order tasks start, through record, index and worker."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.inside import inside, until

from llm_scheduler.domain.ids import DEFAULT_TENANT, TenantId
from llm_scheduler.domain.task import NewTask
from llm_scheduler.domain.tenant import Tenant

if TYPE_CHECKING:
    from pathlib import Path

BODY = '{"messages":[{"role":"user","content":"hello"}]}'


def started_ids(ledger: Path) -> list[int]:
    """Tasks in the order in which the provider was called."""
    return [int(line.split()[0]) for line in ledger.read_text().splitlines()] if ledger.exists() else []


@pytest.mark.parametrize("strategy", ["priority", "fair"])
async def test_one_tenants_tasks_start_by_priority_then_submit_order(tmp_path: Path, strategy: str) -> None:
    """3 000 tasks of mixed priority, one worker: exactly the seed's order."""
    ledger = tmp_path / "ledger"
    rng = Random(7)
    async with inside(tmp_path / "data") as it:
        model = await it.add_model(max_workers=1, strategy=strategy, config={"ledger": str(ledger)})
        await it.models.pause("m", DEFAULT_TENANT)
        submitted: list[tuple[int, int]] = []
        while len(submitted) < 3_000:
            priorities = [rng.choice([0, 5, 9, rng.randrange(10)]) for _ in range(rng.randrange(1, 80))]
            tasks = [NewTask(DEFAULT_TENANT, model.id, "chat", BODY, priority, 3, 50) for priority in priorities]
            done = await it.installation.submissions.submit(tasks)
            submitted += [(priority, one.task_id) for priority, one in zip(priorities, done, strict=True)]
        await it.models.resume("m", DEFAULT_TENANT)
        await until(lambda: it.broker.waiting() == 0 and len(started_ids(ledger)) == len(submitted), "all ran", 40)

    assert started_ids(ledger) == [task_id for _, task_id in sorted(submitted)]


async def test_tenants_share_by_their_weights(tmp_path: Path) -> None:
    """Weights 1:1:2 give 25, 25 and 50 percent of the starts while all have work."""
    ledger = tmp_path / "ledger"
    async with inside(tmp_path / "data") as it:
        for number, weight in ((2, 1.0), (3, 1.0), (4, 2.0)):
            await it.store.save_tenant(Tenant(TenantId(number), f"tenant-{number}", weight))
        await it.models.changed()
        await it.models.load()
        model = await it.add_model(max_workers=4, strategy="fair", config={"ledger": str(ledger)})
        await it.models.pause("m", DEFAULT_TENANT)
        owner: dict[int, int] = {}
        for number in (2, 3, 4):
            for task_id in await it.submit(model, 1_000, tenant_id=number):
                owner[task_id] = number
        await it.models.resume("m", DEFAULT_TENANT)
        await until(lambda: len(started_ids(ledger)) >= 1_600, "half of them ran", 40)
        first = started_ids(ledger)[:1_600]

    shares = Counter(owner[task_id] for task_id in first)
    assert abs(shares[2] / 1_600 - 0.25) <= 0.02
    assert abs(shares[3] / 1_600 - 0.25) <= 0.02
    assert abs(shares[4] / 1_600 - 0.50) <= 0.02


async def test_a_restart_keeps_the_order(tmp_path: Path) -> None:
    """The index is built again from the record, in the same order."""
    ledger = tmp_path / "ledger"
    async with inside(tmp_path / "data") as it:
        model = await it.add_model(max_workers=1, config={"ledger": str(ledger)})
        await it.models.pause("m", DEFAULT_TENANT)
        low = await it.submit(model, 20, priority=9)
        high = await it.submit(model, 20, priority=0)
    async with inside(tmp_path / "data") as it:
        await it.models.resume("m", DEFAULT_TENANT)
        await until(lambda: len(started_ids(ledger)) == 40, "all ran")

    assert started_ids(ledger) == high + low
