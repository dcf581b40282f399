"""A model's strategy is changed while its tasks run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.cluster import SECRET_KEY
from tests.inside import BODY, Inside, inside, until
from tests.live import KEY
from tests.rig import mariadb
from tests.rig.shared import empty_redis

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId, TenantId
from llm_scheduler.domain.model import ModelOptions
from llm_scheduler.domain.task import NewTask
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.ports.store import TaskFilter
from llm_scheduler.scheduling.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from pathlib import Path

TASKS = 5_000


def of_mixed_tenants(model_id: ModelId, count: int) -> list[NewTask]:
    return [
        NewTask(TenantId(1 + n % 4), model_id, "chat", BODY, (0, 5, 9)[n % 3], 3, 50 + n % 500, est_output=n % 300)
        for n in range(count)
    ]


def servers(which: str) -> dict[str, str]:
    if which == "embedded":
        return {}
    urls = {"database_url": mariadb.shared().create("strategies"), "redis_url": empty_redis().url}
    return urls | {"secret_key": SECRET_KEY, "bootstrap_api_key": KEY}


def starts(ledger: Path) -> list[int]:
    return [int(line.split()[0]) for line in ledger.read_text().splitlines()] if ledger.exists() else []


async def all_completed(it: Inside) -> bool:
    counts = await it.store.counts(TaskFilter())
    return {status: count for status, count in counts.items() if count} == {"completed": TASKS}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("which", ["embedded", "cluster"])
async def test_a_queue_goes_through_all_strategies_and_every_task_runs_once(tmp_path: Path, which: str) -> None:
    """5 000 tasks of four tenants, eight changes while they run."""
    ledger = tmp_path / "ledger"
    async with inside(tmp_path / "data", **servers(which)) as it:
        for number in (2, 3, 4):
            await it.store.save_tenant(Tenant(TenantId(number), f"tenant-{number}", float(number)))
        await it.models.changed()
        await it.models.load()
        model = await it.add_model(max_workers=8, tpm=10**9, strategy="fifo", config={"ledger": str(ledger)})
        await it.models.pause("m", DEFAULT_TENANT)
        ids: set[int] = set()
        for _ in range(10):
            tasks = of_mixed_tenants(model.id, TASKS // 10)
            ids |= {done.task_id for done in await it.installation.submissions.submit(tasks)}
        await it.models.resume("m", DEFAULT_TENANT)
        for turn, strategy in enumerate(sorted(STRATEGIES), 1):
            await it.models.change("m", DEFAULT_TENANT, {"strategy": strategy})
            goal = turn * TASKS // 10
            await until(lambda goal=goal: len(starts(ledger)) >= goal, f"{goal} started under {strategy}", 60)
            assert len(starts(ledger)) < TASKS, "the queue ran dry before the last change"
        await until(lambda: all_completed(it), "all completed", 120)

        assert Counter(starts(ledger)) == Counter(ids)


async def test_other_options_of_a_strategy_place_the_queue_anew(tmp_path: Path) -> None:
    """With beta 0 the first goes first, in the pure form the shortest."""
    ledger = tmp_path / "ledger"
    async with inside(tmp_path / "data") as it:
        options = ModelOptions(strategy_options={"beta": 0.0})
        model = await it.add_model(max_workers=1, strategy="shortest", options=options, config={"ledger": str(ledger)})
        await it.models.pause("m", DEFAULT_TENANT)
        ids = [(await it.submit(model, est_tokens=tokens))[0] for tokens in (300, 100, 200)]
        await it.models.change("m", DEFAULT_TENANT, {"options": {"strategy_options": {"beta": 1e9}}})
        await it.models.resume("m", DEFAULT_TENANT)
        await it.wait_for(ids[0], "completed")

    assert starts(ledger) == [ids[1], ids[2], ids[0]]


async def test_options_that_a_strategy_does_not_know_are_refused(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        with pytest.raises(InvalidInputError, match="Known options: ratio"):
            await it.add_model(strategy="wfq", options=ModelOptions(strategy_options={"beta": 1.0}))
        await it.add_model(strategy="wfq", options=ModelOptions(strategy_options={"ratio": 4.0}))
        with pytest.raises(InvalidInputError, match="from 1 to 1000"):
            await it.models.change("m", DEFAULT_TENANT, {"options": {"strategy_options": {"ratio": 0.5}}})


async def test_options_of_a_former_strategy_go_with_it(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        await it.add_model(strategy="wfq", options=ModelOptions(strategy_options={"ratio": 4.0}))

        model = await it.models.change("m", DEFAULT_TENANT, {"strategy": "deadline"})

        assert model.options.strategy_options == {}
