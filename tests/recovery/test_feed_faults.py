"""Live news between two processes over a real Redis: cut off, restored, flooded."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.inside import until
from tests.rig.redis import Redis

from llm_scheduler.brokers.redis.channel import RedisChannel
from llm_scheduler.brokers.redis.connection import open_client
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.feed import Missed, TaskChanged, TaskDelta
from llm_scheduler.relay.live import LocalFeed
from llm_scheduler.relay.shared_feed import SharedFeed
from llm_scheduler.telemetry.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from llm_scheduler.ports.feed import News

ONE = TaskId(1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    running = Redis(tmp_path)
    running.start()
    yield running
    running.close()


class Process:
    """A feed with a connection of its own."""

    def __init__(self, server: Redis) -> None:
        self.client = open_client(server.url)
        self.channel = RedisChannel(self.client, "t:")
        self.feed = SharedFeed(LocalFeed(), self.channel, SystemClock())

    @property
    def is_up(self) -> bool:
        return self.channel.is_hearing and self.channel.is_sending


@asynccontextmanager
async def processes(server: Redis) -> AsyncIterator[tuple[Process, Process]]:
    async with AsyncExitStack() as stack:
        made = Process(server), Process(server)
        for process in made:
            stack.push_async_callback(process.client.aclose)
            await process.channel.open()
            stack.push_async_callback(process.channel.close)
            await process.feed.open()
            stack.push_async_callback(process.feed.close)
        await until(lambda: all(process.is_up for process in made), "all lines stand")
        yield made


def changed(attempt: int, task_id: TaskId = ONE) -> TaskChanged:
    return TaskChanged(task_id, DEFAULT_TENANT, ModelId(1), Status.RUNNING, attempt, Millis(1))


class Reading:
    """Collects what a watcher is given."""

    def __init__(self, news: AsyncIterator[News]) -> None:
        self.got: list[News] = []
        self._task = asyncio.create_task(self._read(news))

    async def _read(self, news: AsyncIterator[News]) -> None:
        async for one in news:
            self.got.append(one)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def reading(process: Process, task_id: TaskId | None = ONE) -> AsyncIterator[list[News]]:
    async with process.feed.watch(task_id) as news:
        made = Reading(news)
        try:
            yield made.got
        finally:
            await made.end()


async def heard(worker: Process, got: list[News]) -> None:
    """Return once what the worker says arrives."""
    number = 0

    def is_heard() -> bool:
        nonlocal number
        number += 1
        worker.feed.publish(changed(1_000_000 + number))
        return any(isinstance(one, TaskChanged) for one in got)

    await until(is_heard, "changes arrive")


async def test_text_and_changes_arrive_in_order(server: Redis) -> None:
    """Changes before and after the text of an attempt."""
    async with processes(server) as (here, worker), reading(here) as got:
        await until(lambda: worker.feed.has_watchers(ONE), "the reader is announced")
        await heard(worker, got)
        said: list[News] = []
        for number in range(300):
            said.append(TaskDelta(ONE, DEFAULT_TENANT, 1, f"piece {number}"))
            if number % 7 == 0:
                said.append(changed(number))
        for one in said:
            assert not isinstance(one, Missed)
            worker.feed.publish(one)

        await until(lambda: got[-len(said) :] == said, "all came in order")


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_after_redis_was_away_the_watcher_is_told_and_text_flows_again(server: Redis, fault: str) -> None:
    """And while it is away publishing costs nobody anything."""
    async with processes(server) as (here, worker), reading(here) as got:
        await heard(worker, got)
        server.kill() if fault == "kill" else server.process.freeze()
        await until(lambda: not here.channel.is_hearing and not worker.channel.is_sending, "it is noticed", 6)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for number in range(5_000):
            worker.feed.publish(changed(number))
        assert loop.time() - began_s < 1.0
        await asyncio.sleep(0.3)
        got.clear()
        server.start() if fault == "kill" else server.process.thaw()

        await until(lambda: any(isinstance(one, Missed) for one in got), "the gap is told", 10)
        await until(lambda: worker.feed.has_watchers(ONE), "the reader is announced anew", 10)

        def is_read() -> bool:
            worker.feed.publish(TaskDelta(ONE, DEFAULT_TENANT, 1, "again"))
            return any(isinstance(one, TaskDelta) for one in got)

        await until(is_read, "text flows again", 10)


async def test_a_flood_keeps_memory_bounded_and_a_slow_watcher_is_told(server: Redis) -> None:
    """Ten thousand changes a second for two seconds, and a watcher who reads nothing meanwhile."""
    async with processes(server) as (here, worker), here.feed.watch() as news, reading(here) as got:
        await heard(worker, got)
        tracemalloc.start()
        loop = asyncio.get_running_loop()
        began_s, said = loop.time(), 0
        while said < 20_000:
            due = min(20_000, int((loop.time() - began_s) * 10_000) + 100)
            while said < due:
                said += 1
                worker.feed.publish(changed(said, TaskId(2)))
            await asyncio.sleep(0.005)
        worker.feed.publish(changed(said))
        await until(lambda: bool(got) and got[-1] == changed(said), "the last one came", 20)
        grown = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        first = await anext(news)

        assert isinstance(first, Missed)
        assert first.dropped > 15_000
        assert grown < 8 * 1024 * 1024
        assert worker.channel.lost == 0
