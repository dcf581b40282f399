"""How long calls took lately, and what that says of a wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.store_scene import StillClock

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT, EPOCH, Millis, ModelId, SessionId, TaskId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.ports.broker import Hold, LaneDepth, LaneState, Slot
from llm_scheduler.providers.kinds import KINDS
from llm_scheduler.services.call_times import CallTimes
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.services.explain import Explaining

if TYPE_CHECKING:
    from collections.abc import Sequence

LANE = ModelId(7)
MIXED = [1_000] * 45 + [100_000] * 5


class Record:
    """Says how long calls took, unless it is away."""

    def __init__(self, times_ms: Sequence[int] = ()) -> None:
        self.times_ms, self.asked, self.is_away = times_ms, 0, False

    async def call_times(self, _since: Millis, limit: int) -> Sequence[tuple[ModelId, int]]:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailableError("away")
        return [(LANE, one) for one in self.times_ms][:limit]


class Full:
    """A lane of which every slot is taken, and in which work for so many seconds waits."""

    def __init__(self, claimed_at: Sequence[Millis], backlog_ms: float) -> None:
        self.slots_taken = [
            Slot(TaskId(number), LANE, DEFAULT_TENANT, SessionId(1), 0, at) for number, at in enumerate(claimed_at)
        ]
        self.depth = LaneDepth(LANE, 5, len(claimed_at), ((0, 5),), EPOCH, ((0, backlog_ms),))

    async def slots(self, _lane: ModelId | None = None) -> Sequence[Slot]:
        return self.slots_taken

    async def depths(self) -> Sequence[LaneDepth]:
        return [self.depth]

    async def state(self, lane: ModelId) -> LaneState:
        return LaneState(lane, holds=(Hold("concurrency", None),), gates=())


async def test_many_askers_are_one_look_and_a_later_one_looks_again() -> None:
    clock, record = StillClock(), Record(MIXED)
    times = CallTimes(record, clock)  # type: ignore[arg-type]

    assert (await times.of(LANE)).left_s(50) == pytest.approx(50)
    assert (await times.of(ModelId(8))).left_s(0) == 0
    assert record.asked == 1

    record.times_ms = [10_000] * 50
    clock.pass_s(31)
    assert (await times.of(LANE)).left_s(0) == pytest.approx(10)
    assert record.asked == 2


async def test_while_the_record_is_away_what_was_known_holds_and_it_is_not_asked_at_every_turn() -> None:
    clock, record = StillClock(), Record(MIXED)
    times = CallTimes(record, clock)  # type: ignore[arg-type]
    await times.of(LANE)
    record.is_away = True
    clock.pass_s(31)

    for _ in range(3):
        assert (await times.of(LANE)).left_s(50) == pytest.approx(50)
    assert record.asked == 2


async def test_a_lane_that_runs_old_calls_of_a_mixed_kind_lets_a_newcomer_wait_longer() -> None:
    """Those that outran the short kind are of the long one."""
    clock = StillClock()
    catalogue = Catalogue(KINDS, "fifo")
    model = Model(LANE, DEFAULT_TENANT, "m", "scripted", {}, created_at=EPOCH, updated_at=EPOCH)
    catalogue.put(model)

    async def likely_s(age_s: float) -> float:
        at = Millis(clock.now() - round(age_s * 1000))
        stubs: tuple[Any, Any] = Record(MIXED), Full([at] * 4, 60_000)
        explaining = Explaining(*stubs, catalogue, clock, lambda *_: 0.0, lambda _: 10.0)
        task = WaitingTask(TaskId(9), LANE, DEFAULT_TENANT, "chat", 5, 0, 100, clock.now(), deadline_at=None)
        return (await explaining.expected(model, task)).likely_s

    assert await likely_s(0.1) < 62 < await likely_s(5)
