"""Both brokers start tasks in the order that the strategies mean."""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random

import pytest
from tests.contract import broker_scene
from tests.contract.broker_scene import LANE, START, Scene, rules

from llm_scheduler.domain.ids import Millis, TaskId, TenantId
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.ports.broker import Entry
from llm_scheduler.ports.strategy import PlacementContext
from llm_scheduler.scheduling.strategies.registry import find

scene = broker_scene.scene
LIMITED = PlacementContext(1.0, rpm=600, tpm=60_000)


def placed(number: int, strategy: str, context: PlacementContext = LIMITED, **fields: object) -> Entry:
    usual = WaitingTask(TaskId(number), LANE, TenantId(1), "chat", 5, 0, 100, Millis(START + number), None)
    waiting = usual._replace(**fields)
    placement = find(strategy).place(waiting, context)
    return Entry(waiting.task_id, LANE, waiting.tenant_id, 0, waiting.est_tokens, waiting.queued_at, placement)


def mixed(rng: Random, number: int, strategy: str) -> Entry:
    queued_at = Millis(START + rng.randrange(600_000))
    return placed(
        number,
        strategy,
        LIMITED._replace(tenant_backlog_ms=float(rng.randrange(100_000)), active_tenants=rng.randint(1, 5)),
        tenant_id=TenantId(rng.randint(1, 5)),
        priority=rng.randrange(10),
        est_tokens=rng.randint(1, 9_000),
        queued_at=queued_at,
        deadline_at=rng.choice((None, Millis(queued_at + rng.randrange(600_000)))),
    )


@pytest.mark.parametrize("strategy", ["deadline", "shortest", "backlog"])
async def test_head_order_holds_across_tenants(scene: Scene, strategy: str) -> None:
    rng = Random(4)
    await scene.open(rules(share_rule=find(strategy).share_rule))
    entries = [mixed(rng, number, strategy) for number in range(1_000)]
    await scene.enqueue(*entries)

    expected = sorted(entries, key=lambda one: (one.placement.order, one.task_id))
    assert await scene.ids(1_000) == [one.task_id for one in expected]


async def test_wfq_starts_classes_64_to_8_to_1_while_all_have_work(scene: Scene) -> None:
    await scene.open(rules(share_rule=find("wfq").share_rule))
    priorities = {number: (0, 5, 9)[number % 3] for number in range(3_000)}
    await scene.enqueue(*(placed(number, "wfq", priority=priority) for number, priority in priorities.items()))

    got = Counter(priorities[number] for number in await scene.ids(730))

    assert abs(got[0] - 640) <= 8
    assert abs(got[5] - 80) <= 2
    assert abs(got[9] - 10) <= 1


async def test_tenant_first_is_even_across_tenants_and_strict_inside_each(scene: Scene) -> None:
    """Tenant 1 calls everything urgent; tenant 2 has all priorities."""
    rng = Random(5)
    await scene.open(rules(share_rule=find("tenant_first").share_rule))
    entries = [placed(number, "tenant_first", priority=0) for number in range(500)]
    entries += [
        placed(number, "tenant_first", tenant_id=TenantId(2), priority=rng.randrange(10)) for number in range(500, 800)
    ]
    await scene.enqueue(*rng.sample(entries, len(entries)))

    claims = await scene.claim(400)

    assert Counter(one.tenant_id for one in claims) == {TenantId(1): 200, TenantId(2): 200}
    started = defaultdict[int, list[int]](list)
    for one in claims:
        started[one.tenant_id].append(one.task_id)
    expected = sorted(entries[500:], key=lambda one: (one.placement.order, one.task_id))
    assert started[1] == list(range(200))
    assert started[2] == [one.task_id for one in expected[:200]]


async def test_fair_shares_requests_where_requests_bind(scene: Scene) -> None:
    """At 600 requests a minute a small task strains the lane as much as a large one: starts are even, not tokens."""
    await scene.open(rules(share_rule=find("fair").share_rule))
    few = PlacementContext(1.0, rpm=600)
    await scene.enqueue(*(placed(number, "fair", few, est_tokens=1_000) for number in range(500)))
    await scene.enqueue(
        *(placed(number, "fair", few, tenant_id=TenantId(2), est_tokens=10) for number in range(500, 1_000))
    )

    got = Counter(one.tenant_id for one in await scene.claim(400))

    assert abs(got[TenantId(1)] - 200) <= 1
