"""One limit over two real API processes: together they let through what one would."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import httpx2
import pytest
from tests.cluster import Cluster, cluster
from tests.live import KEY, wait_until
from tests.rig.redis import Redis

from llm_scheduler.domain.rate import rule_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PER_MINUTE: Final = 1_200
SECONDS: Final = 24.0
OFFERED: Final = 3
"""Times the limit."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path / "redis")
    server.start()
    yield server
    server.close()


async def _offer(urls: list[str], seconds: float, per_s: float) -> tuple[Counter[int], float]:
    """Send so many requests a second to each in turn; the answers by status, and how long it took."""
    statuses: Counter[int] = Counter()
    limits = httpx2.Limits(max_connections=40)
    async with httpx2.AsyncClient(headers={"X-API-Key": KEY}, limits=limits, timeout=30) as http:

        async def one(url: str) -> None:
            statuses[(await http.get(f"{url}/api/v1/budgets")).status_code] += 1

        sent: set[asyncio.Task[None]] = set()
        began, number = time.monotonic(), 0
        while (elapsed_s := time.monotonic() - began) < seconds:
            while number < elapsed_s * per_s:
                task = asyncio.create_task(one(urls[number % len(urls)]))
                sent.add(task)
                task.add_done_callback(sent.discard)
                number += 1
            await asyncio.sleep(0.005)
        await asyncio.gather(*sent)
    return statuses, time.monotonic() - began


def test_two_processes_share_one_limit_to_within_two_per_cent(tmp_path: Path) -> None:
    """Three times the limit is offered to two processes, with all three servers real."""
    with cluster(tmp_path, apis=2, workers=0, rate_limit_address_rpm=str(PER_MINUTE)) as it:
        urls = [f"http://127.0.0.1:{api.port}" for api in it.apis]

        statuses, took_s = asyncio.run(_offer(urls, SECONDS, OFFERED * PER_MINUTE / 60))

        rule = rule_of(PER_MINUTE)
        expected = rule.burst + PER_MINUTE * took_s / 60
        passed = statuses[200]
        print(f"\n{statuses}: {passed} passed, {expected:.0f} expected, {passed / expected - 1:+.2%}")
        assert set(statuses) == {200, 429}
        assert statuses.total() > 2 * expected
        assert passed == pytest.approx(expected, rel=0.02)


def test_without_redis_each_process_keeps_to_its_part_and_says_so(tmp_path: Path, redis: Redis) -> None:
    with cluster(tmp_path, apis=2, workers=0, redis=redis, rate_limit_address_rpm=str(PER_MINUTE)) as it:

        def gauge(value: str, name: str = "api_rate_limits_shared") -> bool:
            metrics = [api.http.get("/metrics").text for api in it.apis]
            return all(f"\n{name} {value}" in text for text in metrics)

        wait_until("both know of each other", lambda: gauge("2.0", "sessions_alive"), 60, 0.5)
        assert gauge("1.0")
        redis.kill()
        try:
            wait_until("both say that they are alone", lambda: _asked(it) and gauge("0.0"), 60, 0.5)

            urls = [f"http://127.0.0.1:{api.port}" for api in it.apis]
            statuses, took_s = asyncio.run(_offer(urls, 8, OFFERED * PER_MINUTE / 60))
        finally:
            redis.start()

        rule = rule_of(PER_MINUTE)
        assert statuses[200] <= 1.1 * (rule.burst + PER_MINUTE * took_s / 60)
        assert statuses[200] >= 0.5 * PER_MINUTE * took_s / 60
        wait_until("both share again", lambda: gauge("1.0"), 60, 0.5)


def _asked(it: Cluster) -> bool:
    for api in it.apis:
        for _ in range(30):
            api.http.get("/api/v1/budgets")
    return True
