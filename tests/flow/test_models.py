"""What a model shows of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.live import server, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_a_model_shows_what_it_does_now(tmp_path: Path) -> None:
    """Counters and current workers are live, not those of the last change."""
    with server(tmp_path / "data") as running:
        running.add_model(max_workers=3, config={"delay_ms": 700})
        running.bulk([{"model": "m", "input": "x"}] * 6)
        busy = wait_until(
            "three run",
            lambda: (one := running.call("GET", "/api/v1/models/m"))["current_workers"] == 3 and one,
        )
        assert busy["queued"] == 3
        wait_until("all completed", lambda: running.counts().get("completed") == 6)
        [listed] = running.call("GET", "/api/v1/models")["items"]

        assert (listed["total_requests"], listed["success_requests"]) == (6, 6)
        assert (listed["current_workers"], listed["queued"]) == (0, 0)
