"""The disk fails: a clear error, and nothing acknowledged that is not stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.live import Server

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_FILE = 3_000_000


@pytest.mark.timeout(120)
def test_a_full_disk_refuses_what_it_cannot_keep_and_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    """503 with a reason and Retry-After while it is full; after more room every acknowledged task is there."""
    server = Server(tmp_path / "data", log_level="error")
    server.start()
    server.add_model(max_workers=1)
    server.call("POST", "/api/v1/models/m/pause")
    server.stop()
    acknowledged: set[int] = set()
    try:
        server.start(largest_file=LARGEST_FILE)
        refused = None
        for _ in range(3_000):
            answer = server.http.post("/api/v1/tasks", json={"model": "m", "input": "x" * 4_000})
            if answer.status_code != 201:
                refused = answer
                break
            acknowledged.add(answer.json()["id"])
        assert refused is not None
        assert refused.status_code == 503, refused.text
        assert refused.json()["code"] == "store_unavailable"
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert server.call("GET", "/api/v1/tasks?limit=1")["items"]

        server.kill()
        server.start()
        found = {task["id"] for task in server.tasks()}
    finally:
        server.close()

    assert len(acknowledged) > 100
    assert acknowledged <= found
    assert len(found) <= len(acknowledged) + 1


def test_a_corrupt_database_is_named_and_nothing_starts(tmp_path: Path) -> None:
    """The message says which file and what to do."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "llm-scheduler.db").write_bytes(b"this is no database" * 1_000)
    server = Server(tmp_path / "data")
    server.start(is_ready=False)
    assert server.process is not None
    code = server.process.wait(30)
    server.close()

    assert code == 1
    assert "llm-scheduler.db" in server.log
    assert "Traceback" not in server.log
