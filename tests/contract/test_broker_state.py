"""Why nothing starts, and what waits: read, and nothing changed by reading."""

from __future__ import annotations

from tests.contract import broker_scene
from tests.contract.broker_scene import LANE, OTHER, Scene, rules, task

from llm_scheduler.domain.ids import TenantId
from llm_scheduler.ports.broker import GateRules, GateState, Hold, LaneState, Pace, TenantBacklog, Unit

scene = broker_scene.scene

EAST, WEST = GateRules("east"), GateRules("west")


async def test_a_lane_without_rules_has_neither_holds_nor_gates(scene: Scene) -> None:
    await scene.enqueue(task(1))

    assert await scene.broker.state(LANE) == LaneState(LANE, (), ())
    assert await scene.broker.state(OTHER) == LaneState(OTHER, (), ())


async def test_nothing_holds_a_lane_that_may_start(scene: Scene) -> None:
    await scene.open(rules(rpm=60, tpm=60_000))
    await scene.enqueue(task(1), task(2))

    assert await scene.broker.state(LANE) == LaneState(LANE, (), (GateState(None, 0, 0, 0, ()),))


async def test_a_paused_lane_says_so_and_what_else_holds_it(scene: Scene) -> None:
    await scene.open(rules(is_paused=True, max_workers=0, rpm=0))

    assert (await scene.broker.state(LANE)).holds == (Hold("paused"), Hold("concurrency"), Hold("requests"))


async def test_the_limits_of_a_lane_tell_how_long_they_hold_the_present_head(scene: Scene) -> None:
    limited = rules(rpm=60, tpm=10_000)._replace(output_tpm=1_000)
    await scene.open(limited)
    await scene.enqueue(task(1, tokens=9_000, output=800), task(2, tokens=1_100, output=100))
    await scene.claim()

    state = await scene.broker.state(LANE)
    wait_ms = (await scene.ask()).wait_ms

    assert [(one.reason, one.endpoint) for one in state.holds] == [
        ("requests", None),
        ("tokens", None),
        ("output_tokens", None),
    ]
    assert max(one.wait_ms or 0 for one in state.holds) == wait_ms == 60_600
    assert state.holds[0].wait_ms == 421


async def test_gates_tell_what_holds_each(scene: Scene) -> None:
    gates = (
        EAST._replace(max_workers=1, rpm=1),
        WEST._replace(is_drained=True, tpm=0),
        GateRules("south"),
        GateRules("north"),
    )
    await scene.open(rules(gates=gates))
    await scene.enqueue(*(task(number) for number in range(40)))
    assert await scene.gates(1) == ["east"]
    await scene.broker.throttle(LANE, 5_000, "south")
    await scene.failed(*await scene.claim(10))

    state = await scene.broker.state(LANE)

    assert state == LaneState(
        LANE,
        (),
        (
            GateState("east", 1, 0, 0, (Hold("concurrency", None, "east"), Hold("requests", 60_625, "east"))),
            GateState("west", 0, 0, 0, (Hold("drained", None, "west"), Hold("tokens", None, "west"))),
            GateState("south", 0, 0, 0, (Hold("throttled", 5_000, "south"),)),
            GateState("north", 0, 10, 10, (Hold("circuit", 15_000, "north"),)),
        ),
    )
    assert (await scene.ask()).wait_ms == 5_000


async def test_a_pace_is_told_where_it_holds(scene: Scene) -> None:
    await scene.open(rules(rpm=600), rules(lane=OTHER, gates=(EAST,)))
    await scene.enqueue(task(1), task(2), task(3, lane=OTHER), task(4, lane=OTHER))
    slow = Pace(Unit.REQUESTS, 0.1, 1.0, 60_000)
    await scene.broker.set_pace(LANE, None, [slow])
    await scene.broker.set_pace(OTHER, "east", [slow])
    await scene.claim(9, LANE, OTHER)

    assert (await scene.broker.state(LANE)).holds == (Hold("requests", 10_000),)
    other = await scene.broker.state(OTHER)
    assert (other.holds, other.gates[0].holds) == ((), (Hold("requests", 10_000, "east"),))


async def test_a_probe_that_is_out_is_told_as_the_pause_that_it_ends(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(task(1), task(2))
    await scene.broker.throttle(LANE, 1_000)
    scene.clock.advance_ms(1_000)
    await scene.claim()

    assert (await scene.gate()) == GateState(None, 1, 0, 0, (Hold("throttled", 10_000),))


async def test_looking_changes_nothing(scene: Scene) -> None:
    await scene.open(rules(tpm=1_000, gates=(EAST._replace(output_tpm=500),)))
    await scene.enqueue(*(task(number, tokens=300, output=100) for number in range(9)))
    started = 0
    while started < 9:
        first = await scene.broker.state(LANE)
        assert await scene.broker.state(LANE) == first
        answer = await scene.ask()
        waits = [one.wait_ms for one in (*first.holds, *first.gates[0].holds)]
        assert answer.wait_ms == (None if answer.claims else max(one or 0 for one in waits))
        await scene.done(*answer.claims)
        started += len(answer.claims)
        scene.clock.advance_ms(1_000)

    assert await scene.broker.state(LANE) == await scene.broker.state(LANE)


async def test_without_a_head_the_waits_are_those_of_a_call_without_tokens(scene: Scene) -> None:
    await scene.open(rules(rpm=60, tpm=1_000))
    await scene.enqueue(task(1, tokens=900))
    await scene.claim()

    reasons = [one.reason for one in (await scene.broker.state(LANE)).holds]

    assert reasons == ["requests", "tokens"]


async def test_a_backlog_is_summed_up_by_tenant(scene: Scene) -> None:
    await scene.open(rules()._replace(keeps_backlog=True))
    await scene.enqueue(*(task(number, tenant=number % 3, tokens=10 * number, weight=0.3) for number in range(1, 10)))
    await scene.enqueue(task(50, lane=OTHER))
    await scene.claim(2)

    backlog = await scene.broker.backlog(LANE)

    running = {one.task_id for one in await scene.slots()}
    waiting = [number for number in range(1, 10) if number not in running]
    assert list(backlog) == [
        TenantBacklog(
            TenantId(tenant),
            sum(1 for one in waiting if one % 3 == tenant),
            sum(10 * one for one in waiting if one % 3 == tenant),
        )
        for tenant in range(3)
    ]
    assert list(await scene.broker.backlog(OTHER)) == []


async def test_a_backlog_that_is_asked_for_later_counts_what_waits_already(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(*(task(number, tenant=number % 2, tokens=7) for number in range(3_000)))
    assert list(await scene.broker.backlog(LANE)) == []

    await scene.open(rules()._replace(keeps_backlog=True))

    assert list(await scene.broker.backlog(LANE)) == [(0, 1_500, 10_500.0), (1, 1_500, 10_500.0)]
    await scene.open()
    assert list(await scene.broker.backlog(LANE)) == []


async def test_a_tenant_whose_last_task_is_gone_has_no_backlog(scene: Scene) -> None:
    await scene.open(rules()._replace(keeps_backlog=True))
    await scene.enqueue(task(1, tenant=1), task(2, tenant=2), task(3, tenant=3))
    await scene.claim()

    await scene.broker.remove(LANE, [task(2).task_id])

    assert list(await scene.broker.backlog(LANE)) == [(3, 1, 100.0)]


async def test_depths_sum_up_the_costs_of_each_band(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(*(task(number, band=number % 2, tokens=number, weight=2.0) for number in range(1, 7)))
    await scene.broker.remove(LANE, [task(6).task_id])

    assert (await scene.depth()).cost_by_band == ((0, 6.0), (1, 9.0))
    assert await scene.ids() == [2]
    assert (await scene.depth()).cost_by_band == ((0, 4.0), (1, 9.0))
