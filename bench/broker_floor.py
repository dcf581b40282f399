"""Speed and memory of the in-memory broker by itself: `python bench/broker_floor.py [--tasks 1000000]`.

Prints microseconds of CPU for each task and bytes for each waiting task (growth of the resident set).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import time
from typing import TYPE_CHECKING

import psutil

from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.ports.broker import Entry, LaneRules, Release
from llm_scheduler.ports.strategy import PlacementContext
from llm_scheduler.scheduling.strategies.registry import find

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LANE = ModelId(1)
ME = SessionId(7)
BATCH = 1_000
CLAIMS = 64
START = 1_790_000_000_000


class SystemClock:
    def now(self) -> Millis:
        return Millis(time.time_ns() // 1_000_000)

    def monotonic_s(self) -> float:
        return time.monotonic()


def entries(first: int, count: int, tenants: int, strategy_name: str) -> list[Entry]:
    """Tasks as the record gives them: each number is an object of its own."""
    draw = random.Random(first)
    strategy = find(strategy_name)
    made: list[Entry] = []
    for number in range(first, first + count):
        task = WaitingTask(
            task_id=TaskId(1_000_000 + number),
            model_id=LANE,
            tenant_id=TenantId(1 + draw.randrange(tenants)),
            type="chat",
            priority=draw.choice((0, 5, 9)),
            attempt=0,
            est_tokens=draw.randrange(300, 5_000),
            queued_at=Millis(START + number),
            deadline_at=None,
        )
        made.append(
            Entry(
                task.task_id,
                LANE,
                task.tenant_id,
                0,
                task.est_tokens,
                task.queued_at,
                strategy.place(task, PlacementContext(1.0)),
            )
        )
    return made


def batches(count: int, tenants: int, strategy_name: str) -> Iterator[list[Entry]]:
    for first in range(0, count, BATCH):
        yield entries(first, min(BATCH, count - first), tenants, strategy_name)


async def fill(broker: MemoryBroker, count: int, tenants: int, strategy_name: str) -> float:
    """CPU seconds inside `enqueue`."""
    spent = 0.0
    for batch in batches(count, tenants, strategy_name):
        begun = time.process_time()
        await broker.enqueue(batch)
        spent += time.process_time() - begun
    return spent


async def drain(broker: MemoryBroker, count: int) -> float:
    """CPU seconds for claiming and releasing so many tasks, in batches."""
    lanes: Sequence[ModelId] = (LANE,)
    begun = time.process_time()
    done = 0
    while done < count:
        claims = (await broker.claim(ME, lanes, CLAIMS)).claims
        if not claims:
            break
        await broker.release([Release(claim, claim.tokens, None, True) for claim in claims])
        done += len(claims)
    assert done >= count, (done, count)
    return time.process_time() - begun


def lane(strategy_name: str) -> LaneRules:
    return LaneRules(LANE, max_workers=1_000, share_rule=find(strategy_name).share_rule)


async def small(strategy_name: str, tenants: int) -> float:
    """Microseconds a task when 1 000 wait, over 64 000 tasks."""
    broker = MemoryBroker(SystemClock())
    await broker.set_rules([lane(strategy_name)])
    spent = 0.0
    for _ in range(64):
        await fill(broker, 1_000, tenants, strategy_name)
        spent += await drain(broker, 1_000)
    return spent / 64_000 * 1e6


async def measure(count: int, tenants: int, strategy_name: str) -> None:
    broker = MemoryBroker(SystemClock())
    await broker.set_rules([lane(strategy_name)])
    small_us = await small(strategy_name, tenants)
    gc.collect()
    before = psutil.Process().memory_info().rss
    filled_s = await fill(broker, count, tenants, strategy_name)
    gc.collect()
    grown = psutil.Process().memory_info().rss - before
    first_s = await drain(broker, 64 * 1_000)
    rest_s = await drain(broker, count - 64 * 1_000 - CLAIMS)
    full_us = first_s / 64_000 * 1e6
    print(
        f"{strategy_name:9} {tenants:5} tenants {count:9,} waiting | enqueue {filled_s / count * 1e6:5.2f} µs"
        f" | claim+release {full_us:5.2f} µs (1 000 waiting: {small_us:5.2f} µs, speed x{small_us / full_us:4.2f})"
        f" | whole drain {rest_s / (count - 64_000) * 1e6:5.2f} µs | {grown / count:4.0f} bytes each"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--strategy", default="fair")
    chosen = parser.parse_args()
    asyncio.run(measure(chosen.tasks, chosen.tenants, chosen.strategy))


if __name__ == "__main__":
    main()
