"""Concurrency, requests and tokens per minute, and how long to wait."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract import broker_scene
from tests.contract.broker_scene import FACTORIES, LANE, OTHER, Scene, StillClock, rules, task

from llm_scheduler.domain.ids import TenantId
from llm_scheduler.domain.placement import ShareRule
from llm_scheduler.ports.broker import Claim, LaneRules, Release

scene = broker_scene.scene

MINUTE_MS = 60_000


def most_in_a_minute(calls: list[tuple[int, int]]) -> int:
    """The fullest window [t, t + 60 s], both ends included, of (milliseconds, amount) in order of time."""
    most = inside = left = 0
    for at, amount in calls:
        inside += amount
        while calls[left][0] < at - MINUTE_MS:
            inside -= calls[left][1]
            left += 1
        most = max(most, inside)
    return most


async def saturate(scene: Scene, for_ms: int, *, late_ms: int = 0) -> list[tuple[int, int]]:
    """Start whatever may start, for so long; every call ends at once. (When, tokens) of each."""
    calls: list[tuple[int, int]] = []
    while scene.clock.elapsed_ms <= for_ms:
        answer = await scene.ask(100)
        calls += [(scene.clock.elapsed_ms, one.tokens) for one in answer.claims]
        await scene.done(*answer.claims)
        if len(answer.claims) < 100:
            assert answer.wait_ms is not None
            scene.clock.advance_ms(answer.wait_ms + late_ms)
    return calls


async def test_a_lane_never_runs_more_than_its_workers(scene: Scene) -> None:
    await scene.open(rules(max_workers=3))
    await scene.enqueue(*(task(number) for number in range(9)))

    first = await scene.ask(9)
    second = await scene.ask(9)
    await scene.done(first.claims[1])

    assert [len(first.claims), len(second.claims)] == [3, 0]
    assert second.wait_ms is None
    assert await scene.ids(9) == [3]


async def test_fewer_workers_take_no_slot_away(scene: Scene) -> None:
    await scene.open(rules(max_workers=3))
    await scene.enqueue(*(task(number) for number in range(9)))
    claims = await scene.claim(3)

    await scene.open(rules(max_workers=1))

    assert len(await scene.slots()) == 3
    await scene.done(claims[0], claims[1])
    assert await scene.claim() == []
    await scene.done(claims[2])
    assert len(await scene.claim(5)) == 1


@pytest.mark.parametrize("closed", [rules(is_paused=True), rules(max_workers=0), rules(rpm=0), rules(tpm=0)])
async def test_a_closed_lane_hands_out_nothing_until_it_opens(scene: Scene, closed: LaneRules) -> None:
    await scene.open(closed)
    await scene.enqueue(task(1))

    assert await scene.ask() == ((), None)
    await scene.open(rules())
    assert await scene.ids() == [1]


async def test_a_lane_without_rules_hands_out_nothing(scene: Scene) -> None:
    await scene.enqueue(task(1))

    assert await scene.ask() == ((), None)
    assert await scene.ask(1, OTHER) == ((), None)


@pytest.mark.parametrize("share_rule", ShareRule)
async def test_a_tenant_at_its_own_limit_steps_aside(scene: Scene, share_rule: ShareRule) -> None:
    await scene.open(rules(share_rule=share_rule))
    await scene.broker.set_tenant_limit(TenantId(1), 2)
    await scene.enqueue(*(task(number, tenant=1) for number in range(5)))
    await scene.enqueue(task(10, tenant=2), task(11, tenant=2, band=9))

    claims = await scene.claim(9)

    assert sorted(one.task_id for one in claims) == [0, 1, 10, 11]
    await scene.done(next(one for one in claims if one.task_id == 0))
    assert await scene.ids(9) == [2]


async def test_a_tenants_limit_holds_in_each_lane_by_itself(scene: Scene) -> None:
    await scene.open(rules(), rules(lane=OTHER))
    await scene.broker.set_tenant_limit(TenantId(1), 1)
    await scene.enqueue(*(task(number) for number in range(3)))
    await scene.enqueue(*(task(number, lane=OTHER) for number in range(10, 13)))

    assert sorted(await scene.ids(9, LANE, OTHER)) == [0, 10]


async def test_a_tenant_has_a_limit_of_its_own_in_one_lane(scene: Scene) -> None:
    await scene.open(rules(), rules(lane=OTHER))
    await scene.broker.set_lane_limit(LANE, TenantId(1), 1)
    await scene.enqueue(*(task(number) for number in range(3)))
    await scene.enqueue(*(task(number, lane=OTHER) for number in range(10, 13)), task(20, tenant=2))

    assert sorted(await scene.ids(9, LANE, OTHER)) == [0, 10, 11, 12, 20]


@pytest.mark.parametrize(("wide", "own"), [(1, 2), (2, 1), (1, None), (None, 1)])
async def test_of_a_tenants_two_limits_in_a_lane_the_lower_one_counts(
    scene: Scene, wide: int | None, own: int | None
) -> None:
    """Also where the lane, its rules and what waits came later."""
    await scene.broker.set_lane_limit(LANE, TenantId(1), own)
    await scene.broker.set_tenant_limit(TenantId(1), wide)
    await scene.open()
    await scene.enqueue(*(task(number) for number in range(4)))

    assert await scene.ids(9) == [0]


async def test_another_limit_in_a_lane_is_in_force_at_once(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(*(task(number) for number in range(6)))
    await scene.broker.set_lane_limit(LANE, TenantId(1), 0)
    assert await scene.ask() == ((), None)

    await scene.broker.set_lane_limit(LANE, TenantId(1), 2)
    assert await scene.ids(9) == [0, 1]

    await scene.broker.set_tenant_limit(TenantId(1), 3)
    await scene.broker.set_lane_limit(LANE, TenantId(1), None)
    assert await scene.ids(9) == [2]


async def test_limits_that_are_set_together_take_the_place_of_all_others(scene: Scene) -> None:
    await scene.open(rules(), rules(lane=OTHER))
    await scene.broker.set_tenant_limit(TenantId(1), 0)
    await scene.broker.set_lane_limit(OTHER, TenantId(2), 0)
    await scene.enqueue(*(task(number) for number in range(3)), task(10, lane=OTHER, tenant=2))
    assert await scene.ids(9, LANE, OTHER) == []

    await scene.broker.set_limits({(TenantId(1), LANE): 2, (TenantId(3), None): 1})
    await scene.enqueue(*(task(number, lane=OTHER, tenant=3) for number in (20, 21)))

    assert sorted(await scene.ids(9, LANE, OTHER)) == [0, 1, 10, 20]


async def test_a_lane_that_only_has_a_tenants_limit_is_not_known(scene: Scene) -> None:
    await scene.broker.set_lane_limit(LANE, TenantId(1), 1)

    assert await scene.broker.depths() == []


async def test_a_dropped_lane_takes_the_limits_in_it_along(scene: Scene) -> None:
    await scene.open()
    await scene.broker.set_lane_limit(LANE, TenantId(1), 0)
    await scene.broker.drop_lane(LANE)
    await scene.open()
    await scene.enqueue(task(1))

    assert await scene.ids() == [1]


async def test_another_tenant_limit_is_in_force_at_once(scene: Scene) -> None:
    await scene.open()
    await scene.enqueue(*(task(number) for number in range(6)))
    await scene.broker.set_tenant_limit(TenantId(1), 0)
    assert await scene.ask() == ((), None)

    await scene.broker.set_tenant_limit(TenantId(1), 2)
    assert await scene.ids(9) == [0, 1]

    await scene.broker.set_tenant_limit(TenantId(1), None)
    assert await scene.ids(9) == [2, 3, 4, 5]


async def test_a_head_that_must_wait_for_tokens_is_not_passed(scene: Scene) -> None:
    """No skip-ahead: small tasks that pass a large one would make it wait for ever."""
    await scene.open(rules(tpm=10_000))
    await scene.enqueue(task(1, tokens=1), task(2, tokens=20_000), task(3, tokens=1, tenant=2, band=9))

    assert await scene.ids(3) == [1]


async def test_a_lane_at_its_rate_does_not_hold_up_another(scene: Scene) -> None:
    await scene.open(rules(rpm=1), rules(lane=OTHER))
    await scene.enqueue(task(1), task(2))
    await scene.enqueue(*(task(number, lane=OTHER) for number in range(10, 14)))

    answer = await scene.ask(9, LANE, OTHER)

    assert sorted(one.task_id for one in answer.claims) == [1, 10, 11, 12, 13]
    assert answer.wait_ms is not None


async def test_a_claim_that_got_all_it_wanted_is_not_told_to_wait(scene: Scene) -> None:
    await scene.open(rules(rpm=1))
    await scene.enqueue(task(1), task(2))

    assert (await scene.ask(1)).wait_ms is None
    assert (await scene.ask(0)) == ((), None)


@pytest.mark.parametrize(
    "limited",
    [rules(rpm=7), rules(rpm=90), rules(tpm=1_000), rules(tpm=7_777), rules(rpm=30, tpm=900)],
)
async def test_the_wait_is_exact_to_the_millisecond(scene: Scene, limited: LaneRules) -> None:
    await scene.open(limited)
    await scene.enqueue(*(task(number, tokens=37 + number) for number in range(60)))

    for _ in range(40):
        answer = await scene.ask(100)
        assert answer.wait_ms is not None
        assert answer.wait_ms > 0
        scene.clock.advance_ms(answer.wait_ms - 1)
        assert await scene.ask(100) == ((), 1)
        scene.clock.advance_ms(1)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rpm", [1, 10, 49, 60, 180, 600, 3_000])
async def test_requests_stay_within_every_minute_and_use_it(scene: Scene, rpm: int) -> None:
    """Also when each claim comes 5 ms late."""
    minutes = 5 if rpm <= 600 else 2
    await scene.open(rules(rpm=rpm))
    await scene.enqueue(*(task(number) for number in range((minutes + 1) * rpm + 10)))

    calls = [(at, 1) for at, _ in await saturate(scene, minutes * MINUTE_MS, late_ms=5)]

    assert most_in_a_minute(calls) <= rpm
    assert len(calls) >= 0.97 * minutes * rpm


@pytest.mark.parametrize(("tpm", "tokens"), [(60_000, 100), (60_000, 600), (60_000, 2_000), (10_000, 5_000)])
async def test_tokens_stay_within_every_minute_and_use_it(scene: Scene, tpm: int, tokens: int) -> None:
    await scene.open(rules(tpm=tpm))
    await scene.enqueue(*(task(number, tokens=tokens) for number in range(6 * tpm // tokens + 10)))

    calls = await saturate(scene, 5 * MINUTE_MS, late_ms=5)

    assert most_in_a_minute(calls) <= tpm
    assert sum(n for _, n in calls) >= 0.97 * 5 * tpm


async def test_a_wall_clock_that_jumps_changes_no_limit(scene: Scene) -> None:
    await scene.open(rules(rpm=1))
    await scene.enqueue(task(1), task(2))
    await scene.claim()

    scene.clock.set_wall_clock_ahead_ms(3_600_000)

    assert await scene.claim() == []


async def test_a_request_larger_than_the_whole_limit_goes_alone_on_an_idle_minute(scene: Scene) -> None:
    await scene.open(rules(tpm=1_000))
    await scene.enqueue(task(1, tokens=10), task(2, tokens=5_000), task(3, tokens=10))
    assert await scene.ids(3) == [1]

    answer = await scene.ask(3)
    assert answer.wait_ms is not None
    assert MINUTE_MS <= answer.wait_ms <= MINUTE_MS + 2_000
    scene.clock.advance_ms(answer.wait_ms)

    assert await scene.ids(3) == [2]
    scene.clock.advance_ms(MINUTE_MS)
    assert await scene.claim(3) == []


async def test_tokens_that_were_not_used_are_given_back(scene: Scene) -> None:
    await scene.open(rules(tpm=10_000))
    await scene.enqueue(task(1, tokens=9_000), task(2, tokens=9_000))
    claims = await scene.claim(2)
    waited = await scene.ask()

    await scene.done(*claims, used_tokens=50)

    assert waited.wait_ms is not None
    assert waited.wait_ms > 50_000
    assert (await scene.ids(), waited.claims) == ([2], ())


async def test_tokens_beyond_the_reservation_are_a_debt(scene: Scene) -> None:
    await scene.open(rules(tpm=1_000))
    await scene.enqueue(task(1, tokens=10), task(2, tokens=10))
    claims = await scene.claim()

    await scene.done(*claims, used_tokens=700)
    answer = await scene.ask()

    assert answer.claims == ()
    assert answer.wait_ms is not None
    assert 40_000 <= answer.wait_ms <= 45_000


async def test_an_unsettled_release_keeps_the_reservation(scene: Scene) -> None:
    await scene.open(rules(tpm=1_000))
    await scene.enqueue(task(1, tokens=900), task(2, tokens=900))
    claims = await scene.claim()
    before = (await scene.ask())[1]

    await scene.done(*claims)

    assert (await scene.ask())[1] == before


async def test_a_late_refund_pays_for_no_new_calls(scene: Scene) -> None:
    """Tokens given back after their call has left the minute are no tokens of this minute."""
    await scene.open(rules(tpm=10_000))
    await scene.enqueue(*(task(number, tokens=1_000) for number in range(100)))
    old: list[Claim] = []
    while scene.clock.elapsed_ms < MINUTE_MS:
        old += await scene.claim(9)
        scene.clock.advance_ms(100)
    scene.clock.advance_ms(MINUTE_MS)

    calls: list[tuple[int, int]] = []
    for one in old:
        calls += [(scene.clock.elapsed_ms, claim.tokens) for claim in await scene.claim(9)]
        await scene.done(one, used_tokens=0)
        scene.clock.advance_ms(3_000)

    assert most_in_a_minute(calls) <= 10_000


arrivals = st.lists(
    st.tuples(
        st.integers(0, 4_000),  # milliseconds until the next arrival
        st.integers(1, 600),  # tokens reserved
        st.integers(0, 100),  # per cent of it that are used
        st.integers(0, 90_000),  # milliseconds until it is settled
    ),
    min_size=20,
    max_size=120,
)


@pytest.mark.parametrize("kind", sorted(FACTORIES))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(arrivals=arrivals, tpm=st.sampled_from((300, 1_000, 5_000)), rpm=st.sampled_from((None, 5, 60)))
async def test_no_true_minute_exceeds_its_limits_whatever_comes(
    kind: str, arrivals: list[tuple[int, int, int, int]], tpm: int, rpm: int | None
) -> None:
    """Random costs, arrivals and settlements (used at most what was reserved), counted as they were used."""
    clock = StillClock()
    scene = Scene(await FACTORIES[kind](clock), clock)
    await scene.open(rules(tpm=tpm, rpm=rpm))
    calls: list[tuple[int, int]] = []
    open_calls: list[tuple[int, int, Claim]] = []
    for number, (gap_ms, tokens, used_percent, settle_ms) in enumerate(arrivals):
        await scene.enqueue(task(number, tokens=tokens))
        for one in await scene.claim(99):
            used = one.tokens * used_percent // 100
            calls.append((clock.elapsed_ms, used))
            open_calls.append((clock.elapsed_ms + settle_ms, used, one))
        for call in [call for call in open_calls if call[0] <= clock.elapsed_ms]:
            await scene.broker.release([Release(call[2], call[1], None, True)])
            open_calls.remove(call)
        clock.advance_ms(gap_ms)

    await scene.broker.close()
    assert most_in_a_minute(calls) <= max(tpm, max((used for _, used in calls), default=0))
    assert rpm is None or most_in_a_minute([(at, 1) for at, _ in calls]) <= rpm


async def test_a_correction_that_comes_when_its_start_has_just_been_forgotten_counts_no_more(scene: Scene) -> None:
    """Otherwise tokens would stay in the window that nothing ever takes out again."""
    await scene.open(rules(tpm=1_000))
    await scene.enqueue(task(1, tokens=100), task(2, tokens=500))
    (claim,) = await scene.claim()
    scene.clock.advance_ms(60_600)
    await scene.done(claim, used_tokens=900)
    scene.clock.advance_ms(50_000)

    assert await scene.ids() == [2]


async def test_the_window_knows_what_the_same_claim_has_started(scene: Scene) -> None:
    """The first starts 50 ms into its slice, which is forgotten 60.6 s after its beginning."""
    await scene.open(rules(tpm=1_000))
    await scene.enqueue(task(1, tokens=600), task(2, tokens=600))
    scene.clock.advance_ms(50)

    claims, wait_ms = await scene.ask(2)

    assert (len(claims), wait_ms) == (1, 60_550)
