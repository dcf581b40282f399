"""A broker with a still clock, and short words for what tests do with it.

Every implementation is made by one entry of FACTORIES; the tests never look inside.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from tests.rig.shared import empty_redis

from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.brokers.redis.broker import RedisBroker
from llm_scheduler.brokers.redis.connection import open_client
from llm_scheduler.domain.errors import BrokerUnavailableError
from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.ports.broker import Claim, Entry, LaneDepth, LaneRules, Release

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from llm_scheduler.ports.broker import Broker, GateRules, GateState, Slot
    from llm_scheduler.ports.clock import Clock

LANE: Final = ModelId(1)
OTHER: Final = ModelId(2)
ME: Final = SessionId(7)
START: Final = 1_790_000_000_000


async def _memory(clock: Clock) -> Broker:
    return MemoryBroker(clock)


async def _redis(clock: Clock) -> Broker:
    """Of three shards, so that lanes live apart; opened as after its first rebuild."""
    broker = RedisBroker(open_client(empty_redis().url), clock, shards=3)
    try:
        token = await _rebuilding(broker)
        assert await broker.finish_rebuild(token)
    except BaseException:
        await broker.close()
        raise
    return broker


async def _rebuilding(broker: RedisBroker) -> str:
    """The token; a machine that stood still for half a second is asked again."""
    for _ in range(20):
        with contextlib.suppress(BrokerUnavailableError):
            token = await broker.begin_rebuild(is_forced=True)
            if token is not None:
                return token
        await asyncio.sleep(0.25)
    raise AssertionError("Redis does not answer")


FACTORIES: Final[Mapping[str, Callable[[Clock], Awaitable[Broker]]]] = {"memory": _memory, "redis": _redis}


class StillClock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self._us = 0
        self._wall_ms = START

    def now(self) -> Millis:
        return Millis(self._wall_ms)

    def monotonic_s(self) -> float:
        return (1_000_000_000 + self._us) / 1_000_000

    def advance_ms(self, ms: int) -> None:
        self._us += ms * 1_000
        self._wall_ms += ms

    def set_wall_clock_ahead_ms(self, ms: int) -> None:
        self._wall_ms += ms

    @property
    def elapsed_ms(self) -> int:
        return self._us // 1_000


def task(
    number: int,
    *,
    lane: ModelId = LANE,
    tenant: int = 1,
    band: int = 5,
    tokens: int = 100,
    order: int | None = None,
    queued_at: int | None = None,
    weight: float = 1.0,
    attempt: int = 0,
    output: int = 0,
) -> Entry:
    """A waiting task; by default its order is its number."""
    at = START + number if queued_at is None else queued_at
    placement = Placement(band, tenant, weight, max(1, tokens), number if order is None else order)
    return Entry(TaskId(number), lane, TenantId(tenant), attempt, tokens, Millis(at), placement, output)


def rules(
    *,
    lane: ModelId = LANE,
    max_workers: int = 1_000,
    rpm: int | None = None,
    tpm: int | None = None,
    is_paused: bool = False,
    share_rule: ShareRule = ShareRule.VIRTUAL_TIME,
    starve_after_ms: int | None = None,
    gates: Sequence[GateRules] = (),
) -> LaneRules:
    """Rules that forbid nothing unless told to."""
    return LaneRules(lane, max_workers, rpm, tpm, is_paused, share_rule, starve_after_ms, gates=tuple(gates))


class Told(NamedTuple):
    """What may start, and how long to wait else."""

    claims: tuple[Claim, ...]
    wait_ms: int | None


class Scene:
    """One broker and its time."""

    def __init__(self, broker: Broker, clock: StillClock) -> None:
        self.broker = broker
        self.clock = clock

    async def open(self, *all_rules: LaneRules) -> None:
        await self.broker.set_rules(all_rules or (rules(),))

    async def enqueue(self, *entries: Entry) -> None:
        await self.broker.enqueue(entries)

    async def ask(self, want: int = 1, *lanes: ModelId) -> Told:
        answer = await self.broker.claim(ME, lanes or (LANE,), want)
        return Told(answer.claims, answer.wait_ms)

    async def claim(self, want: int = 1, *lanes: ModelId) -> list[Claim]:
        return list((await self.ask(want, *lanes)).claims)

    async def ids(self, want: int = 1, *lanes: ModelId) -> list[int]:
        return [one.task_id for one in await self.claim(want, *lanes)]

    async def done(self, *claims: Claim, used_tokens: int | None = None) -> None:
        await self.broker.release([Release(one, used_tokens, None, True) for one in claims])

    async def failed(self, *claims: Claim) -> None:
        await self.broker.release([Release(one, is_failure=True) for one in claims])

    async def gates(self, want: int = 1) -> list[str | None]:
        """Where the next so many go."""
        return [one.endpoint for one in await self.claim(want)]

    async def gate(self, name: str | None = None) -> GateState:
        state = await self.broker.state(LANE)
        return next(one for one in state.gates if one.endpoint == name)

    async def slots(self, lane: ModelId | None = None) -> list[Slot]:
        return sorted(await self.broker.slots(lane))

    async def depth(self, lane: ModelId = LANE) -> LaneDepth:
        return next((one for one in await self.broker.depths() if one.lane == lane), LaneDepth(lane, 0, 0, (), None))


@pytest.fixture(params=sorted(FACTORIES))
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """A fresh broker of each kind."""
    clock = StillClock()
    broker = await FACTORIES[request.param](clock)
    yield Scene(broker, clock)
    await broker.close()
