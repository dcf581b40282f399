"""Several ways through one lane: which of them the head takes, and what holds each."""

from __future__ import annotations

import pytest
from tests.contract import broker_scene
from tests.contract.broker_scene import LANE, ME, OTHER, START, Scene, rules, task

from llm_scheduler.domain.ids import Millis, SessionId, TaskId, TenantId
from llm_scheduler.ports.broker import Claim, GateRules, PastStart, Release, Slot, Spent

scene = broker_scene.scene

EAST, WEST = GateRules("east"), GateRules("west")


async def opened(scene: Scene, *gates: GateRules, waiting: int = 50, max_workers: int = 1_000) -> None:
    await scene.open(rules(gates=gates, max_workers=max_workers))
    await scene.enqueue(*(task(number) for number in range(waiting)))


async def test_a_lane_without_gates_has_one_that_has_no_name(scene: Scene) -> None:
    await opened(scene)

    assert await scene.gates(2) == [None, None]
    assert [one.endpoint for one in await scene.slots()] == [None, None]


async def test_starts_spread_over_gates_that_have_room_in_the_order_of_the_rules(scene: Scene) -> None:
    await opened(scene, WEST, EAST)

    assert await scene.gates(5) == ["west", "east", "west", "east", "west"]


async def test_starts_spread_by_weight(scene: Scene) -> None:
    await opened(scene, EAST._replace(weight=3.0), WEST)

    taken = await scene.gates(40)

    assert (taken.count("east"), taken.count("west")) == (30, 10)


async def test_the_gate_that_runs_least_for_its_weight_is_next(scene: Scene) -> None:
    await opened(scene, EAST, WEST)
    claims = await scene.claim(10)

    await scene.done(*(one for one in claims if one.endpoint == "west"))

    assert await scene.gates(5) == ["west"] * 5


async def test_heads_keep_their_order_whichever_gate_they_take(scene: Scene) -> None:
    await opened(scene, EAST._replace(max_workers=1), WEST._replace(max_workers=2))

    assert await scene.ids(9) == [0, 1, 2]


async def test_a_full_gate_is_passed_by(scene: Scene) -> None:
    await opened(scene, EAST._replace(max_workers=1), WEST)

    assert await scene.gates(4) == ["east", "west", "west", "west"]


async def test_when_every_gate_is_full_only_an_event_helps(scene: Scene) -> None:
    await opened(scene, EAST._replace(max_workers=1), WEST._replace(max_workers=1))
    claims = await scene.claim(2)

    assert await scene.ask(9) == ((), None)
    await scene.done(claims[1])
    assert await scene.gates(9) == ["west"]


async def test_a_drained_gate_starts_nothing_more(scene: Scene) -> None:
    await opened(scene, EAST._replace(is_drained=True), WEST)

    assert await scene.gates(3) == ["west"] * 3


@pytest.mark.parametrize("closed", [{"is_drained": True}, {"max_workers": 0}, {"rpm": 0}, {"output_tpm": 0}])
async def test_a_lane_whose_only_gate_is_closed_waits_for_an_event(scene: Scene, closed: dict[str, int]) -> None:
    await opened(scene, EAST._replace(**closed))

    assert await scene.ask() == ((), None)
    await scene.open(rules(gates=(EAST,)))
    assert await scene.gates() == ["east"]


async def test_the_lanes_own_workers_hold_over_all_gates(scene: Scene) -> None:
    await opened(scene, EAST, WEST, max_workers=3)

    assert len(await scene.claim(9)) == 3


async def test_each_gate_has_requests_of_its_own(scene: Scene) -> None:
    await opened(scene, EAST._replace(rpm=1), WEST._replace(rpm=2))

    answer = await scene.ask(9)

    assert [one.endpoint for one in answer.claims] == ["east", "west"]
    assert answer.wait_ms == 30_013  # 60 s / (2 * 98 %) less the tolerance of 600 ms
    scene.clock.advance_ms(answer.wait_ms)
    assert await scene.gates(9) == ["west"]


async def test_the_lanes_requests_hold_over_all_gates(scene: Scene) -> None:
    await scene.open(rules(rpm=2, gates=(EAST, WEST)))
    await scene.enqueue(*(task(number) for number in range(9)))

    assert await scene.gates(9) == ["east"]
    assert await scene.ask(9) == ((), 30_013)


@pytest.mark.parametrize("unit", ["tpm", "input_tpm", "output_tpm"])
async def test_a_head_takes_the_gate_that_has_room_for_it(scene: Scene, unit: str) -> None:
    """A large one does not fit through the first any more; a small one would."""
    await scene.open(rules(gates=(EAST._replace(**{unit: 1_000}), WEST._replace(**{unit: 100_000}, weight=0.01))))
    await scene.enqueue(*(task(number, tokens=1_600, output=800) for number in range(2)))

    assert await scene.gates(2) == ["east", "west"]


@pytest.mark.parametrize("unit", ["tpm", "input_tpm", "output_tpm"])
async def test_a_head_that_fits_nowhere_waits_for_the_first_that_has_room(scene: Scene, unit: str) -> None:
    await scene.open(rules(gates=(EAST._replace(**{unit: 1_000}), WEST._replace(**{unit: 2_000}))))
    await scene.enqueue(*(task(number, tokens=1_600, output=800) for number in range(4)), task(9, tokens=0))
    claims = await scene.claim(9)
    answer = await scene.ask(9)

    assert answer.wait_ms is not None
    scene.clock.advance_ms(answer.wait_ms - 1)
    assert await scene.ask(9) == ((), 1)
    scene.clock.advance_ms(1)
    assert await scene.ids(1) == [len(claims)]


@pytest.mark.parametrize("limits", [{"input_tpm": 1_000}, {"output_tpm": 1_000}])
async def test_a_lane_without_gates_counts_what_goes_in_and_what_comes_out(
    scene: Scene, limits: dict[str, int]
) -> None:
    await scene.open(rules()._replace(**limits))
    await scene.enqueue(*(task(number, tokens=1_200, output=600) for number in range(3)))
    (claim,) = await scene.claim(9)

    await scene.broker.release([Release(claim, 10, None, is_success=True, used_output=5)])

    assert await scene.ids(9) == [1]


async def test_what_was_not_used_is_given_back_to_the_gate_it_went_through(scene: Scene) -> None:
    await scene.open(rules(gates=(EAST._replace(output_tpm=1_000), WEST._replace(output_tpm=1_000))))
    await scene.enqueue(*(task(number, tokens=1_000, output=900) for number in range(3)))
    claims = await scene.claim(9)

    await scene.broker.release([Release(claims[1], 105, used_output=5)])

    assert [one.endpoint for one in claims] == ["east", "west"]
    assert await scene.gates(9) == ["west"]


async def test_a_throttled_gate_is_passed_by_and_others_go_on(scene: Scene) -> None:
    await opened(scene, EAST, WEST)

    await scene.broker.throttle(LANE, 5_000, "east")

    assert await scene.gates(4) == ["west"] * 4
    scene.clock.advance_ms(5_000)
    assert await scene.gates(3) == ["east", "west", "west"]  # one probe


async def test_a_probe_that_succeeds_opens_its_gate(scene: Scene) -> None:
    await opened(scene, EAST, WEST._replace(is_drained=True))
    await scene.broker.throttle(LANE, 5_000, "east")
    scene.clock.advance_ms(5_000)
    probe = await scene.claim(9)

    await scene.done(*probe)

    assert (len(probe), await scene.gates(3)) == (1, ["east"] * 3)


async def test_when_all_gates_are_throttled_the_head_waits_for_the_first_to_open(scene: Scene) -> None:
    await opened(scene, EAST, WEST)
    await scene.broker.throttle(LANE, 9_000, "east")
    await scene.broker.throttle(LANE, 4_000, "west")

    assert await scene.ask() == ((), 4_000)


async def test_the_longer_wait_of_lane_and_gates_counts(scene: Scene) -> None:
    await scene.open(rules(rpm=2, gates=(EAST,)))
    await scene.enqueue(task(1), task(2))
    await scene.claim()
    assert (await scene.ask()).wait_ms == 30_013

    await scene.broker.throttle(LANE, 40_000, "east")

    assert (await scene.ask()).wait_ms == 40_000


async def test_a_gate_that_goes_away_keeps_its_calls_counted_at_the_lane(scene: Scene) -> None:
    await opened(scene, EAST, WEST, max_workers=4)
    claims = await scene.claim(2)

    await scene.open(rules(gates=(WEST,), max_workers=4))

    assert await scene.gates(9) == ["west", "west"]
    await scene.done(*claims)
    assert await scene.gates(9) == ["west", "west"]


async def test_a_gate_that_comes_takes_part_from_the_next_claim_on(scene: Scene) -> None:
    await opened(scene)
    nameless = await scene.claim(3)

    await scene.open(rules(gates=(EAST, WEST)))

    assert await scene.gates(2) == ["east", "west"]
    await scene.done(*nameless)
    await scene.open(rules())
    assert await scene.gates(2) == [None, None]
    assert len(await scene.slots()) == 4


async def test_what_was_spent_through_a_gate_stays_spent_under_its_name(scene: Scene) -> None:
    await opened(scene, EAST._replace(rpm=1))
    await scene.done(*await scene.claim())

    await scene.open(rules(gates=(WEST,)))
    await scene.open(rules(gates=(EAST._replace(rpm=2),)))

    assert (await scene.ask()).claims == ()
    scene.clock.advance_ms(61_000)
    assert await scene.gates() == ["east"]


async def test_calls_of_a_gate_that_went_away_and_came_back_are_its_own(scene: Scene) -> None:
    await opened(scene, EAST._replace(max_workers=2))
    claims = await scene.claim(2)
    await scene.open(rules(gates=(WEST,)))
    scene.clock.advance_ms(120_000)

    await scene.open(rules(gates=(EAST._replace(max_workers=2),)))

    assert await scene.ask() == ((), None)
    await scene.done(claims[0])
    assert await scene.gates(9) == ["east"]


async def test_claims_tell_what_was_spent_so_far_through_their_gate(scene: Scene) -> None:
    await scene.open(rules(gates=(EAST, WEST)))
    await scene.enqueue(*(task(number, tokens=100 + number, output=40) for number in range(4)))

    claims = await scene.claim(4)

    assert [one.spent for one in claims] == [
        Spent(1, 100, 60, 40),
        Spent(1, 101, 61, 40),
        Spent(2, 202, 122, 80),
        Spent(2, 204, 124, 80),
    ]


async def test_what_was_spent_is_settled_as_calls_end(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(*(task(number, tokens=100, output=40) for number in range(5)))
    kept, given_back, corrected, unused = await scene.claim(4)

    await scene.broker.release(
        [
            Release(kept),
            Release(given_back, 70, used_output=50),
            Release(corrected, None, used_output=1),
            Release(unused, 0),
        ]
    )

    (claim,) = await scene.claim()
    assert claim.spent == Spent(5, 100 + 70 + 100 + 0 + 100, 60 + 20 + 60 + 0 + 60, 40 + 50 + 1 + 0 + 40)


async def test_a_slot_of_the_record_counts_at_its_gate(scene: Scene) -> None:
    await opened(scene, EAST._replace(max_workers=1), WEST._replace(max_workers=1))
    slot = Slot(TaskId(100), LANE, TenantId(1), SessionId(9), 0, Millis(START), "east")

    assert await scene.broker.reconcile([], [slot], []) == 1
    assert await scene.broker.reconcile([], [slot], []) == 0

    assert await scene.slots() == [slot]
    assert await scene.gates(9) == ["west"]
    await scene.broker.reconcile([], [], [(LANE, slot.task_id)])
    assert await scene.gates(9) == ["east"]


async def test_a_slot_of_a_gate_that_is_in_no_rules_counts_at_the_lane(scene: Scene) -> None:
    await opened(scene, WEST, max_workers=2)
    slot = Slot(TaskId(100), LANE, TenantId(1), ME, 0, Millis(START), "gone/away")
    await scene.broker.reconcile([], [slot], [])

    assert await scene.gates(9) == ["west"]
    await scene.broker.release([Release(Claim(slot.task_id, LANE, slot.tenant_id, 0, 0), 500)])
    assert await scene.gates(9) == ["west"]


async def test_an_adopted_call_counts_at_its_gate_from_when_it_ends(scene: Scene) -> None:
    await scene.open(rules(gates=(EAST._replace(output_tpm=100),)))
    await scene.enqueue(task(1, tokens=90, output=90))
    await scene.broker.reconcile([], [Slot(TaskId(9), LANE, TenantId(1), ME, 0, Millis(START), "east")], [])

    await scene.broker.release([Release(Claim(TaskId(9), LANE, TenantId(1), 0, 0), 60, used_output=50)])

    assert await scene.ask() == ((), 60_600)


async def test_what_started_lately_counts_at_the_lane_and_at_its_gate(scene: Scene) -> None:
    await scene.open(rules(tpm=10_000, gates=(EAST._replace(output_tpm=1_000), WEST._replace(output_tpm=1_000))))
    await scene.enqueue(*(task(number, tokens=800, output=700) for number in range(3)))
    scene.clock.advance_ms(20_000)

    await scene.broker.remember([PastStart(LANE, Millis(START), 900, 800, "east")])

    answer = await scene.ask(9)
    assert [one.endpoint for one in answer.claims] == ["west"]
    assert answer.wait_ms == 40_600


async def test_a_dropped_lane_forgets_its_gates(scene: Scene) -> None:
    await opened(scene, EAST._replace(tpm=100))
    await scene.claim(1)

    await scene.broker.drop_lane(LANE)
    await opened(scene, EAST._replace(tpm=100))

    (claim,) = await scene.claim()
    assert claim.spent == Spent(1, 100, 100, 0)


async def test_gates_of_one_lane_are_not_those_of_another(scene: Scene) -> None:
    await scene.open(rules(gates=(EAST,)), rules(lane=OTHER, gates=(EAST,)))
    await scene.enqueue(task(1), task(2, lane=OTHER))

    await scene.broker.throttle(LANE, 5_000, "east")

    assert await scene.ids(9, LANE, OTHER) == [2]


async def test_names_may_hold_anything(scene: Scene) -> None:
    names = ["eu/west:1", "1/2", "中文", ";"]
    await opened(scene, *(GateRules(name, tpm=60_000) for name in names))

    claims = await scene.claim(8)

    assert [one.endpoint for one in claims] == names * 2
    assert [one.endpoint for one in await scene.slots()] == names * 2
    await scene.done(*claims, used_tokens=1)
    assert await scene.gates(4) == names
