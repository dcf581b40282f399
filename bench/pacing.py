"""Pacing by response headers against simulated strict providers, on a virtual clock.

    python -m bench.pacing [--minutes 30] [--seed 1] [--only NAME,...]

The broker, the parser's values, the formula and the pacer are the very ones of the server; the provider, the
network and time are simulated. Work always waits. Lengths are those of `bench/traces` (Azure 2023).

Utilisation is what we were granted of the binding limit after minute 5, as a share of what others left of it; the
share of 429s is among all our calls, from the start on.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gzip
import heapq
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from itertools import count, cycle
from pathlib import Path
from typing import Any, NamedTuple

from tests.stubs.quotas import Bucket, FixedWindow, ProviderQuota, SlidingWindow

from bench import rig
from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, SessionId, TaskId
from llm_scheduler.domain.model import Model, ModelOptions, Pacing
from llm_scheduler.domain.placement import Placement
from llm_scheduler.ports.broker import Claim, Entry, LaneRules, Release, Unit
from llm_scheduler.ports.provider import Allowance, Fault, ProviderError, Quota
from llm_scheduler.services.pacing import Pacer
from llm_scheduler.telemetry.prometheus import PrometheusMeter

RPM, TPM = 600, 600_000
MAX_TOKENS = 1_024
WARM_S = 300.0
AT_ONCE = 400
WAITING = 500
TTFT_S, PER_TOKEN_S = 0.4, 0.02
OTHERS_SHARE, OTHERS_TURN_S = 0.3, 60.0
LANE, ME = ModelId(1), SessionId(1)


@dataclass(frozen=True)
class Case:
    """One provider and what we believe of it."""

    name: str
    make: Callable[[int], ProviderQuota]
    charges_most: bool = False
    """Takes `max_tokens` for the output, whatever comes out."""
    has_others: bool = False
    says: str = "limit remaining reset"
    configured: float = 1.0
    """Our limits as a multiple of the true ones."""
    make_requests: Callable[[int], ProviderQuota] | None = None
    pacing: Pacing = Pacing.HEADERS
    goal: tuple[float, float] | None = (0.98, 0.005)

    def quotas(self) -> dict[Unit, ProviderQuota]:
        return {Unit.REQUESTS: (self.make_requests or self.make)(RPM), Unit.TOKENS: self.make(TPM)}


def _short(limit: int) -> Bucket:
    return Bucket(limit, depth_s=6)


def _ten_seconds(limit: int) -> FixedWindow:
    return FixedWindow(limit, span_s=10)


ALONE, SHARED = (0.98, 0.005), (0.98, 0.02)
BASE = Case("bucket 60 s, charges max_tokens", Bucket, charges_most=True)
CASES: tuple[Case, ...] = (
    BASE,
    replace(BASE, name="  and another user", has_others=True, goal=SHARED),
    Case("bucket 60 s, charges actual tokens", Bucket),
    Case("  and another user", Bucket, has_others=True, goal=SHARED),
    Case("bucket 6 s", _short),
    Case("  and another user", _short, has_others=True, goal=SHARED),
    Case("Azure-like windows", FixedWindow, says="remaining", make_requests=_ten_seconds),
    Case("windows of a fixed minute, with reset", FixedWindow),
    Case("true windows of 60 s", SlidingWindow),
    Case("  and another user", SlidingWindow, has_others=True, goal=SHARED),
    replace(BASE, name="bucket 60 s, configured 2x too high", configured=2.0),
    replace(BASE, name="bucket 60 s, configured 2x too low", configured=0.5),
    replace(BASE, name="  too high and another user", configured=2.0, has_others=True, goal=SHARED),
    replace(BASE, name="  too low and another user", configured=0.5, has_others=True, goal=SHARED),
    Case("true windows, configured 2x too high", SlidingWindow, configured=2.0),
    Case("true windows, configured 2x too low", SlidingWindow, configured=0.5),
    Case("Azure-like, configured 2x too high", FixedWindow, False, False, "remaining", 2.0, _ten_seconds),
    Case("Azure-like, configured 2x too low", FixedWindow, False, False, "remaining", 0.5, _ten_seconds),
    replace(BASE, name="without any headers", says="", charges_most=False, goal=None),
    replace(BASE, name="pacing: configured, 2x too low", configured=0.5, pacing=Pacing.CONFIGURED, goal=None),
)


class Length(NamedTuple):
    prompt: int
    output: int


def lengths() -> list[Length]:
    path = Path(__file__).parent / "traces" / "azure2023_first30min.csv.gz"
    with gzip.open(path, "rt") as lines:
        return [Length(int(row["in_tokens"]), min(MAX_TOKENS, int(row["out_tokens"]))) for row in csv.DictReader(lines)]


class VirtualClock:
    """Time that jumps from event to event."""

    def __init__(self) -> None:
        self.s = 0.0

    def now(self) -> Millis:
        return Millis(1_790_000_000_000 + round(self.s * 1000))

    def monotonic_s(self) -> float:
        return self.s


@dataclass
class Tally:
    """What the provider granted and refused."""

    calls: int = 0
    refused: int = 0
    ours: dict[Unit, float] = field(default_factory=lambda: dict.fromkeys(Unit, 0.0))
    others: dict[Unit, float] = field(default_factory=lambda: dict.fromkeys(Unit, 0.0))


class World:
    """One run: our side and the provider's on one clock."""

    def __init__(self, case: Case, works: list[Length], seed: int, broker: Callable[[VirtualClock], Any]) -> None:
        self.case, self.clock, self.rng = case, VirtualClock(), random.Random(seed)
        self.broker = broker(self.clock)
        self.quotas = case.quotas()
        self.tally = Tally()
        rpm, tpm = (round(limit * case.configured) for limit in (RPM, TPM))
        self.model = Model(
            LANE, DEFAULT_TENANT, "m", "openai", {}, rpm=rpm, tpm=tpm, options=ModelOptions(pacing=case.pacing)
        )
        self.pacer = Pacer(self.broker, self.clock, PrometheusMeter(self.clock.monotonic_s), self.rng)
        self._works = cycle(works)
        self._mean = sum(one.output for one in works) / len(works)
        self._mean_cost = sum(self._charge(one) for one in works) / len(works)
        self._lengths: dict[TaskId, Length] = {}
        self._ids = count(1)
        self._events: list[tuple[float, int, Callable[[], Coroutine[Any, Any, None]]]] = []
        self._order = count()
        self._asked_for_s = float("inf")

    async def run(self, seconds: float) -> Tally:
        await self.broker.set_rules([LaneRules(LANE, AT_ONCE, self.model.rpm, self.model.tpm)])
        if self.case.has_others:
            self._at(0.0, self._others_call)
        self._ask_at(0.0)
        while self._events and self._events[0][0] < seconds:
            self.clock.s, _, act = heapq.heappop(self._events)
            await act()
        return self.tally

    def _at(self, at_s: float, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        heapq.heappush(self._events, (at_s, next(self._order), act))

    def _ask_at(self, at_s: float) -> None:
        if at_s < self._asked_for_s:
            self._asked_for_s = at_s
            self._at(at_s, lambda: self._claim(at_s))

    async def _claim(self, due_s: float) -> None:
        if due_s != self._asked_for_s:
            return  # an earlier one was asked for meanwhile
        self._asked_for_s = float("inf")
        missing = WAITING - self.broker.waiting(LANE)
        await self.broker.enqueue([self._entry() for _ in range(missing)])
        answer = await self.broker.claim(ME, [LANE], AT_ONCE)
        for claim in answer.claims:
            sent_at_s = self.pacer.started(claim)
            self._at(
                self.clock.s + self.rng.uniform(0.005, 0.03),
                lambda claim=claim, sent_at_s=sent_at_s: self._arrive(claim, sent_at_s),
            )
        self._ask_at(self.clock.s + min(1_000, answer.wait_ms or 1_000) / 1000)

    def _entry(self) -> Entry:
        task_id, work = TaskId(next(self._ids)), next(self._works)
        self._lengths[task_id] = work
        output = round(self._mean)
        tokens = round(work.prompt * self.rng.uniform(0.85, 1.15)) + output
        placement = Placement(5, 1, 1.0, tokens, task_id)
        return Entry(task_id, LANE, DEFAULT_TENANT, 0, tokens, self.clock.now(), placement, output)

    def _charge(self, work: Length) -> int:
        return work.prompt + (MAX_TOKENS if self.case.charges_most else work.output)

    def _admit(self, amounts: Mapping[Unit, float]) -> float | None:
        """None if let in, else how long the provider asks to wait."""
        now_s, quotas = self.clock.s, self.quotas
        short = [unit for unit, amount in amounts.items() if not quotas[unit].has_room(now_s, amount)]
        if short:
            return max(quotas[unit].wait_s(now_s, amounts[unit]) for unit in short)
        for unit, amount in amounts.items():
            quotas[unit].add(now_s, amount)
        return None

    def _count(self, into: dict[Unit, float], amounts: Mapping[Unit, float]) -> None:
        if self.clock.s >= WARM_S:
            for unit, amount in amounts.items():
                into[unit] += amount

    async def _arrive(self, claim: Claim, sent_at_s: float) -> None:
        work = self._lengths[claim.task_id]
        amounts = {Unit.REQUESTS: 1, Unit.TOKENS: self._charge(work)}
        wait_s = self._admit(amounts)
        self.tally.calls += 1
        allowance = self._allowance()
        if wait_s is None:
            self._count(self.tally.ours, amounts)
            took_s = TTFT_S * self.rng.uniform(0.5, 1.5) + PER_TOKEN_S * work.output
            self._at(self.clock.s + took_s, lambda: self._answered(claim, work, allowance, sent_at_s))
            return
        self.tally.refused += 1
        error = ProviderError(
            "rate_limited", "", is_retryable=True, fault=Fault.LIMIT, retry_after_s=wait_s, allowance=allowance
        )
        self._at(self.clock.s + 0.02, lambda: self._refused(claim, error, sent_at_s))

    def _allowance(self) -> Allowance:
        says = self.case.says
        told: dict[Unit, Quota] = {}
        for unit, quota in self.quotas.items() if says else ():
            limit, remaining, reset_s = quota.said(self.clock.s)
            told[unit] = Quota(limit if "limit" in says else None, remaining, reset_s if "reset" in says else None)
        return told

    async def _answered(self, claim: Claim, work: Length, allowance: Allowance, sent_at_s: float) -> None:
        del self._lengths[claim.task_id]
        await self.pacer.answered(self.model, claim, allowance, sent_at_s)
        await self.broker.release([Release(claim, work.prompt + work.output, None, True, work.output)])
        self._ask_at(self.clock.s)

    async def _refused(self, claim: Claim, error: ProviderError, sent_at_s: float) -> None:
        await self.pacer.refused(self.model, claim, error, sent_at_s)
        placement = Placement(5, 1, 1.0, claim.tokens, claim.task_id)
        back = Entry(
            claim.task_id, LANE, claim.tenant_id, claim.attempt + 1, claim.tokens, self.clock.now(), placement,
            claim.output_tokens,
        )  # fmt: skip
        await self.broker.release([Release(claim, 0, back)])
        self._ask_at(self.clock.s)

    async def _others_call(self) -> None:
        """Another user of the same limits: 30 % of the binding one, on and off."""
        per_s = OTHERS_SHARE * min(RPM, TPM / self._mean_cost) / 60
        is_on = int(self.clock.s / OTHERS_TURN_S) % 2 == 0
        if is_on:
            amounts = {Unit.REQUESTS: 1, Unit.TOKENS: self._mean_cost}
            if self._admit(amounts) is None:
                self._count(self.tally.others, amounts)
        self._at(self.clock.s + self.rng.expovariate(per_s), self._others_call)

    def utilisation(self, seconds: float) -> float:
        """Of the limit that binds."""
        minutes = (seconds - WARM_S) / 60
        limits = {Unit.REQUESTS: RPM, Unit.TOKENS: TPM}
        tally = self.tally
        return max(tally.ours[unit] / (limit * minutes - tally.others[unit]) for unit, limit in limits.items())


async def measure(case: Case, works: list[Length], seconds: float, seed: int) -> tuple[float, float]:
    """Utilisation and the share of 429s."""
    world = World(case, works, seed, MemoryBroker)
    tally = await world.run(seconds)
    return world.utilisation(seconds), tally.refused / tally.calls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="parts of names, with commas")
    chosen = parser.parse_args()
    works, missed = lengths(), 0
    print(rig.machine())
    for case in CASES:
        if chosen.only and not any(part in case.name for part in chosen.only.split(",")):
            continue
        used, refused = asyncio.run(measure(case, works, chosen.minutes * 60, chosen.seed))
        figures = f"{used:.1%} / {refused:.2%}"
        if case.goal is None:
            print(f"{case.name:<58} {figures:>18}")
            continue
        is_reached = used >= case.goal[0] and refused <= case.goal[1]
        missed += not is_reached
        rig.verdict(case.name, figures, f">= {case.goal[0]:.0%}, <= {case.goal[1]:.1%}", is_reached)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
