"""A model with two endpoints: one dies and comes back, one is drained, one has a bad key."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.inside import Inside, until
from tests.stubs.servers import StubServer, running, started

from llm_scheduler.app.installation import Installation
from llm_scheduler.app.keys import open_keys
from llm_scheduler.brokers.memory import MemoryBroker
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.model import Endpoint, Model
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.settings import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from llm_scheduler.domain.ids import Millis
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.services.endpoints import Health

FASTER = 10
WINDOW_S = 30.0
RETRY = RetryPolicy(max_retries=3, initial_delay_s=0.5, max_delay_s=1.0)


class FastClock:
    """Ten seconds a second, for what the broker measures."""

    def __init__(self, inner: Clock) -> None:
        self._inner = inner

    def now(self) -> Millis:
        return self._inner.now()

    def monotonic_s(self) -> float:
        return self._inner.monotonic_s() * FASTER


class Fast(Installation):
    """Its broker's pauses pass ten times as fast."""

    def _make_broker(self) -> MemoryBroker:
        return MemoryBroker(FastClock(self.clock))


@asynccontextmanager
async def inside(folder: Path) -> AsyncIterator[Inside]:
    chosen, _ = load({"data_dir": folder}, {})
    installation = Fast(chosen, open_keys(chosen))
    await installation.open()
    try:
        yield Inside(installation)
    finally:
        await installation.drain(0)
        await installation.close()


async def two_ways(it: Inside, a: StubServer, b: StubServer, **fields: Any) -> Model:
    ways = (Endpoint("a", {"base_url": a.base_url}, **fields), Endpoint("b", {"base_url": b.base_url}, **fields))
    return await it.add_model(kind="openai", max_workers=16, endpoints=ways, retry=RETRY)


async def health(it: Inside, name: str) -> Health:
    _, found = await it.installation.endpoints.list("m", DEFAULT_TENANT)
    return found[name]


async def is_(it: Inside, name: str, status: str) -> bool:
    return (await health(it, name)).status == status


async def has_calls(stub: StubServer, count: int) -> bool:
    return (await stub.stats())["calls"] >= count


class Feeder:
    """Keeps some tasks waiting until it is told to stop."""

    def __init__(self, it: Inside, model: Model) -> None:
        self._it, self._model = it, model
        self.ids: list[int] = []
        self._job = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            if self._it.broker.waiting() < 5:
                self.ids += await self._it.submit(self._model, 5)
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._job.cancel()
        await asyncio.gather(self._job, return_exceptions=True)

    async def ended(self) -> list[str]:
        """The statuses of all, once none is left."""
        statuses = [(await self._it.wait_for(task_id, "completed", "failed")).status for task_id in self.ids]
        return sorted(set(statuses))


@pytest.mark.timeout(120)
async def test_one_of_two_endpoints_dies_and_comes_back_and_no_task_fails(tmp_path: Path) -> None:
    """Refused connections, then 500s, then all is well: traffic moves within a breaker window, and returns."""
    async with running("tests.stubs.openai_stub") as b, inside(tmp_path) as it:
        with ExitStack() as first:
            a = await asyncio.to_thread(first.enter_context, started("tests.stubs.openai_stub"))
            feeder = Feeder(it, await two_ways(it, a, b, max_workers=2))
            await until(lambda: has_calls(a, 20), "calls go through a")
            await until(lambda: has_calls(b, 20), "calls go through b")
        clock = it.installation.clock
        died_s = clock.monotonic_s()
        await until(lambda: is_(it, "a", "open"), "the circuit of a is open")
        moved_in_s = (clock.monotonic_s() - died_s) * FASTER
        before = (await b.stats())["calls"]
        await until(lambda: has_calls(b, before + 20), "b takes over")

        with ExitStack() as second:
            a = await asyncio.to_thread(
                second.enter_context,
                started("tests.stubs.openai_stub", "--port", str(a.port), "--behaviour", "error:500"),
            )
            await until(lambda: has_calls(a, 1), "a probe goes to a")
            await until(lambda: is_(it, "a", "open"), "it failed: a is open still")
            assert (await a.stats())["calls"] <= 3
            await a.post("behaviour", behaviour="")
            await until(lambda: is_(it, "a", "ok"), "a is well again", 40)
            count = (await a.stats())["calls"]
            await until(lambda: has_calls(a, count + 20), "calls go through a again")
            await feeder.stop()
            statuses = await feeder.ended()

        assert moved_in_s <= WINDOW_S
        assert statuses == ["completed"]
        tried = [await it.store.attempts(task_id) for task_id in feeder.ids]  # type: ignore[arg-type]
        assert {one.endpoint for each in tried for one in each} == {"a", "b"}
        assert {one.endpoint for each in tried for one in each if one.outcome == "failed"} == {"a"}


@pytest.mark.timeout(60)
async def test_an_endpoint_is_drained_while_it_works_and_nothing_breaks(tmp_path: Path) -> None:
    """What runs through it ends in its first attempt; nothing more starts until it is resumed."""
    async with (
        running("tests.stubs.openai_stub", "--behaviour", "delay:0.3") as a,
        running("tests.stubs.openai_stub") as b,
        inside(tmp_path) as it,
    ):
        feeder = Feeder(it, await two_ways(it, a, b, max_workers=4))
        await until(lambda: has_calls(a, 4), "calls run through a")

        await it.installation.endpoints.drain("m", DEFAULT_TENANT, "a")
        drained = (await a.stats())["calls"]
        await until(lambda: _is_idle(it, "a"), "what ran through a has ended")
        before = (await b.stats())["calls"]
        await until(lambda: has_calls(b, before + 20), "b goes on")
        assert await is_(it, "a", "drained")
        assert (await a.stats())["calls"] <= drained + 4

        count = (await a.stats())["calls"]
        await it.installation.endpoints.resume("m", DEFAULT_TENANT, "a")
        await until(lambda: has_calls(a, count + 4), "a is back")
        await feeder.stop()

        assert await feeder.ended() == ["completed"]
        assert {(await it.task(task_id)).attempt for task_id in feeder.ids} == {1}


async def _is_idle(it: Inside, name: str) -> bool:
    return (await health(it, name)).running == 0


@pytest.mark.timeout(60)
async def test_a_bad_key_of_one_endpoint_costs_no_task_a_retry(tmp_path: Path) -> None:
    """The endpoint rests, and says so; the task keeps its place and goes through the other."""
    async with (
        running("tests.stubs.openai_stub", "--behaviour", "error:401") as a,
        running("tests.stubs.openai_stub") as b,
        inside(tmp_path) as it,
    ):
        model = await two_ways(it, a, b, max_workers=1)
        ids = await it.submit(model, 20, max_retries=0)
        tasks = [await it.wait_for(task_id, "completed", "failed") for task_id in ids]

        assert {task.status for task in tasks} == {"completed"}
        assert {task.failures for task in tasks} == {0}
        assert (await a.stats())["calls"] == 1
        assert await is_(it, "a", "throttled")
        [turned] = [task for task in tasks if task.attempt == 2]
        said = [line.message for line in await it.store.logs(turned.id)]
        assert any("endpoint 'a' refuses calls and rests for 300 s" in line for line in said)


@pytest.mark.timeout(60)
async def test_a_bad_key_everywhere_fails_the_task_as_with_one_endpoint(tmp_path: Path) -> None:
    """It does not go round in circles."""
    async with running("tests.stubs.openai_stub", "--behaviour", "error:401") as a, inside(tmp_path) as it:
        model = await two_ways(it, a, a, max_workers=1)
        [task_id] = await it.submit(model)
        task = await it.wait_for(task_id, "failed")

        assert task.error is not None
        assert (task.error.code, task.attempt) == ("authentication_failed", 2)


async def test_an_endpoint_that_is_added_takes_calls_at_once_and_one_that_is_removed_none(tmp_path: Path) -> None:
    async with running("tests.stubs.openai_stub") as a, running("tests.stubs.openai_stub") as b, inside(tmp_path) as it:
        endpoints = it.installation.endpoints
        model = await it.add_model(kind="openai", config={"base_url": a.base_url})
        [before] = await it.submit(model)
        await it.wait_for(before, "completed")

        await endpoints.add("m", DEFAULT_TENANT, Endpoint("b", {"base_url": b.base_url}))
        [during] = await it.submit(model)
        await it.wait_for(during, "completed")
        await endpoints.remove("m", DEFAULT_TENANT, "b")
        [after] = await it.submit(model)
        await it.wait_for(after, "completed")

        ways = [(await it.store.attempts(task_id))[0].endpoint for task_id in (before, during, after)]  # type: ignore[arg-type]
        assert ways == [None, "b", None]
        assert ((await a.stats())["calls"], (await b.stats())["calls"]) == (2, 1)
