"""A budget of one dollar under many submitters, hostile answers and a killed worker: not a micro-dollar more."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.cluster import cluster
from tests.live import KEY, Server, server, wait_until
from tests.rig.mariadb import MariaDb
from tests.stubs.servers import StubServer, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
DOLLAR = 1_000_000
SUBMITTERS = 64
EACH = 4
MICROUSD_PER_TOKEN = 20
"""Of prompt and answer alike, so that the stub's count of tokens is a count of money, exactly."""


@pytest.fixture
def stub() -> Iterator[StubServer]:
    """Answers after a moment, as long as it is asked to, and counts every call that arrives."""
    with started("tests.stubs.openai_stub", "--behaviour", "delay:0.3") as running:
        yield running


def spent_by_stub(stub: StubServer) -> int:
    """What the provider would charge, in micro-USD: also for answers that nobody lived to take."""
    with urllib.request.urlopen(f"{stub.origin}/stub/stats", timeout=10) as answer:  # noqa: S310 - our own address
        return json.loads(answer.read())["tokens"] * MICROUSD_PER_TOKEN


def prepare(api: Server, stub: StubServer) -> None:
    """A model, its price, and a dollar."""
    config = {"base_url": stub.base_url, "api_key": "sk-test-0000000000", "model": "m"}
    api.add_model("m", "openai", config=config, max_workers=32)
    rate = MICROUSD_PER_TOKEN * 1000
    api.call("PUT", "/api/v1/prices", {"model": "m", "input_nanousd": rate, "output_nanousd": rate})
    api.call("POST", "/api/v1/budgets", {"name": "dollar", "limit_microusd": DOLLAR, "period": "total"})


def hostile(number: int) -> dict[str, Any]:
    """Asks for more than it may have; every third has no bound of its own."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": f"say {300 + number % 7 * 100} words"}]}
    if number % 3:
        body["max_tokens"] = 100 + number * 37 % 400
    else:
        body["max_completion_tokens"], body["n"] = 100 + number % 100, 1
    return {"model": "m", "input": body}


def submit_all(port: int) -> None:
    """64 callers at once, each a few tasks."""

    def submit(caller: int) -> None:
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {KEY}"}, timeout=60
        ) as http:
            for number in range(EACH):
                assert http.post("/api/v1/tasks", json=hostile(caller * EACH + number)).status_code == 201

    with ThreadPoolExecutor(SUBMITTERS) as callers:
        list(callers.map(submit, range(SUBMITTERS)))


def budget(api: Server) -> dict[str, Any]:
    return api.call("GET", "/api/v1/budgets/dollar")


def settled(api: Server) -> dict[str, int] | None:
    """The counts, when nothing runs or may start any more."""
    counts = api.counts()
    return None if counts.get("queued") or counts.get("running") or counts.get("scheduled") else counts


def spend_and_top_up(api: Server, stub: StubServer, disturb: Callable[[], None], open_rows: Callable[[], int]) -> None:
    """The whole story, whatever the installation is made of."""
    prepare(api, stub)
    submit_all(api.port)
    wait_until("calls run", lambda: spent_by_stub(stub) > DOLLAR // 8, 60)
    disturb()
    counts = wait_until("all that fits has run", lambda: settled(api), 120, 0.2)

    assert counts.get("held", 0) > 0
    assert counts["held"] + counts["completed"] == SUBMITTERS * EACH
    assert spent_by_stub(stub) <= DOLLAR
    found = budget(api)
    assert spent_by_stub(stub) <= found["spent_microusd"] <= DOLLAR
    assert (found["reserved_microusd"], found["told_percent"], open_rows()) == (0, 100, 0)
    assert all(task["error"]["code"] == "budget_exhausted" for task in api.tasks("&status=held"))

    api.call("POST", "/api/v1/budgets/dollar/top-up", {"microusd": 20 * DOLLAR})
    wait_until("all completed", lambda: api.counts().get("completed") == SUBMITTERS * EACH, 120, 0.2)
    assert (budget(api)["reserved_microusd"], open_rows()) == (0, 0)
    assert spent_by_stub(stub) <= budget(api)["spent_microusd"]


def test_three_workers_one_killed_spend_no_more_than_the_budget(tmp_path: Path, stub: StubServer) -> None:
    """MariaDB, Redis and kill -9 in the middle of calls."""
    maria = MariaDb(tmp_path / "maria")
    maria.start()
    try:
        with cluster(tmp_path, apis=1, workers=3, maria=maria) as it:
            spend_and_top_up(
                it.api,
                stub,
                lambda: it.workers[0].kill(),
                lambda: int(maria.sql("SELECT COUNT(*) FROM reservations WHERE attempt > 0", "llms").split()[-1]),
            )
    finally:
        maria.close()


def test_one_process_killed_and_started_again_spends_no_more_than_the_budget(tmp_path: Path, stub: StubServer) -> None:
    """SQLite, the index in memory, and kill -9 in the middle of calls."""
    with server(tmp_path / "data", log_level="warning") as it:

        def restart() -> None:
            it.kill()
            it.start()

        def open_rows() -> int:
            with sqlite3.connect(tmp_path / "data" / "llm-scheduler.db") as database:
                return database.execute("SELECT COUNT(*) FROM reservations WHERE attempt > 0").fetchone()[0]

        spend_and_top_up(it, stub, restart, open_rows)
