"""The response cache from outside: equal tasks, one call."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from tests.inside import Inside, inside, until
from tests.live import Server, ledger_calls, server, wait_until

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import CacheWish
from llm_scheduler.ports.feed import TaskChanged
from llm_scheduler.ports.store import TaskFilter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WISH = CacheWish("0" * 64, 3600)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("cache")) as running:
        yield running


class Shop:
    """A scripted model of one test, and its ledger of calls."""

    def __init__(self, live: Server, folder: Path, **config: Any) -> None:
        self.live, self.name, self.ledger = live, folder.name[:60], folder / "calls"
        self.config = {"delay_ms": 300, "ledger": str(self.ledger), **config}
        live.call("POST", "/api/v1/models", {"name": self.name, "type": "scripted", "config": self.config})

    @property
    def calls(self) -> int:
        return ledger_calls(self.ledger).total()

    def ask(self, prompt: str = "Hi", cache: Any = ..., **fields: Any) -> Any:
        body = {"model": self.name, "input": prompt, "cache": {"ttl_s": 60} if cache is ... else cache, **fields}
        return self.live.call("POST", "/api/v1/tasks?wait=30", body)

    def ask_at_once(self, count: int, **fields: Any) -> list[Any]:
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(lambda _: self.ask(**fields), range(count)))


def test_fifty_equal_tasks_at_once_make_one_call(live: Server, tmp_path: Path) -> None:
    shop = Shop(live, tmp_path)
    tasks = shop.ask_at_once(50)

    assert shop.calls == 1
    (led,) = [task for task in tasks if not task["cache"]["hit"]]
    copies = [task for task in tasks if task["cache"]["hit"]]
    assert {task["status"] for task in tasks} == {"completed"}
    assert {task["output"]["text"] for task in tasks} == {led["output"]["text"]}
    assert {task["cache"]["task_id"] for task in copies} == {led["id"]}
    assert {(task["usage"]["total_tokens"], task["cost_microusd"], task["attempt"]) for task in copies} == {(0, 0, 0)}
    assert led["usage"]["total_tokens"] > 0

    again = shop.ask_at_once(20)
    assert {(task["cache"]["hit"], task["cache"]["task_id"]) for task in again} == {(True, led["id"])}
    assert shop.calls == 1


def test_another_question_another_config_and_no_cache_are_calls(live: Server, tmp_path: Path) -> None:
    shop = Shop(live, tmp_path, delay_ms=0)
    first = shop.ask()
    assert shop.ask()["cache"]["hit"]
    assert not shop.ask("Ho")["cache"]["hit"]
    assert not shop.ask(input={"messages": [{"role": "user", "content": "Hi"}], "temperature": 1})["cache"]["hit"]
    assert shop.ask(cache=None)["cache"] is None
    assert shop.calls == 4

    same = {"max_tokens": 5, "messages": [{"content": "Hi", "role": "user"}]}
    turned = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    assert not shop.ask(input=same)["cache"]["hit"]
    assert shop.ask(input=turned, priority="high", metadata={"a": "b"}, timeout_s=7)["cache"]["hit"]

    live.call("POST", f"/api/v1/models/{shop.name}/scale", {"max_workers": 9})
    assert shop.ask()["cache"] == {"ttl_s": 60, "hit": True, "task_id": first["id"]}
    live.call("PATCH", f"/api/v1/models/{shop.name}", {"config": {"text": "another model's answer"}})
    changed = shop.ask()
    assert (changed["cache"]["hit"], changed["output"]["text"]) == (False, "another model's answer")


def test_a_thousand_equal_lines_make_one_call(live: Server, tmp_path: Path) -> None:
    shop = Shop(live, tmp_path)
    line = {"model": shop.name, "input": "the same", "cache": {"ttl_s": 60}, "metadata": {"bulk": shop.name}}
    answer = live.bulk([line] * 1_000)
    query = f"?metadata.bulk={shop.name}"

    wait_until("all are completed", lambda: live.counts(query) == {"completed": 1_000}, 30)
    assert answer["accepted"] == 1_000
    assert shop.calls == 1
    page = live.call("GET", f"/api/v1/tasks?limit=500&metadata.bulk={shop.name}")["items"]
    assert {task["cache"]["task_id"] for task in page} == {answer["first_id"]}


@pytest.mark.parametrize(
    "cache", [{}, {"ttl_s": 0}, {"ttl_s": 2_592_001}, {"ttl_s": "60"}, {"ttl_s": 1.5}, 60, {"ttl_s": 9, "x": 1}]
)
def test_a_wish_that_means_nothing_is_refused(live: Server, tmp_path: Path, cache: Any) -> None:
    answer = live.http.post("/api/v1/tasks", json={"model": "m", "input": "Hi", "cache": cache})

    assert answer.status_code == 422
    assert "cache" in answer.text


def test_an_idempotency_key_and_the_cache_go_together(live: Server, tmp_path: Path) -> None:
    shop = Shop(live, tmp_path, delay_ms=0)
    first = shop.ask(idempotency_key=shop.name)
    hit = shop.ask(idempotency_key=f"{shop.name}-2")

    assert shop.ask(idempotency_key=shop.name)["id"] == first["id"]
    assert shop.ask(idempotency_key=f"{shop.name}-2") == hit
    body = {"model": shop.name, "input": "Hi", "cache": {"ttl_s": 61}, "idempotency_key": shop.name}
    live.call("POST", "/api/v1/tasks", body, expect=409)


def test_hits_are_counted(live: Server, tmp_path: Path) -> None:
    def counted(outcome: str) -> float:
        name = f'response_cache_total{{outcome="{outcome}"}} '
        lines = live.http.get("/metrics").text.splitlines()
        return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0)

    before = [counted(outcome) for outcome in ("hit", "miss", "joined")]
    shop = Shop(live, tmp_path)
    shop.ask_at_once(4)
    shop.ask_at_once(3)
    after = [counted(outcome) for outcome in ("hit", "miss", "joined")]

    assert [now - then for now, then in zip(after, before, strict=True)] == [3, 1, 3]


async def watched(it: Inside, news: list[tuple[int, Status]]) -> None:
    async with it.installation.feed.watch() as stream:
        async for one in stream:
            if isinstance(one, TaskChanged):
                news.append((one.task_id, one.status))


async def calls_of(it: Inside) -> int:
    (model,) = await it.store.models()
    return model.total_requests


async def test_when_a_leader_fails_for_good_the_next_one_runs_at_once(tmp_path: Path) -> None:
    """No sweep is needed for that: the worker hands the lead on."""
    async with inside(tmp_path) as it:
        await it.installation.loops.stop()
        rule = {"every": 2, "code": "invalid_request", "http_status": 400}
        model = await it.add_model(config={"errors": [rule], "delay_ms": 50})
        warm = await it.submit(model)
        await it.wait_for(warm[0], "completed")

        ids = await it.submit(model, 4, cache=WISH)

        await it.wait_for(ids[-1], "completed", within_s=5)
        statuses = [(await it.task(task_id)).status for task_id in ids]
        assert statuses == ["failed", "completed", "completed", "completed"]
        assert await calls_of(it) == 3


async def test_a_cancelled_waiting_leader_hands_the_lead_on_at_once(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        await it.installation.loops.stop()
        model = await it.add_model()
        await it.models.pause("m", DEFAULT_TENANT)
        ids = await it.submit(model, 3, cache=WISH)
        await it.tasks.cancel(ids[0], DEFAULT_TENANT)  # type: ignore[arg-type]
        await it.models.resume("m", DEFAULT_TENANT)

        await it.wait_for(ids[2], "completed", within_s=5)
        assert await calls_of(it) == 1


async def test_a_leader_that_expires_is_replaced_by_the_upkeep(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        model = await it.add_model()
        await it.models.pause("m", DEFAULT_TENANT)
        [leader] = await it.submit(model, cache=WISH, deadline_at=Millis(it.installation.clock.now() + 200))
        followers = await it.submit(model, 2, cache=WISH)
        await it.wait_for(leader, "expired", within_s=5)
        await it.wait_for(followers[0], "queued", within_s=5)
        await it.models.resume("m", DEFAULT_TENANT)

        await it.wait_for(followers[1], "completed", within_s=5)
        assert await calls_of(it) == 1


async def test_followers_beyond_one_commit_are_answered_at_once_too(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        await it.installation.loops.stop()
        model = await it.add_model(config={"delay_ms": 300})
        await it.submit(model, 1_300, cache=WISH)

        async def is_done() -> bool:
            return await it.store.counts(TaskFilter()) == {Status.COMPLETED: 1_300}

        await until(is_done, "every follower is answered", 10)
        assert await calls_of(it) == 1
        assert it.broker.waiting() == 0


async def test_who_watches_hears_of_followers_and_hits(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        news: list[tuple[int, Status]] = []
        watching = asyncio.create_task(watched(it, news))
        await until(lambda: it.installation.feed.is_watched, "someone watches", 5)
        model = await it.add_model(config={"delay_ms": 100})
        ids = await it.submit(model, 2, cache=WISH)
        await it.wait_for(ids[1], "completed", within_s=5)
        [hit] = await it.submit(model, cache=WISH)
        await until(lambda: (hit, Status.COMPLETED) in news, "the hit is told", 5)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

        assert (ids[1], Status.BLOCKED) in news
        assert (ids[1], Status.COMPLETED) in news


async def test_followers_survive_a_restart(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        model = await it.add_model(config={"delay_ms": 100})
        await it.models.pause("m", DEFAULT_TENANT)
        ids = await it.submit(model, 3, cache=WISH)
        # As if the process had died between a cancel and what follows from it.
        await it.store.cancel(ids[:1])  # type: ignore[arg-type]
    async with inside(tmp_path) as it:
        await it.models.resume("m", DEFAULT_TENANT)
        await it.wait_for(ids[2], "completed", within_s=5)
        assert await calls_of(it) == 1
