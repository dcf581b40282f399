"""Leases of tokens: no more than the shared bucket gives, without asking it for each request."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from llm_scheduler.domain.access_errors import RateLimitedError
from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.domain.rate import Buckets, Grant, Rule, rule_of
from llm_scheduler.services.leases import LeasedLedger
from llm_scheduler.services.ledger import Key, LocalLedger, Standing
from llm_scheduler.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    pass

KEY: Key = ("key", 1)


class Clock:
    def __init__(self) -> None:
        self.at_s = 1_000.0

    def now(self) -> int:
        return int(self.at_s * 1000)

    def monotonic_s(self) -> float:
        return self.at_s


class Shared:
    """Shared buckets that count how often they are asked, and can be away."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self.buckets = clock, Buckets()
        self.asked = 0
        self.is_away = False

    async def take(self, key: str, rule: Rule, *, spent: int = 0, want: int = 1) -> Grant:
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise BrokerUnavailableError("gone")
        return self.buckets.take(key, rule, self._clock.at_s, spent, want)

    def left(self, rule: Rule) -> int:
        return self.buckets.take("key:1", rule, self._clock.at_s, want=0).remaining


class Scene:
    def __init__(self, processes: int = 2) -> None:
        self.clock, self.meter = Clock(), PrometheusMeter()
        self.shared = Shared(self.clock)
        self.ledgers = [
            LeasedLedger(self.shared, self.clock, lambda: processes, self.meter)  # type: ignore[arg-type]
            for _ in range(processes)
        ]

    async def request(self, rule: Rule, number: int = 0) -> Standing:
        """One request to one of the processes, as `RateLimits` asks."""
        ledger = self.ledgers[number]
        standing = ledger.spend(KEY, rule)
        for _ in range(4):
            if standing.is_known:
                break
            await ledger.settled(KEY, rule)
            standing = ledger.spend(KEY, rule)
        return standing

    async def offer(self, rule: Rule, per_s: int, seconds: int) -> int:
        """How many of so many requests a second, alternating between the processes, are let through."""
        passed = 0
        for number in range(per_s * seconds):
            self.clock.at_s += 1 / per_s
            passed += (await self.request(rule, number % len(self.ledgers))).is_allowed
            if number % per_s == 0:
                for ledger in self.ledgers:
                    await ledger.sweep()
        return passed


@pytest.mark.parametrize("per_minute", [60, 600, 6_000, 60_000])
@pytest.mark.parametrize("processes", [1, 2, 5])
async def test_all_processes_together_let_through_what_one_would(per_minute: int, processes: int) -> None:
    """Three times the limit is offered: what passes is the limit and one bucket, to within 2 %."""
    scene, rule = Scene(processes), rule_of(per_minute)
    per_s = min(1_000, per_minute // 20)
    seconds = 60
    if per_s * 60 < 2 * per_minute:
        rule = Rule(per_s * 20, per_s * 3)

    passed = await scene.offer(rule, per_s, seconds)

    expected = rule.per_minute + rule.burst
    # Each process may hold one token that nobody comes for.
    assert passed == pytest.approx(expected, rel=0.02, abs=processes)


async def test_few_requests_ask_anybody() -> None:
    scene, rule = Scene(1), Rule(60_000, 10_000)

    passed = await scene.offer(rule, 500, 10)

    assert passed == 5_000
    assert scene.shared.asked < 250


async def test_a_burst_within_the_limit_is_never_refused() -> None:
    """Though nothing is leased yet: whoever finds nothing while nothing is known waits for the answer."""
    scene, rule = Scene(1), rule_of(600)

    standings = await asyncio.gather(*(scene.request(rule) for _ in range(rule.burst)))

    assert all(standing.is_allowed for standing in standings)
    assert not (await scene.request(rule)).is_allowed


async def test_what_is_not_used_goes_back() -> None:
    scene, rule = Scene(1), rule_of(6_000)
    await scene.offer(rule, 100, 1)
    held = rule.burst - scene.shared.left(rule)

    scene.clock.at_s += 1.5
    await scene.ledgers[0].sweep()

    assert held > 0
    assert scene.shared.left(rule) == rule.burst


async def test_at_the_end_everything_goes_back() -> None:
    scene, rule = Scene(1), rule_of(60)
    await scene.request(rule)
    await asyncio.sleep(0.01)

    await scene.ledgers[0].close()

    assert scene.shared.left(rule) == rule.burst - 1


async def test_who_waits_as_long_as_told_gets_through() -> None:
    scene, rule = Scene(1), rule_of(60)
    while (standing := await scene.request(rule)).is_allowed:
        pass

    scene.clock.at_s += standing.wait_s + 1e-3

    assert (await scene.request(rule)).is_allowed


async def test_while_nobody_keeps_the_buckets_each_process_keeps_to_its_part() -> None:
    scene, rule = Scene(2), Rule(600, 100)
    scene.shared.is_away = True

    passed = await scene.offer(rule, 30, 60)

    assert passed == pytest.approx(600 + 100, rel=0.02)
    assert b"api_rate_limits_shared 0.0" in scene.meter.render()

    scene.shared.is_away = False
    for ledger in scene.ledgers:
        await ledger.sweep()
    assert b"api_rate_limits_shared 1.0" in scene.meter.render()


@pytest.mark.parametrize("is_leased", [True, False])
async def test_failures_are_charged_also_where_nothing_is_left(is_leased: bool) -> None:
    scene, rule = Scene(1), rule_of(60)
    ledger = scene.ledgers[0] if is_leased else LocalLedger(scene.clock)  # type: ignore[arg-type]
    charged = 0
    while charged < 1_000 and ledger.look(KEY, rule).is_allowed:
        ledger.charge(KEY, rule)
        charged += 1
        await ledger.settled(KEY, rule)

    assert rule.burst <= charged <= rule.burst + 2
    assert ledger.look(KEY, rule).wait_s > 0
    scene.clock.at_s += 30
    assert ledger.look(KEY, rule).is_allowed


def test_buckets_are_bounded() -> None:
    buckets, rule = Buckets(most=100), rule_of(60)

    for number in range(1_000):
        buckets.take(number, rule, 0.0)
        assert len(buckets) <= 100

    assert buckets.take(999, rule, 0.0, want=0).remaining == rule.burst - 1


def test_an_error_says_which_limit() -> None:
    error = RateLimitedError("requests a minute with this API key", 60, 1.0, 10.0, "key")

    assert "60 requests a minute with this API key" in str(error)
