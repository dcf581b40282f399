"""A server that is killed while it archives and removes: every task is in the record or in the archive."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.live import Server, server, wait_until

from llm_scheduler.stores.archive import reading

COUNT = 1_500
OLDER_MS = 40 * 86_400_000


def filled(server: Server, folder: Path) -> set[int]:
    """Finished tasks, made to look 40 days old; the ids of all but the last hundred, which are young."""
    server.add_model(max_workers=64, config={"delay_ms": 0})
    server.bulk([{"model": "m", "input": {"messages": [{"role": "user", "content": "x" * 300}]}}] * COUNT)
    wait_until("all tasks are completed", lambda: server.counts().get("completed") == COUNT, 40, 0.1)
    server.stop()
    with closing(sqlite3.connect(folder / "llm-scheduler.db")) as connection, connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM tasks ORDER BY id")]
        connection.execute(
            "UPDATE tasks SET created_at = created_at - ?, completed_at = completed_at - ? WHERE id < ?",
            (OLDER_MS, OLDER_MS, ids[-100]),
        )
    return set(ids[:-100])


def recorded(folder: Path) -> set[int]:
    with closing(sqlite3.connect(f"file:{folder}/llm-scheduler.db?mode=ro", uri=True)) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM tasks")}


def archived(folder: Path) -> set[int]:
    return {json.loads(line)["id"] for file in reading.files(folder / "archive") for line in reading.lines(file)}


def writing(folder: Path) -> bool:
    return any((folder / "archive").glob("*/*/.tasks-*"))


def removing(folder: Path) -> bool:
    return bool(reading.files(folder / "archive")) and len(recorded(folder)) < COUNT


@pytest.mark.timeout(180)
def test_kills_lose_no_task_and_the_next_start_finishes(tmp_path: Path) -> None:
    """Killed while it writes the archive, and again while it removes what is archived."""
    with server(tmp_path, retention_days="30") as running:
        old = filled(running, tmp_path)
        young = recorded(tmp_path) - old
        left = young | old
        for moment in (writing, removing):
            running.start()
            wait_until("retention works", lambda moment=moment: moment(tmp_path), 30, 0.001)
            running.kill()

            left = recorded(tmp_path)
            assert young <= left
            assert old <= left | archived(tmp_path)
            assert left & old

        running.start()
        wait_until("the old tasks are gone", lambda: recorded(tmp_path) == young, 40, 0.2)
        assert archived(tmp_path) == old
        running.call("GET", f"/api/v1/tasks/{max(young)}")
        running.call("GET", f"/api/v1/tasks/{min(old)}", expect=404)
        told = f"tasks_retired_total {len(left & old)}.0"
        wait_until("it is told", lambda: told in running.http.get("/metrics").text)
