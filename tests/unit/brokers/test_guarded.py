"""Callers of a guarded broker go on while the index is away, and nothing that it must hear is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.broker_scene import LANE, ME, OTHER, StillClock, rules, task

from llm_scheduler.brokers.guarded import AWAY_WAIT_MS, RELEASES_KEPT, GuardedBroker
from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.domain.ids import ModelId, TaskId, TenantId
from llm_scheduler.ports.broker import Claim, Pace, Release, Unit

if TYPE_CHECKING:
    from collections.abc import Sequence


class Flaky(MemoryBroker):
    """A memory broker that can be away; it notes what reached it."""

    def __init__(self, clock: StillClock) -> None:
        super().__init__(clock)
        self.is_away = False
        self.heard: list[tuple[str, Any]] = []
        self.gate: asyncio.Event | None = None

    async def _hear(self, call: str, what: Any) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.is_away:
            raise BrokerUnavailableError("away")
        self.heard.append((call, what))

    async def set_rules(self, rules: Any) -> None:
        await self._hear("rules", tuple(rules))
        await super().set_rules(rules)

    async def set_tenant_limit(self, tenant_id: TenantId, max_workers: int | None) -> None:
        await self._hear("limit", (tenant_id, max_workers))
        await super().set_tenant_limit(tenant_id, max_workers)

    async def set_lane_limit(self, lane: ModelId, tenant_id: TenantId, max_workers: int | None) -> None:
        await self._hear("lane limit", (lane, tenant_id, max_workers))
        await super().set_lane_limit(lane, tenant_id, max_workers)

    async def set_limits(self, limits: Any) -> None:
        await self._hear("limits", limits)
        await super().set_limits(limits)

    async def drop_lane(self, lane: Any) -> None:
        await self._hear("drop", lane)
        await super().drop_lane(lane)

    async def throttle(self, lane: Any, for_ms: int, endpoint: str | None = None) -> None:
        await self._hear("throttle", (lane, for_ms) if endpoint is None else (lane, for_ms, endpoint))
        await super().throttle(lane, for_ms, endpoint)

    async def end_pause(self, lane: Any, endpoint: str | None = None) -> None:
        await self._hear("end", (lane, endpoint))
        await super().end_pause(lane, endpoint)

    async def set_pace(self, lane: Any, endpoint: str | None, paces: Any) -> None:
        await self._hear("pace", (lane, endpoint, tuple(paces)))
        await super().set_pace(lane, endpoint, paces)

    async def enqueue(self, entries: Any) -> None:
        await self._hear("enqueue", len(entries))
        await super().enqueue(entries)

    async def remove(self, lane: Any, task_ids: Any) -> None:
        await self._hear("remove", tuple(task_ids))
        await super().remove(lane, task_ids)

    async def release(self, releases: Sequence[Release]) -> None:
        await self._hear("release", [one.claim.task_id for one in releases])
        await super().release(releases)

    async def claim(self, session: Any, lanes: Any, want: int) -> Any:
        await self._hear("claim", want)
        return await super().claim(session, lanes, want)

    async def pulse(self) -> Any:
        await self._hear("pulse", None)
        return await super().pulse()

    async def slots(self, lane: Any = None) -> Any:
        await self._hear("slots", lane)
        return await super().slots(lane)

    def calls(self, name: str) -> list[Any]:
        return [what for call, what in self.heard if call == name]


def pace(per_s: float, *, unit: Unit = Unit.REQUESTS, valid_ms: int = 60_000, bonus: float = 0.0) -> Pace:
    return Pace(unit, per_s, 10.0, valid_ms, bonus)


class Scene:
    def __init__(self) -> None:
        self.clock = StillClock()
        self.inner = Flaky(self.clock)
        self.lost = 0
        self.states: list[bool] = []
        self.broker = GuardedBroker(self.inner, self.clock, self._on_lost, self.states.append)

    def _on_lost(self) -> None:
        self.lost += 1

    async def claims(self, want: int = 1) -> tuple[Claim, ...]:
        return (await self.broker.claim(ME, (LANE,), want)).claims


@pytest.fixture
async def scene() -> Scene:
    """A lane with five tasks, and everything well."""
    scene = Scene()
    await scene.broker.set_rules([rules()])
    await scene.broker.enqueue([task(number) for number in range(1, 6)])
    return scene


async def test_everything_passes_while_the_index_answers(scene: Scene) -> None:
    claims = await scene.claims(2)
    await scene.broker.release([Release(one) for one in claims])

    assert [one.task_id for one in claims] == [1, 2]
    assert await scene.broker.slots() == []
    assert (scene.lost, scene.states) == (0, [])


async def test_enqueue_and_remove_are_let_go_and_noted(scene: Scene) -> None:
    scene.inner.is_away = True

    await scene.broker.enqueue([task(9)])
    await scene.broker.remove(LANE, [TaskId(1)])

    assert scene.lost == 2
    scene.inner.is_away = False
    assert [one.task_id for one in await scene.claims(9)] == [1, 2, 3, 4, 5]


async def test_a_claim_gives_nothing_and_says_when_to_ask_again(scene: Scene) -> None:
    scene.inner.is_away = True

    answer = await scene.broker.claim(ME, (LANE,), 1)

    assert (answer.claims, answer.wait_ms) == ((), AWAY_WAIT_MS)
    scene.inner.is_away = False
    await scene.broker.enqueue([task(9)])
    assert await scene.broker.wait(answer.seen, 30_000) != answer.seen


async def test_reads_raise(scene: Scene) -> None:
    scene.inner.is_away = True

    with pytest.raises(BrokerUnavailableError):
        await scene.broker.slots()
    with pytest.raises(BrokerUnavailableError):
        await scene.broker.pulse()


async def test_a_change_of_state_is_told_once(scene: Scene) -> None:
    for is_away in (True, True, False, False, True):
        scene.inner.is_away = is_away
        await scene.claims(0)

    assert scene.states == [False, True, False]
    assert not scene.broker.is_available


async def test_releases_are_sent_again_in_order_before_the_next_claim(scene: Scene) -> None:
    first, second, third = await scene.claims(3)
    scene.inner.is_away = True
    await scene.broker.release([Release(second)])
    await scene.broker.release([Release(first), Release(third)])
    scene.inner.is_away = False

    await scene.claims(0)

    assert scene.inner.calls("release") == [[2, 1, 3]]
    assert [call for call, _ in scene.inner.heard[-2:]] == ["release", "claim"]
    assert await scene.broker.slots() == []


async def test_any_sign_of_life_is_followed_by_what_was_kept(scene: Scene) -> None:
    (claim,) = await scene.claims()
    scene.inner.is_away = True
    await scene.broker.release([Release(claim)])
    scene.inner.is_away = False

    await scene.broker.pulse()

    assert scene.inner.calls("release") == [[1]]


async def test_beyond_the_bound_the_oldest_releases_go(scene: Scene) -> None:
    scene.inner.is_away = True
    numbers = range(1, RELEASES_KEPT + 3)
    for number in numbers:
        await scene.broker.release([Release(Claim(TaskId(number), LANE, TenantId(1), 0, 1))])
    scene.inner.is_away = False

    await scene.claims(0)

    assert [number for page in scene.inner.calls("release") for number in page] == list(numbers)[2:]


async def test_a_cancelled_caller_takes_nobodys_release_with_it(scene: Scene) -> None:
    first, second = await scene.claims(2)
    scene.inner.gate = asyncio.Event()
    one = asyncio.ensure_future(scene.broker.release([Release(first)]))
    other = asyncio.ensure_future(scene.broker.release([Release(second)]))
    for _ in range(3):
        await asyncio.sleep(0)

    one.cancel()
    scene.inner.gate.set()
    await asyncio.wait((one, other))

    assert one.cancelled()
    assert scene.inner.calls("release") == [[1, 2]]


async def test_a_release_is_over_when_the_index_has_heard_it(scene: Scene) -> None:
    """Who released at the same time as others finds the slot free, too."""
    claims = await scene.claims(3)

    async def release(claim: Claim) -> list[int]:
        await scene.broker.release([Release(claim)])
        return [one.task_id for one in await scene.broker.slots()]

    answers = await asyncio.gather(*(release(one) for one in claims))

    assert all(claim.task_id not in answer for claim, answer in zip(claims, answers, strict=True))


async def test_settings_reach_the_index_when_it_is_back(scene: Scene) -> None:
    scene.inner.is_away = True
    await scene.broker.set_rules([rules(max_workers=7), rules(lane=OTHER)])
    await scene.broker.set_rules([rules(max_workers=2)])
    await scene.broker.set_tenant_limit(TenantId(4), 1)
    await scene.broker.set_tenant_limit(TenantId(4), None)
    scene.inner.is_away = False
    scene.inner.heard.clear()

    await scene.claims(0)
    await scene.claims(0)

    assert scene.inner.heard[:2] == [
        ("limit", (4, None)),
        ("rules", (rules(max_workers=2), rules(lane=OTHER))),
    ]
    assert [call for call, _ in scene.inner.heard[2:]] == ["claim", "claim"]


async def test_limits_in_a_lane_reach_the_index_when_it_is_back_and_go_with_the_lane(scene: Scene) -> None:
    scene.inner.is_away = True
    await scene.broker.set_lane_limit(LANE, TenantId(4), 3)
    await scene.broker.set_lane_limit(LANE, TenantId(4), 1)
    await scene.broker.set_lane_limit(OTHER, TenantId(4), 2)
    await scene.broker.drop_lane(OTHER)
    scene.inner.is_away = False
    scene.inner.heard.clear()

    await scene.claims(0)

    assert scene.inner.heard[:2] == [("drop", OTHER), ("lane limit", (LANE, 4, 1))]


async def test_all_limits_take_the_place_of_those_that_are_kept(scene: Scene) -> None:
    scene.inner.is_away = True
    await scene.broker.set_tenant_limit(TenantId(4), 1)
    await scene.broker.set_limits({(TenantId(5), None): 2})
    await scene.broker.set_tenant_limit(TenantId(6), 3)
    scene.inner.is_away = False
    scene.inner.heard.clear()

    await scene.claims(0)

    assert scene.inner.heard[:2] == [("limits", {(5, None): 2}), ("limit", (6, 3))]


async def test_older_rules_do_not_replace_newer_ones_that_are_kept(scene: Scene) -> None:
    scene.inner.is_away = True
    await scene.broker.set_rules([rules(max_workers=1)._replace(version=5)])
    await scene.broker.set_rules([rules(max_workers=9)._replace(version=4)])
    scene.inner.is_away = False

    await scene.claims(0)

    assert scene.inner.calls("rules")[-1] == (rules(max_workers=1)._replace(version=5),)


async def test_a_pause_is_sent_before_releases_and_only_what_is_left_of_it(scene: Scene) -> None:
    (claim,) = await scene.claims()
    scene.inner.is_away = True
    await scene.broker.throttle(LANE, 5_000)
    await scene.broker.throttle(LANE, 1_000)
    await scene.broker.release([Release(claim)])
    scene.clock.advance_ms(2_000)
    scene.inner.is_away = False

    answer = await scene.broker.claim(ME, (LANE,), 1)

    assert scene.inner.heard[-3:] == [("throttle", (LANE, 3_000)), ("release", [1]), ("claim", 1)]
    assert answer.wait_ms == 3_000


async def test_a_pause_is_sent_as_it_is_told_while_the_index_answers(scene: Scene) -> None:
    await scene.broker.throttle(LANE, 1_234)

    assert scene.inner.calls("throttle") == [(LANE, 1_234)]


async def test_pauses_of_gates_are_kept_by_gate(scene: Scene) -> None:
    scene.inner.is_away = True
    await scene.broker.throttle(LANE, 5_000, "east")
    await scene.broker.throttle(LANE, 7_000)
    scene.inner.is_away = False

    await scene.claims(0)

    assert scene.inner.calls("throttle") == [(LANE, 5_000, "east"), (LANE, 7_000)]


async def test_an_ended_pause_is_ended_when_the_index_is_back_and_a_later_one_holds(scene: Scene) -> None:
    scene.inner.is_away = True
    await scene.broker.throttle(LANE, 60_000, "east")
    await scene.broker.end_pause(LANE, "east")
    await scene.broker.end_pause(LANE)
    await scene.broker.throttle(LANE, 7_000)
    scene.inner.is_away = False

    await scene.claims(0)

    assert scene.inner.calls("end") == [(LANE, "east"), (LANE, None)]
    assert scene.inner.calls("throttle") == [(LANE, 7_000)]


async def test_the_last_word_on_a_pace_is_sent_while_it_is_valid_with_all_that_was_given_once(scene: Scene) -> None:
    scene.inner.is_away = True
    await scene.broker.set_pace(LANE, "east", [pace(1.0, bonus=5.0), pace(9.0, unit=Unit.TOKENS)])
    await scene.broker.set_pace(LANE, "east", [pace(2.0, bonus=-2.0)])
    await scene.broker.set_pace(LANE, "west", [pace(3.0, valid_ms=900)])
    scene.clock.advance_ms(1_000)
    scene.inner.is_away = False

    await scene.claims(0)

    left = [pace(2.0, valid_ms=59_000, bonus=3.0), pace(9.0, unit=Unit.TOKENS, valid_ms=59_000)]
    assert scene.inner.calls("pace") == [(LANE, "east", tuple(left))]
    await scene.claims(0)
    assert len(scene.inner.calls("pace")) == 1


async def test_a_dropped_lane_is_paced_no_more(scene: Scene) -> None:
    scene.inner.is_away = True
    await scene.broker.set_pace(LANE, None, [pace(1.0)])
    await scene.broker.drop_lane(LANE)
    scene.inner.is_away = False

    await scene.claims(0)

    assert scene.inner.calls("pace") == []


async def test_a_dropped_lane_is_dropped_when_the_index_is_back(scene: Scene) -> None:
    scene.inner.is_away = True
    await scene.broker.set_rules([rules(max_workers=3)])
    await scene.broker.throttle(LANE, 1_000)
    await scene.broker.drop_lane(LANE)
    scene.inner.is_away = False
    scene.inner.heard.clear()

    await scene.claims(0)

    assert scene.inner.heard == [("drop", LANE), ("claim", 0)]
