"""kill -9 at any moment: nothing that was acknowledged is lost, nothing is recorded twice."""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.live import Server, ledger_calls, wait_until

if TYPE_CHECKING:
    from pathlib import Path

TASKS = 10_000
KILLS = 5
AT_ONCE = 64


@pytest.mark.timeout(300)
def test_five_kills_lose_no_task_and_repeat_no_result(tmp_path: Path) -> None:
    """10 000 tasks of 20 ms, five kills while they run: 10 000 completed, one result each."""
    ledger = tmp_path / "ledger"
    server = Server(tmp_path / "data", log_level="warning")
    server.start()
    try:
        server.add_model(max_workers=AT_ONCE, config={"delay_ms": 20, "ledger": str(ledger)})
        accepted = server.bulk([{"model": "m", "input": f"question {n}"} for n in range(TASKS)])
        assert accepted["accepted"] == TASKS

        for kill in range(1, KILLS + 1):
            aim = kill * TASKS // (KILLS + 2)
            wait_until(f"{aim} calls", lambda aim=aim: len(ledger_calls(ledger)) >= aim, 60)
            server.kill()
            server.start()
        wait_until("all completed", lambda: server.counts().get("completed") == TASKS, 120, every_s=0.2)
        server.stop()
    finally:
        server.close()

    database = sqlite3.connect(tmp_path / "data" / "llm-scheduler.db")
    results, distinct = database.execute("SELECT count(*), count(DISTINCT task_id) FROM results").fetchone()
    statuses = database.execute("SELECT status, count(*) FROM tasks GROUP BY status").fetchall()
    database.close()
    calls = ledger_calls(ledger)
    assert statuses == [("completed", TASKS)]
    assert (results, distinct) == (TASKS, TASKS)
    assert len(calls) == TASKS
    assert calls.total() <= TASKS + KILLS * AT_ONCE


@pytest.mark.timeout(180)
@pytest.mark.parametrize("after_chunks", [1, 4, 9])
def test_a_kill_during_a_bulk_keeps_exactly_what_was_recorded(tmp_path: Path, after_chunks: int) -> None:
    """What is there is a prefix of the stream: whole lines in order, no hole, nothing half."""
    server = Server(tmp_path / "data", log_level="warning")
    server.start()
    line = '{"model": "m", "input": "question %d"}\n'
    sent = threading.Event()

    def stream():
        for chunk in range(10):
            yield "".join(line % (chunk * 1_000 + n) for n in range(1_000)).encode()
            if chunk == after_chunks:
                sent.set()
                time.sleep(30)

    def submit() -> None:
        try:
            server.http.post(
                "/api/v1/tasks/bulk", content=stream(), headers={"Content-Type": "application/x-ndjson"}, timeout=40
            )
        except httpx2.HTTPError:
            return

    try:
        server.add_model(max_workers=1)
        server.call("POST", "/api/v1/models/m/pause")
        threading.Thread(target=submit, daemon=True).start()
        assert sent.wait(30)
        wait_until("some are recorded", lambda: sum(server.counts().values()) >= 1_000 * after_chunks)
        server.kill()
        server.start()
        found = server.tasks()
    finally:
        server.close()

    prompts = [task["input"]["messages"][0]["content"] for task in found]
    assert 1_000 * after_chunks <= len(prompts) <= 1_000 * (after_chunks + 1)
    assert prompts == [f"question {n}" for n in range(len(prompts))]


@pytest.mark.timeout(120)
def test_an_acknowledged_bulk_is_there_after_a_kill(tmp_path: Path) -> None:
    """The answer came, then the power went: every line is there. The program is started as people start it."""
    server = Server(tmp_path / "data", log_level="warning")
    server.is_forked = False
    server.start()
    try:
        server.add_model(max_workers=1)
        server.call("POST", "/api/v1/models/m/pause")
        answer = server.bulk([{"model": "m", "input": f"question {n}"} for n in range(5_000)])
        server.kill()
        server.start()
        found = server.tasks()
    finally:
        server.close()

    assert answer["accepted"] == 5_000
    assert (found[0]["id"], found[-1]["id"], len(found)) == (answer["first_id"], answer["last_id"], 5_000)
    assert {task["status"] for task in found} == {"queued"}
