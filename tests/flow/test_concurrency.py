"""A server that lets calls wait in silence beyond six: how many run at once is found, kept and shared."""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.cluster import cluster
from tests.inside import Inside, inside, until
from tests.live import wait_until
from tests.stubs.servers import StubServer, running, started

from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.model import AutoWorkers, Endpoint, ModelOptions
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import TaskFilter

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live import Server

SLOTS = 6
QUEUEING = "tests.stubs.queueing_stub"


def body(words: int) -> str:
    return orjson.dumps({"messages": [{"role": "user", "content": f"say {words} words"}], "max_tokens": 64}).decode()


async def work(it: Inside, count: int) -> None:
    """Tasks of many lengths."""
    for words in range(5, 25):
        await it.submit(it.models.get("m", DEFAULT_TENANT), count // 20, input=body(words), max_retries=0)


async def add(it: Inside, stub: StubServer, **config: Any) -> None:
    options = ModelOptions(auto_workers=AutoWorkers(1, 64))
    await it.add_model("m", "openai", max_workers=1, options=options, config={"base_url": stub.base_url, **config})


async def shown(it: Inside) -> int:
    """The limit that answers show."""
    [model] = await it.models.counted([it.models.get("m", DEFAULT_TENANT)])
    return model.max_workers


@pytest.mark.timeout(120)
async def test_the_limit_settles_where_the_server_begins_to_queue_and_survives_a_restart(tmp_path: Path) -> None:
    async with running(QUEUEING, "--slots", str(SLOTS)) as stub:
        async with inside(tmp_path / "data") as it:
            await add(it, stub)
            await work(it, 3_000)
            await until(lambda: _is_at(it, SLOTS - 1), "most slots are in use", 60)
            # What was queued inside while the limit was being found is over after so many calls.
            await stub.wait_until(_has_calls((await stub.stats())["calls"] + 150), 60)
            await stub.post("reset")
            await stub.wait_until(_has_calls(300), 60)
            stats = await stub.stats()
            metrics = it.installation.meter.render().decode()

        assert stats["most"] <= 10
        assert statistics.median(stats["waits"]) < 0.03
        assert statistics.mean(stats["waits"]) < 0.08
        assert 'concurrency_limit{model="m"}' in metrics
        assert 'concurrency_share_waiting{model="m"}' in metrics

        async with inside(tmp_path / "data") as it:
            [limit] = [it.installation.concurrency.limit_of(model) for model in it.models.list()]
            assert SLOTS - 2 <= limit <= SLOTS + 3


@pytest.mark.timeout(90)
async def test_refusals_for_want_of_room_lower_the_limit_and_pause_nothing(tmp_path: Path) -> None:
    """429 without a word about a rate: no pause of the lane, no retry burnt, few refusals."""
    async with running(QUEUEING, "--slots", "64", "--cap", "4") as stub, inside(tmp_path / "data") as it:
        await add(it, stub)
        await work(it, 400)
        await until(lambda: it.broker.waiting() == 0, "all have run", 60)
        stats = await stub.wait_until(lambda stats: stats["inside"] == 0)

        async def all_recorded() -> bool:
            return await it.store.running() == []

        await until(all_recorded, "all ends are on record")

        assert stats["most"] == 4
        assert 0 < stats["refused"] <= 20
        assert 3 <= await shown(it) <= 5
        counts = await it.store.counts(TaskFilter())
        assert counts == {Status.COMPLETED: 400}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("ways", [1, 2])
async def test_when_no_endpoint_has_room_the_limit_falls_and_while_one_has_it_pauses_the_other(
    tmp_path: Path, ways: int
) -> None:
    """Each refused endpoint was paused for up to a minute, and the limit rose on and on."""
    async with AsyncExitStack() as stack:
        it = await stack.enter_async_context(inside(tmp_path / "data"))
        options = ("--slots", "64", "--cap", "4")
        stubs = [await stack.enter_async_context(running(QUEUEING, *options)) for _ in range(ways)]
        endpoints = tuple(Endpoint(f"way{number}", {"base_url": stub.base_url}) for number, stub in enumerate(stubs))
        auto = ModelOptions(auto_workers=AutoWorkers(1, 64))
        await it.add_model("m", "openai", max_workers=1, options=auto, endpoints=endpoints)
        await work(it, 1_000)
        await until(lambda: it.broker.waiting() == 0, "all have run", 90)
        stats = [await stub.wait_until(lambda stats: stats["inside"] == 0) for stub in stubs]

        assert [one["most"] for one in stats] == [4] * ways
        assert sum(one["refused"] for one in stats) <= 60 * ways
        assert await shown(it) <= 4 * ways + 2


async def _is_at(it: Inside, least: int) -> bool:
    return await shown(it) >= least


def _has_calls(count: int) -> Any:
    return lambda stats: stats["calls"] >= count


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_two_workers_go_by_one_limit(tmp_path: Path) -> None:
    """Not one each: together they keep the server from queueing, and every process tells the same number."""
    with started(QUEUEING, "--slots", str(SLOTS), "--token-ms", "20") as stub, cluster(tmp_path, workers=2) as it:
        config = {"base_url": stub.base_url, "api_key": "sk-test-0000000000", "model": "m"}
        made = it.add_model("m", "openai", config=config, max_workers="auto")
        it.bulk([{"model": "m", "input": f"say {5 + number % 20} words"} for number in range(4_000)])

        def most_slots() -> bool:
            return it.call("GET", "/api/v1/models/m")["max_workers"] >= SLOTS - 1

        wait_until("most slots are in use", most_slots, 90, 0.2)

        def same() -> bool:
            return len({limit_told(member) for member in it.members}) == 1

        wait_until("every process tells the same limit", same, 30, 0.1)
        limits = [limit_told(it.api)]
        done = it.counts().get("completed", 0)
        while it.counts().get("completed", 0) < done + 200:
            limits.append(limit_told(it.api))

        assert made["auto_workers"] == {"min": 1, "max": 64}
        assert statistics.median(limit for limit in limits if limit is not None) <= SLOTS + 3


def limit_told(member: Server) -> float | None:
    """By its metrics."""
    for line in member.http.get("/metrics").text.splitlines():
        if line.startswith('concurrency_limit{model="m"}'):
            return float(line.rsplit(" ", 1)[1])
    return None
