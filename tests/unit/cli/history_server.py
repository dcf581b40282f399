"""The fake server with a day behind it: `GET /stats/history`, and models that can be changed."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import httpx2
from tests.unit.cli.fake_server import NOW, FakeServer, answer_json

COLUMNS = [
    "queued_at", "started_at", "ended_at", "model", "tenant", "priority", "type",
    "prompt_tokens", "completion_tokens", "cost_microusd", "deadline_at",
]  # fmt: skip
NOW_MS = round(datetime.fromisoformat(NOW).timestamp() * 1000)


class HistoryServer(FakeServer):
    """`rows` are calls of model `toy`; `is_cut` loses the last line on the way."""

    def __init__(self, rows: list[list[Any]]) -> None:
        super().__init__()
        self.rows, self.is_cut = rows, False
        self.changes: list[tuple[str, dict[str, Any]]] = []

    def _get_stats(self, request: httpx2.Request, rest: list[str]) -> httpx2.Response:
        if rest == ["overview"]:
            return answer_json({"at": NOW})
        assert rest == ["history"]
        since, until = (
            datetime.fromisoformat(request.url.params[name]).timestamp() * 1000 for name in ("since", "until")
        )
        rows = [row for row in self.rows if since <= row[2] < until]
        head = {"columns": COLUMNS, "tenants": {"1": 1.0}, "strategy": "fifo"}
        lines = [head, *rows, *([] if self.is_cut else [{"rows": len(rows)}])]
        return httpx2.Response(200, text="".join(json.dumps(line) + "\n" for line in lines))

    def _patch_models(self, request: httpx2.Request, rest: list[str]) -> httpx2.Response:
        body = json.loads(request.content)
        self.changes.append((rest[0], body))
        self.models[rest[0]] |= body
        return answer_json(self.models[rest[0]])


def call(at_s: float, service_s: float, *, priority: int = 5, tenant: int = 1, waited_s: float = 0.0) -> list[Any]:
    """A call that came `at_s` into the hour before now."""
    queued = NOW_MS - 3_600_000 + round(at_s * 1000)
    started = queued + round(waited_s * 1000)
    ended = started + round(service_s * 1000)
    return [queued, started, ended, "toy", tenant, priority, "chat", 50, 50, 10, None]


def crowded() -> list[list[Any]]:
    """Four slots; bursts of long low calls every ten minutes, and short high ones all the while."""
    low = [call(600 * burst + 1, 20, priority=9, waited_s=100) for burst in range(5) for _ in range(40)]
    high = [call(10 * number, 1, priority=0, waited_s=40) for number in range(300)]
    return [*low, *high]
