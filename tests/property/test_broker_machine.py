"""The brokers and the plain reference side by side: whatever happens, they answer alike."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.property.broker_reference import ReferenceBroker, StillClock
from tests.rig.shared import empty_redis, shared_redis

from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.brokers.redis.broker import RedisBroker
from llm_scheduler.brokers.redis.connection import open_client
from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.ports.broker import Claim, Entry, GateRules, LaneRules, Pace, PastStart, Release, Slot, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from llm_scheduler.ports.broker import Broker

LANES = (ModelId(1), ModelId(2))
TENANTS = tuple(TenantId(number) for number in range(1, 6))
GATES = ("east", "west", "north/1")
SESSIONS = (SessionId(1), SessionId(2))
NIGHTLY_STEPS = 200_000

draws = st.integers(0, 2**32).map(Random)


class BrokerMachine(RuleBasedStateMachine):
    """One step = one call on broker and reference, its answers compared."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.clock = StillClock()
        self.loop = asyncio.new_event_loop()
        self.brokers: list[Broker] = [MemoryBroker(self.clock)]
        self.reference = ReferenceBroker(self.clock)
        self.claims: list[Claim] = []
        self.last_id = 0

    def teardown(self) -> None:
        for broker in self.brokers:
            self.drive(broker.close())
        self.loop.close()

    def drive(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(call)

    def both(self, call: str, *arguments: object) -> Any:
        """Make the call on all and compare the answers."""
        type(self).steps += 1
        expected = getattr(self.reference, call)(*arguments)
        for broker in self.brokers:
            answer = self.drive(getattr(broker, call)(*arguments))
            if call == "claim":
                answer = answer._replace(seen=expected.seen)
            assert answer == expected, (broker, call, arguments)
        if call == "claim":
            self.claims += expected.claims
        return expected

    # What is drawn

    def task_id(self, draw: Random) -> TaskId:
        """Most of the time one that was never seen, else one of the last few."""
        if draw.random() < 0.3:
            return TaskId(draw.randint(max(1, self.last_id - 30), self.last_id + 1))
        self.last_id += draw.randint(1, 2)
        return TaskId(self.last_id)

    def old_id(self, draw: Random) -> TaskId:
        return TaskId(draw.randint(max(1, self.last_id - 30), self.last_id + 1))

    def entry(self, draw: Random, usual: TenantId | None = None) -> Entry:
        tenant = usual if usual is not None and draw.random() < 0.7 else draw.choice(TENANTS)
        share = tenant if draw.random() < 0.9 else draw.randint(1, 3)
        order = draw.randint(0, 6) if draw.random() < 0.5 else self.clock.now() + draw.randint(0, 2)
        placement = Placement(
            draw.choice((0, 0, 0, 1, 2)),
            share,
            draw.choice((1.0, 1.0, 2.0, 0.3)),
            draw.choice((1.0, 7.0, 100.0)),
            order,
        )
        queued_at = Millis(self.clock.now() - draw.randint(0, 9) * 1_000)
        tokens = draw.choice((0, 1, 10, 50, 100, 500, 1_500))
        lane = draw.choice((LANES[0], *LANES))
        output = draw.choice((0, tokens // 3, tokens))
        return Entry(self.task_id(draw), lane, tenant, draw.randint(0, 2), tokens, queued_at, placement, output)

    def gate(self, draw: Random) -> GateRules:
        return GateRules(
            draw.choice(GATES),
            draw.choice((1.0, 1.0, 3.0, 0.3)),
            draw.choice((None, None, None, 0, 1, 4)),
            draw.choice((None, None, None, 30, 600)),
            draw.choice((None, None, None, 2_000)),
            draw.choice((None, None, None, 2_000)),
            draw.choice((None, None, None, 0, 2_000)),
            draw.random() < 0.1,
        )

    def gates(self, draw: Random) -> tuple[GateRules, ...]:
        """None half of the time; never two of one name."""
        drawn = [self.gate(draw) for _ in range(draw.choice((0, 0, 0, 1, 2, 3)))]
        return tuple({one.name: one for one in drawn}.values())

    def release_of(self, draw: Random, claim: Claim) -> Release:
        used = draw.choice((None, 0, claim.tokens // 2, claim.tokens, claim.tokens + 9))
        back = None
        if draw.random() < 0.2:
            back = self.entry(draw)._replace(
                task_id=claim.task_id, lane=claim.lane, attempt=claim.attempt + draw.randint(0, 1)
            )
        outcome = draw.random()
        output = draw.choice((None, None, 0, claim.output_tokens // 2, claim.output_tokens + 3))
        return Release(claim, used, back, outcome < 0.4, output, outcome > 0.6)

    # What happens most

    @initialize(draw=draws)
    def two_lanes(self, draw: Random) -> None:
        self.open_lanes(draw)

    @rule(draw=draws)
    def enqueue(self, draw: Random) -> None:
        usual = draw.choice(TENANTS)
        self.both("enqueue", [self.entry(draw, usual) for _ in range(draw.choice((1, 3, 15, 50)))])

    @rule(draw=draws)
    def claim(self, draw: Random) -> None:
        asked = draw.sample(LANES, draw.randint(1, 2))
        self.both("claim", draw.choice(SESSIONS), asked, draw.choice((0, 1, 3, 12, 40)))

    @rule(draw=draws)
    def release(self, draw: Random) -> None:
        """Also of claims that were released before, or are of an older attempt."""
        some = [draw.choice(self.claims[-40:]) for _ in range(draw.randint(1, 12)) if self.claims]
        self.both("release", [self.release_of(draw, one) for one in some])

    @rule(draw=draws)
    def serve(self, draw: Random) -> None:
        """A worker of few slots, for a while; all earlier calls end first."""
        held = [Claim(one.task_id, one.lane, one.tenant_id, one.attempt, 0) for one in self.reference.slots()]
        self.both("release", [Release(one, None, None, True) for one in held])
        want = draw.choice((1, 2, 5))
        for _ in range(12):
            answer = self.both("claim", SESSIONS[0], LANES, want)
            self.both("release", [Release(one, one.tokens // 2, None, True) for one in answer.claims])
            if answer.wait_ms is not None:
                self.clock.advance_ms(min(answer.wait_ms, 5_000))
            elif not answer.claims:
                break

    @rule(ms=st.sampled_from((1, 99, 250, 1_000, 5_000, 30_000, 61_000)))
    def advance(self, ms: int) -> None:
        self.clock.advance_ms(ms)

    @rule(draw=draws)
    def claim_all_and_wait_as_told(self, draw: Random) -> None:
        wait_ms = self.both("claim", draw.choice(SESSIONS), LANES, 999).wait_ms
        if wait_ms is not None:
            self.clock.advance_ms(wait_ms - 1)
            self.both("claim", SESSIONS[0], LANES, 1)
            self.clock.advance_ms(1)
            self.both("claim", SESSIONS[0], LANES, 1)

    # What happens now and then

    @rule(draw=draws)
    def upset(self, draw: Random) -> None:
        upsets: tuple[Callable[[Random], object], ...] = (
            self.set_rules,
            self.open_lanes,
            self.set_tenant_limit,
            self.set_lane_limit,
            self.set_limits,
            self.throttle,
            self.end_pause,
            self.remove,
            self.reconcile,
            self.wipe_and_rebuild,
            self.positions,
            self.set_pace,
            self.set_pace,
            self.fail,
            self.remember,
        )
        draw.choice(upsets)(draw)

    def set_rules(self, draw: Random) -> None:
        rules = LaneRules(
            draw.choice(LANES),
            draw.choice((0, 1, 3, 50, 50)),
            draw.choice((None, None, None, 1, 10, 600)),
            draw.choice((None, None, 100, 1_000, 60_000)),
            draw.random() < 0.1,
            draw.choice(tuple(ShareRule)),
            draw.choice((None, 0, 4_000)),
            input_tpm=draw.choice((None, None, None, 2_000)),
            output_tpm=draw.choice((None, None, None, 0, 2_000)),
            gates=self.gates(draw),
            keeps_backlog=draw.random() < 0.5,
        )
        self.both("set_rules", [rules])

    def open_lanes(self, draw: Random) -> None:
        rules = LaneRules(
            LANES[0],
            draw.choice((5, 50, 50)),
            draw.choice((None, None, 60, 600)),
            draw.choice((None, None, 3_000, 30_000)),
            share_rule=draw.choice(tuple(ShareRule)),
            starve_after_ms=draw.choice((None, 0, 4_000)),
            gates=self.gates(draw),
            keeps_backlog=draw.random() < 0.5,
        )
        self.both("set_rules", [rules._replace(lane=lane) for lane in LANES])

    def set_tenant_limit(self, draw: Random) -> None:
        self.both("set_tenant_limit", draw.choice(TENANTS), draw.choice((None, 0, 1, 2, 5)))

    def set_lane_limit(self, draw: Random) -> None:
        limit = draw.choice((None, 0, 1, 2, 5))
        self.both("set_lane_limit", draw.choice(LANES), draw.choice(TENANTS), limit)

    def set_limits(self, draw: Random) -> None:
        names = [(draw.choice(TENANTS), draw.choice((None, *LANES))) for _ in range(draw.randint(0, 4))]
        self.both("set_limits", {name: draw.choice((0, 1, 2, 5)) for name in names})

    def throttle(self, draw: Random) -> None:
        self.both("throttle", draw.choice(LANES), draw.choice((0, 100, 5_000)), draw.choice((None, *GATES)))

    def end_pause(self, draw: Random) -> None:
        self.both("end_pause", draw.choice(LANES), draw.choice((None, *GATES)))

    def set_pace(self, draw: Random) -> None:
        paces = [
            Pace(
                draw.choice(tuple(Unit)),
                draw.choice((0.01, 1.0, 7.3, 33.3, 1e4)),
                draw.choice((0.0, 1.0, 50.5, 2_000.0)),
                draw.choice((0, 1_000, 60_000, 10_000_000)),
                draw.choice((0.0, 0.0, 10.0, -100.5)),
                draw.choice((None, None, 0.0, 3.3, -20.0, 400.5)),
                draw.choice((0, 7, 500)),
            )
            for _ in range(draw.randint(1, 3))
        ]
        self.both("set_pace", draw.choice(LANES), draw.choice((None, *GATES)), paces)

    def fail(self, draw: Random) -> None:
        """Whatever runs fails, over and over: circuits open, and probes fail or not."""
        self.open_lanes(draw)
        self.both("enqueue", [self.entry(draw)._replace(tokens=1, output_tokens=0) for _ in range(40)])
        for _ in range(draw.randint(2, 8)):
            wait_ms = self.both("claim", SESSIONS[0], LANES, 20).wait_ms
            held = [Claim(one.task_id, one.lane, one.tenant_id, one.attempt, 0) for one in self.reference.slots()]
            self.both("release", [Release(one, is_failure=draw.random() < 0.9) for one in held])
            self.clock.advance_ms(min(wait_ms or 0, 300_000))

    def remember(self, draw: Random) -> None:
        starts = [
            PastStart(
                draw.choice(LANES),
                Millis(self.clock.now() - draw.randint(0, 70_000)),
                draw.choice((0, 100, 500)),
                draw.choice((0, 100)),
                draw.choice((None, *GATES)),
            )
            for _ in range(draw.randint(0, 8))
        ]
        self.both("remember", sorted(starts, key=lambda one: one.started_at))

    def remove(self, draw: Random) -> None:
        self.both("remove", draw.choice(LANES), [self.old_id(draw) for _ in range(draw.randint(0, 12))])

    def reconcile(self, draw: Random) -> None:
        """A page of the record, right, stale and wrong."""
        waiting = [self.entry(draw) for _ in range(draw.randint(0, 5))]
        waiting += draw.sample(self.reference.entries, min(5, len(self.reference.entries)))
        running = [
            Slot(
                self.old_id(draw),
                draw.choice(LANES),
                draw.choice(TENANTS),
                draw.choice(SESSIONS),
                draw.randint(0, 2),
                Millis(1),
                draw.choice((None, *GATES)),
            )
            for _ in range(draw.randint(0, 3))
        ]
        running += draw.sample(self.reference.slots(), min(3, len(self.reference.running)))
        absent = [(draw.choice(LANES), self.old_id(draw)) for _ in range(draw.randint(0, 5))]
        self.both("reconcile", waiting, running, absent)

    def wipe_and_rebuild(self, draw: Random) -> None:
        """All is lost; the record knows what waited and what ran."""
        lane = draw.choice(LANES)
        waiting = [one for one in self.reference.entries if one.lane == lane]
        running = [one for one in self.reference.slots() if one.lane == lane]
        known = self.reference.rules.get(lane)
        self.both("drop_lane", lane)
        if known is not None:
            self.both("set_rules", [known])
        self.both("reconcile", waiting, running, [])

    def positions(self, draw: Random) -> None:
        for _ in range(5):
            self.both("position", draw.choice(LANES), self.old_id(draw))

    @invariant()
    def both_hold_the_same(self) -> None:
        for broker in self.brokers:
            assert list(self.drive(broker.depths())) == self.reference.depths()
            slots: list[Slot] = self.drive(broker.slots())
            assert sorted(slots, key=lambda one: one[:3]) == self.reference.slots()
            assert broker.waiting() == len(self.reference.entries)
            for lane in LANES:
                assert self.drive(broker.state(lane)) == self.reference.state(lane)
                assert list(self.drive(broker.backlog(lane))) == self.reference.backlog(lane)


class RedisMachine(BrokerMachine):
    """The same calls on the Redis broker, the memory broker and the reference; each example has its own key space."""

    examples = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).examples += 1
        broker = RedisBroker(open_client(shared_redis().url), self.clock, prefix=f"example{self.examples}")
        token = self.drive(broker.begin_rebuild())
        assert self.drive(broker.finish_rebuild(token))
        self.brokers.append(broker)


QUICK = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
QUICK_REDIS = settings(QUICK, max_examples=20, stateful_step_count=30)
NIGHTLY = settings(QUICK, max_examples=1_900, stateful_step_count=60, database=None)


@pytest.mark.timeout(400)
def test_broker_and_reference_answer_alike() -> None:
    """Some ten thousand random calls. (Finding the shortest sequence that differs takes minutes.)"""
    run_state_machine_as_test(BrokerMachine, settings=QUICK)


@pytest.mark.timeout(400)
def test_redis_memory_and_reference_answer_alike() -> None:
    """Some two thousand random calls."""
    empty_redis()
    run_state_machine_as_test(RedisMachine, settings=QUICK_REDIS)


@pytest.mark.nightly
@pytest.mark.timeout(14_400)
@pytest.mark.parametrize("kind", [BrokerMachine, RedisMachine])
def test_broker_and_reference_answer_alike_for_a_long_time(
    kind: type[BrokerMachine], capsys: pytest.CaptureFixture[str]
) -> None:
    """At least NIGHTLY_STEPS calls."""
    empty_redis()

    class LongMachine(kind):
        steps = 0

    run_state_machine_as_test(LongMachine, settings=NIGHTLY)

    with capsys.disabled():
        print(f"\n{kind.__name__}: {LongMachine.steps:,} calls compared, 0 differences")
    assert LongMachine.steps >= NIGHTLY_STEPS
