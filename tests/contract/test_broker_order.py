"""Who goes first."""

from __future__ import annotations

from collections import Counter
from random import Random

from tests.contract import broker_scene
from tests.contract.broker_scene import LANE, OTHER, START, Scene, rules, task

from llm_scheduler.domain.ids import Millis, TaskId, TenantId
from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.ports.broker import Entry, Release
from llm_scheduler.ports.strategy import PlacementContext
from llm_scheduler.scheduling.strategies.registry import find

scene = broker_scene.scene


def placed(number: int, strategy: str, *, priority: int = 5, tenant: int = 1, tokens: int = 100) -> Entry:
    waiting = WaitingTask(
        TaskId(number), LANE, TenantId(tenant), "chat", priority, 0, tokens, Millis(START + number // 3), None
    )
    weight = 2.0 if tenant == 3 else 1.0
    placement = find(strategy).place(waiting, PlacementContext(weight))
    return Entry(TaskId(number), LANE, TenantId(tenant), 0, tokens, waiting.queued_at, placement)


async def one_by_one(scene: Scene, count: int) -> list[int]:
    order: list[int] = []
    for _ in range(count):
        claims = await scene.claim()
        order += [one.task_id for one in claims]
        await scene.done(*claims)
    return order


async def test_a_lower_band_goes_first_whenever_it_came(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1, band=9), task(2, band=5), task(3, band=0), task(4, band=5))

    assert await scene.ids(4) == [3, 2, 4, 1]


async def test_equal_orders_go_by_task_id(scene: Scene) -> None:
    await scene.open(rules(share_rule=ShareRule.HEAD_ORDER))
    await scene.enqueue(*(task(number, order=7, tenant=number % 3) for number in (5, 3, 9, 1, 4)))

    assert await scene.ids(5) == [1, 3, 4, 5, 9]


async def test_a_later_arrival_with_an_equal_order_and_a_lower_id_goes_first(scene: Scene) -> None:
    await scene.open(rules(share_rule=ShareRule.HEAD_ORDER))
    for entry in (task(5, order=7, tenant=1), task(4, order=7, tenant=2), task(3, order=7, tenant=1)):
        await scene.enqueue(entry)

    assert await scene.ids(3) == [3, 4, 5]


async def test_tasks_that_arrive_out_of_order_take_their_place(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(*(task(number) for number in (50, 10, 40, 20, 30)))
    assert await scene.ids(2) == [10, 20]
    await scene.enqueue(task(25), task(5))

    assert await scene.ids(5) == [5, 25, 30, 40, 50]


async def test_priority_gives_exactly_priority_then_submit_order(scene: Scene) -> None:
    rng = Random(20)
    await scene.open(rules(max_workers=1, share_rule=find("priority").share_rule))
    entries = [
        placed(number, "priority", priority=rng.randrange(10), tenant=rng.randint(1, 5)) for number in range(3_000)
    ]
    await scene.enqueue(*rng.sample(entries, len(entries)))

    expected = sorted(entries, key=lambda one: (one.placement.band, one.queued_at, one.task_id))
    assert await one_by_one(scene, 3_000) == [one.task_id for one in expected]


async def test_fair_with_one_tenant_is_priority_then_submit_order(scene: Scene) -> None:
    rng = Random(21)
    await scene.open(rules(max_workers=1, share_rule=find("fair").share_rule, starve_after_ms=60_000))
    entries = [
        placed(number, "fair", priority=rng.choice((0, 5, 9)), tokens=rng.randint(1, 9_000)) for number in range(1_000)
    ]
    await scene.enqueue(*entries)

    expected = sorted(entries, key=lambda one: (one.placement.band, one.queued_at, one.task_id))
    assert await one_by_one(scene, 1_000) == [one.task_id for one in expected]


async def test_fifo_ignores_priority(scene: Scene) -> None:
    rng = Random(22)
    await scene.open(rules(share_rule=find("fifo").share_rule))
    entries = [placed(number, "fifo", priority=rng.randrange(10), tenant=rng.randint(1, 5)) for number in range(300)]
    await scene.enqueue(*entries)

    assert await scene.ids(300) == list(range(300))


async def test_fair_shares_claims_by_weight(scene: Scene) -> None:
    """Tenants of weight 1, 1 and 2 with equal tasks: 25, 25 and 50 %."""
    await scene.open(rules(share_rule=find("fair").share_rule))
    await scene.enqueue(*(placed(number, "fair", tenant=1 + number % 3) for number in range(3_000)))

    got = Counter(one.tenant_id for one in await scene.claim(1_000))

    assert abs(got[TenantId(1)] - 250) <= 20
    assert abs(got[TenantId(2)] - 250) <= 20
    assert abs(got[TenantId(3)] - 500) <= 20


async def test_fair_shares_tokens_when_tasks_differ_in_size(scene: Scene) -> None:
    """A tenant with tasks five times as large starts a fifth as many."""
    await scene.open(rules(share_rule=find("fair").share_rule))
    await scene.enqueue(*(placed(number, "fair", tenant=1, tokens=1_000) for number in range(1_000)))
    await scene.enqueue(*(placed(number, "fair", tenant=2, tokens=200) for number in range(1_000, 2_000)))

    got = Counter(one.tenant_id for one in await scene.claim(600))

    assert abs(got[TenantId(1)] - 100) <= 2


async def test_being_idle_earns_no_credit(scene: Scene) -> None:
    """Who comes after others were served for long shares from then on; it does not catch up."""
    await scene.open()
    await scene.enqueue(*(task(number, tenant=1) for number in range(1_000)))
    await scene.claim(500)
    await scene.enqueue(*(task(number, tenant=2) for number in range(2_000, 2_500)))

    got = Counter(one.tenant_id for one in await scene.claim(100))

    assert abs(got[TenantId(2)] - 50) <= 1


async def test_emptying_a_share_and_coming_back_earns_no_credit(scene: Scene) -> None:
    """A tenant that submits one task at a time gets no more than one that submits all at once."""
    await scene.open()
    await scene.enqueue(*(task(number, tenant=1) for number in range(1_000)))

    got: Counter[int] = Counter()
    for number in range(2_000, 2_200):
        await scene.enqueue(task(number, tenant=2))
        got.update(one.tenant_id for one in await scene.claim())

    assert abs(got[2] - got[1]) <= 1


async def test_a_tenant_that_was_served_much_waits_its_turn_although_it_had_nothing_left(scene: Scene) -> None:
    """Large tasks submitted one at a time cost as much as if they had been submitted at once."""
    await scene.open()
    await scene.enqueue(*(task(number, tenant=1, tokens=100) for number in range(1_000)))

    got: Counter[int] = Counter()
    for _ in range(110):
        await scene.enqueue(task(2_000 + got[2], tenant=2, tokens=1_000))
        got.update(one.tenant_id for one in await scene.claim())

    assert abs(got[2] - 10) <= 1


async def test_what_a_tenant_gets_by_urgency_counts_in_later_bands(scene: Scene) -> None:
    """Tenant 1 had fifty urgent starts while both waited in band 5: the next fifty there are tenant 2's."""
    await scene.open()
    await scene.enqueue(*(task(number, band=5, tenant=1) for number in range(100)))
    await scene.enqueue(*(task(number, band=5, tenant=2) for number in range(100, 200)))
    await scene.enqueue(*(task(number, band=0, tenant=1) for number in range(200, 250)))
    assert {one.tenant_id for one in await scene.claim(50)} == {1}

    later = [one.tenant_id for one in await scene.claim(100)]

    assert later[:50] == [2] * 50
    assert abs(later[50:].count(TenantId(2)) - 25) <= 1


async def test_what_a_tenant_gets_in_a_later_band_does_not_count_in_earlier_ones(scene: Scene) -> None:
    """Its urgent tasks are not behind those of others because its other tasks took the reserve."""
    await scene.open(rules(starve_after_ms=0))
    await scene.enqueue(*(task(number, band=5, tenant=1) for number in range(20)))
    await scene.enqueue(*(task(number, band=0, tenant=1 + number % 2) for number in range(100, 300)))
    await scene.enqueue(task(999, band=9, tenant=3))
    scene.clock.advance_ms(1_000)

    got = Counter((one.tenant_id, one.task_id >= 100) for one in await scene.claim(100))

    assert got == {(1, False): 10, (1, True): 45, (2, True): 45}


async def test_what_was_had_while_nothing_waited_in_a_later_band_does_not_count_there(scene: Scene) -> None:
    """Urgent tasks of the past are no debt of what comes today."""
    await scene.open()
    await scene.enqueue(*(task(number, band=5, tenant=2) for number in range(100)))
    await scene.enqueue(*(task(number, band=0, tenant=1) for number in range(200, 250)))
    await scene.claim(50)
    await scene.enqueue(*(task(number, band=5, tenant=1) for number in range(300, 400)))

    got = Counter(one.tenant_id for one in await scene.claim(100))

    assert abs(got[TenantId(1)] - 50) <= 1


async def test_urgency_counts_by_weight_in_later_bands(scene: Scene) -> None:
    """Ten urgent starts of a tenant of weight 2 are five turns in band 5."""
    await scene.open()
    await scene.enqueue(*(task(number, band=5, tenant=1, weight=2.0) for number in range(100)))
    await scene.enqueue(*(task(number, band=5, tenant=2) for number in range(100, 200)))
    await scene.enqueue(*(task(number, band=0, tenant=1, weight=2.0) for number in range(200, 210)))
    await scene.claim(10)

    later = [one.tenant_id for one in await scene.claim(6)]

    assert later == [2] * 5 + [1]


async def test_a_tenant_at_its_limit_remembers_what_it_had_by_urgency(scene: Scene) -> None:
    """Its turn that filled its last slot counts as well."""
    await scene.open()
    await scene.broker.set_tenant_limit(TenantId(1), 10)
    await scene.enqueue(*(task(number, band=5, tenant=1) for number in range(100)))
    await scene.enqueue(*(task(number, band=5, tenant=2) for number in range(100, 200)))
    await scene.enqueue(*(task(number, band=0, tenant=1) for number in range(200, 210)))
    await scene.claim(10)
    await scene.broker.set_tenant_limit(TenantId(1), None)

    later = [one.tenant_id for one in await scene.claim(11)]

    assert later == [2] * 10 + [1]


async def test_having_been_at_ones_own_limit_earns_no_credit(scene: Scene) -> None:
    """When its limit is lifted a tenant shares from then on; it does not take what it missed."""
    await scene.open()
    await scene.broker.set_tenant_limit(TenantId(1), 1)
    await scene.enqueue(*(task(number, tenant=1) for number in range(500)))
    await scene.enqueue(*(task(number, tenant=2) for number in range(1_000, 2_000)))
    await scene.claim(500)
    await scene.broker.set_tenant_limit(TenantId(1), None)

    got = Counter(one.tenant_id for one in await scene.claim(100))

    assert abs(got[TenantId(1)] - 50) <= 1


async def test_lanes_take_turns_when_little_is_wanted(scene: Scene) -> None:
    await scene.open(rules(), rules(lane=OTHER))
    await scene.enqueue(*(task(number) for number in range(1, 9)))
    await scene.enqueue(*(task(number, lane=OTHER) for number in range(101, 109)))

    lanes = [(await scene.claim(1, LANE, OTHER))[0].lane for _ in range(6)]

    assert Counter(lanes) == {LANE: 3, OTHER: 3}


async def test_a_lane_is_not_starved_by_callers_that_ask_for_other_lanes(scene: Scene) -> None:
    """One worker serves lanes 1 and 2, another only lane 3: both its lanes still take turns."""
    third = type(LANE)(3)
    await scene.open(rules(), rules(lane=OTHER), rules(lane=third))
    for lane in (LANE, OTHER, third):
        await scene.enqueue(*(task(number, lane=lane) for number in range(1, 9)))

    lanes: list[int] = []
    for _ in range(4):
        lanes.append((await scene.claim(1, LANE, OTHER))[0].lane)
        await scene.claim(1, third)

    assert Counter(lanes) == {LANE: 2, OTHER: 2}


async def test_a_task_that_is_put_back_keeps_its_place(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1), task(2), task(3))
    first, second = await scene.claim(2)

    await scene.broker.release([Release(second, 0, task(2, attempt=1)), Release(first, 0, task(1, attempt=1))])

    assert [(one.task_id, one.attempt) for one in await scene.claim(3)] == [(1, 1), (2, 1), (3, 0)]


async def test_position_counts_those_before_it_in_its_band(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(99, band=0), *(task(number, tenant=number % 3) for number in (30, 10, 20, 40)))

    positions = [await scene.broker.position(LANE, TaskId(number)) for number in (10, 20, 30, 40, 99)]

    assert positions == [0, 1, 2, 3, 0]


async def test_position_follows_claims_and_removals(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(*(task(number, tenant=number % 3) for number in range(20)))
    await scene.broker.remove(LANE, [TaskId(3), TaskId(7)])
    await scene.claim(4)

    assert await scene.broker.position(LANE, TaskId(19)) == 13
    assert await scene.broker.position(LANE, TaskId(3)) is None
    assert await scene.broker.position(LANE, TaskId(0)) is None


async def test_position_is_not_told_beyond_a_thousand(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(*(task(number) for number in range(1_002)))

    assert await scene.broker.position(LANE, TaskId(1_000)) == 1_000
    assert await scene.broker.position(LANE, TaskId(1_001)) is None
    assert await scene.broker.position(OTHER, TaskId(1)) is None


async def starve(scene: Scene, starve_after_ms: int | None) -> None:
    """Two lower bands wait, the older in band 9, and high priority never ends."""
    await scene.open(rules(starve_after_ms=starve_after_ms))
    await scene.enqueue(*(task(number, band=9) for number in range(1, 11)))
    await scene.enqueue(*(task(number, band=5) for number in range(11, 21)))
    scene.clock.advance_ms(60_000)
    at = START + 60_000
    await scene.enqueue(*(task(number, band=0, queued_at=at) for number in range(1_000, 1_100)))


async def test_every_tenth_claim_goes_to_who_has_starved_longest(scene: Scene) -> None:
    await starve(scene, 30_000)

    order = await scene.ids(40)

    assert [order[index] for index in (9, 19, 29, 39)] == [1, 2, 3, 4]
    assert all(one >= 1_000 for index, one in enumerate(order) if index % 10 != 9)


async def test_the_reserve_waits_until_someone_has_waited_long_enough(scene: Scene) -> None:
    await starve(scene, 60_001)

    assert all(one >= 1_000 for one in await scene.ids(40))


async def test_without_a_reserve_the_order_is_strict(scene: Scene) -> None:
    await starve(scene, None)

    assert all(one >= 1_000 for one in await scene.ids(100))


async def test_the_reserve_never_picks_the_band_that_is_first_anyway(scene: Scene) -> None:
    """The first band's own head may have waited longest of all: its turn comes by itself."""
    await scene.open(rules(starve_after_ms=1_000))
    await scene.enqueue(*(task(number, band=0) for number in range(1, 21)))
    await scene.enqueue(task(100, band=5))
    scene.clock.advance_ms(2_000)

    order = await scene.ids(21)

    assert order.index(100) == 9


async def test_orders_far_apart_and_close_together_are_compared_exactly(scene: Scene) -> None:
    """Also where a double would not tell neighbours apart, and below zero."""
    big = 2**53
    orders = [big + 1, big, big + 2, -1, 0, -big - 1, -big, 1]
    await scene.open()
    await scene.enqueue(*(task(number, order=order) for number, order in enumerate(orders, 1)))

    assert await scene.ids(9) == [6, 7, 4, 5, 8, 2, 1, 3]


async def test_many_tenants_that_were_served_and_went_get_no_credit_when_they_come_back(scene: Scene) -> None:
    """However many there are: what each has had is not forgotten while its band goes on."""
    await scene.open()
    await scene.enqueue(*(task(number, tenant=100, tokens=1) for number in range(1, 11)))
    await scene.enqueue(*(task(1_000 + number, tenant=number, tokens=50_000) for number in range(1, 91)))
    assert len(await scene.claim(91)) == 91
    await scene.enqueue(*(task(2_000 + number, tenant=number, tokens=1, order=0) for number in range(1, 91)))

    assert await scene.ids(9) == list(range(2, 11))


async def test_shares_start_anew_when_the_rule_changes_and_back(scene: Scene) -> None:
    """Under the rule by order only order counts, and what was had before it is forgotten after it."""
    await scene.open()
    await scene.enqueue(*(task(number, tenant=1, tokens=10_000) for number in range(1, 7)))
    assert await scene.ids(2) == [1, 2]
    await scene.enqueue(*(task(number, tenant=2, tokens=10_000) for number in range(10, 13)))

    await scene.open(rules(share_rule=ShareRule.HEAD_ORDER))
    assert await scene.ids(2) == [3, 4]
    await scene.open(rules(share_rule=ShareRule.VIRTUAL_TIME))

    assert await scene.ids(4) == [5, 10, 6, 11]


async def test_tenants_whose_numbers_begin_alike_are_not_mixed_up(scene: Scene) -> None:
    await scene.open()
    for tenant in (1, 10, 100):
        await scene.broker.set_tenant_limit(TenantId(tenant), 1)
    await scene.enqueue(*(task(10 * tenant + n, tenant=tenant) for tenant in (100, 10, 1) for n in range(2)))

    first = await scene.claim(9)
    assert sorted(one.tenant_id for one in first) == [1, 10, 100]
    await scene.done(next(one for one in first if one.tenant_id == 1))
    assert [one.tenant_id for one in await scene.claim(9)] == [1]


async def test_who_has_waited_exactly_so_long_starves(scene: Scene) -> None:
    await scene.open(rules(starve_after_ms=5_000))
    await scene.enqueue(*(task(number, band=0, queued_at=START) for number in range(1, 30)))
    await scene.enqueue(task(99, band=1, queued_at=START))
    assert len(await scene.claim(9)) == 9
    scene.clock.advance_ms(5_000)

    assert await scene.ids() == [99]
