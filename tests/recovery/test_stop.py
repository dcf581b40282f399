"""SIGTERM: running calls may end, the rest goes back with no retry burnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.live import Server, ledger_calls, server, wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(120)
def test_a_graceful_stop_lets_short_calls_end(tmp_path: Path) -> None:
    """What runs is finished and recorded, what waits stays queued; nothing runs twice. A start as people make it."""
    ledger = tmp_path / "ledger"
    running = Server(tmp_path / "data", grace_s="20")
    running.is_forked = False
    running.start()
    try:
        running.add_model(max_workers=4, config={"delay_ms": 500, "ledger": str(ledger)})
        running.bulk([{"model": "m", "input": "x"}] * 40)
        wait_until("calls", lambda: ledger_calls(ledger).total() >= 4)

        assert running.stop() == 0
        running.start()
        wait_until("all completed", lambda: running.counts().get("completed") == 40)
        tasks = running.tasks()
    finally:
        running.close()

    assert set(ledger_calls(ledger).values()) == {1}
    assert {task["attempt"] for task in tasks} == {1}


@pytest.mark.timeout(120)
def test_calls_longer_than_the_grace_are_put_back_without_a_retry_burnt(tmp_path: Path) -> None:
    """The call is aborted, the task keeps its place and its counters."""
    running = Server(tmp_path / "data", grace_s="0.5")
    running.start()
    try:
        running.add_model(max_workers=2, config={"delay_ms": 3_000})
        first = running.call("POST", "/api/v1/tasks", {"model": "m", "input": "x"})
        running.wait_for(first["id"], "running")

        assert running.stop(15) == 0
        running.start()
        task = running.wait_for(first["id"], "completed")
        attempts = running.call("GET", f"/api/v1/tasks/{first['id']}/attempts")["items"]
    finally:
        running.close()

    assert (task["attempt"], task["failures"]) == (2, 0)
    assert [attempt["outcome"] for attempt in attempts] == ["returned", "completed"]


def test_a_second_server_on_the_same_folder_says_so_and_stops(tmp_path: Path) -> None:
    """One data folder, one server."""
    with server(tmp_path / "data") as first:
        second = Server(tmp_path / "data")
        second.start(is_ready=False)
        assert second.process is not None
        code = second.process.wait(30)
        second.close()

        assert code != 0
        assert f"pid {first.pid}" in first.log
        assert first.http.get("/readyz").status_code == 200
