"""The Redis broker: what a claim costs the server, what a waiting task occupies, how fast an empty index is filled.

Server time is what Redis itself counts for the scripts (`INFO commandstats`), so neither the client nor the other
work of this machine is in it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING

from redis.asyncio import Redis as PlainRedis
from tests.rig.redis import Redis

from llm_scheduler.brokers.redis.broker import RedisBroker
from llm_scheduler.brokers.redis.connection import open_client
from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
from llm_scheduler.domain.placement import Placement
from llm_scheduler.ports.broker import Entry, LaneRules, Release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.ports.broker import ClaimAnswer

QUEUED = 100_000
TENANTS = 200
CLAIMED = 20_000
CALLS = 20
LANE = ModelId(1)
ME = SessionId(7)
START = 1_790_000_000_000


def entries(queued: int) -> list[Entry]:
    """Of 200 tenants in three bands, as the fair strategy places them."""
    return [
        Entry(
            TaskId(1_000_000 + number),
            LANE,
            TenantId(1 + number * 7 % TENANTS),
            0,
            500,
            Millis(START + number),
            Placement(number % 3, 1 + number * 7 % TENANTS, 1.0, 500, START + number),
        )
        for number in range(queued)
    ]


class Meter:
    """Server time of the scripts between two looks."""

    def __init__(self, plain: PlainRedis) -> None:
        self._plain = plain

    async def used_us(self) -> int:
        """Microseconds in EVALSHA and EVAL so far."""
        stats = await self._plain.info("commandstats")
        return sum(stats[name]["usec"] for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats)

    async def memory(self) -> int:
        """Bytes in use."""
        return (await self._plain.info("memory"))["used_memory"]


async def fill(broker: RedisBroker, waiting: Sequence[Entry]) -> float:
    """Seconds from an empty Redis to the first claim."""
    began = time.perf_counter()
    token = await broker.begin_rebuild()
    assert token is not None
    for start in range(0, len(waiting), 5_000):
        await broker.reconcile(waiting[start : start + 5_000], (), ())
    assert await broker.finish_rebuild(token)
    return time.perf_counter() - began


async def drained(broker: RedisBroker, meter: Meter, want: int, tasks: int) -> tuple[str, str]:
    """Server microseconds of a claim's script for each task, and of its release's."""
    claim_us: list[float] = []
    release_us: list[float] = []
    for _ in range(tasks // (CALLS * want)):
        before = await meter.used_us()
        answers: list[ClaimAnswer] = [await broker.claim(ME, (LANE,), want) for _ in range(CALLS)]
        between = await meter.used_us()
        claims = [one for answer in answers for one in answer.claims]
        assert len(claims) == CALLS * want
        for answer in answers:
            await broker.release([Release(one, 400, None, True) for one in answer.claims])
        claim_us.append((between - before) / len(claims))
        release_us.append((await meter.used_us() - between) / len(claims))
    return shown(claim_us), shown(release_us)


def shown(groups_us: list[float]) -> str:
    """Over groups of calls: the median, and the best quarter, in which other work has interrupted the server least."""
    best, middle, _ = quantiles(groups_us, n=4)
    return f"{middle:.1f} us (best quarter {best:.1f})"


async def measure(server: Redis, queued: int, claimed: int, rules: LaneRules) -> None:
    """Print the figures for these rules."""
    plain = PlainRedis(port=server.port)
    meter = Meter(plain)
    broker = RedisBroker(open_client(server.url))
    await plain.flushall()
    await broker.set_rules([rules])
    waiting = entries(queued)
    empty = await meter.memory()
    before = await meter.used_us()
    took_s = await fill(broker, waiting)
    server_s = (await meter.used_us() - before) / 1_000_000
    each = (await meter.memory() - empty) / queued
    print(
        f"  reconcile {queued:,} into an empty Redis: {took_s:.2f} s, {server_s:.2f} s of it Redis; {each:.0f} B a task"
    )
    for want in (1, 16):
        claim_us, release_us = await drained(broker, meter, want, claimed)
        print(f"  claim({want}): {claim_us} of server time a task; release: {release_us}")
    await broker.close()
    await plain.aclose()


async def main(queued: int, claimed: int) -> None:
    """Without and with limits."""
    with tempfile.TemporaryDirectory() as folder:
        server = Redis(Path(folder))
        server.start()
        try:
            print("concurrency only, fair, 200 tenants, 3 bands")
            await measure(server, queued, claimed, LaneRules(LANE, 10_000))
            print("the same with RPM and TPM")
            await measure(server, queued, claimed, LaneRules(LANE, 10_000, 600_000_000, 600_000_000_000))
        finally:
            server.close()


if __name__ == "__main__":
    arguments = [int(one) for one in sys.argv[1:]]
    asyncio.run(main(*arguments or (QUEUED, CLAIMED)))
