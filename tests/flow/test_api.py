"""A day with the API, from the first model to the last dead letter, with a worker that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.inside import inside, until
from tests.unit.api.scene import Listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEY = "a-key-of-the-journey-0123"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Any]:
    async with inside(tmp_path, bootstrap_api_key=KEY) as place:
        yield place.installation.api()


@pytest.fixture
async def http(app: Any) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    headers = {"X-API-Key": KEY}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://api.test", headers=headers, timeout=30
    ) as client:
        yield client


async def add(http: httpx2.AsyncClient, name: str, **config: Any) -> None:
    body = {"name": name, "type": "scripted", "config": config, "retry": {"max_retries": 0}}
    answer = await http.post("/api/v1/models", json=body)
    assert answer.status_code == 201, answer.text


async def submit(http: httpx2.AsyncClient, model: str, **fields: Any) -> int:
    answer = await http.post("/api/v1/tasks", json={"model": model, "input": "Say hello.", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


async def over(http: httpx2.AsyncClient, task_id: int) -> dict[str, Any]:
    """The task at its end: a long poll."""
    return (await http.get(f"/api/v1/tasks/{task_id}?wait=20")).json()


async def test_a_task_is_submitted_run_and_read(http: httpx2.AsyncClient) -> None:
    await add(http, "echo", text="Hello there.")

    task = await over(http, await submit(http, "echo", priority="high", metadata={"run": "1"}))

    assert (task["status"], task["attempt"], task["error"]) == ("completed", 1, None)
    assert task["output"]["text"] == "Hello there."
    assert task["output"]["raw"]["choices"][0]["message"]["content"] == "Hello there."
    assert task["usage"]["total_tokens"] == task["usage"]["prompt_tokens"] + task["usage"]["completion_tokens"] > 0
    assert task["created_at"] <= task["queued_at"] <= task["started_at"] <= task["completed_at"]
    (attempt,) = (await http.get(f"/api/v1/tasks/{task['id']}/attempts")).json()["items"]
    assert attempt["outcome"] == "completed"
    assert len((await http.get(f"/api/v1/tasks/{task['id']}/logs")).json()["items"]) >= 2
    assert (await http.get("/api/v1/tasks/counts?metadata.run=1")).json()["counts"] == {"completed": 1}


async def test_a_submit_may_wait_for_its_result(http: httpx2.AsyncClient) -> None:
    await add(http, "echo", text="Hello there.")

    answer = await http.post("/api/v1/tasks?wait=20", json={"model": "echo", "input": "Say hello."})

    assert answer.status_code == 201
    assert answer.json()["output"]["text"] == "Hello there."


async def test_a_thousand_tasks_run_from_one_request(http: httpx2.AsyncClient) -> None:
    await add(http, "echo", text="ok")
    await http.post("/api/v1/models/echo/scale", json={"max_workers": 100})
    lines = b"\n".join(b'{"model": "echo", "input": "task %d"}' % number for number in range(1_000))

    answer = await http.post("/api/v1/tasks/bulk", content=lines, headers={"Content-Type": "application/x-ndjson"})

    assert answer.json()["accepted"] == 1_000
    for task_id in (answer.json()["first_id"], answer.json()["last_id"]):
        assert (await over(http, task_id))["status"] == "completed"

    async def completed() -> bool:
        return (await http.get("/api/v1/tasks/counts")).json()["counts"] == {"completed": 1_000}

    await until(completed, "all of them ran")


async def test_an_answer_is_followed_word_by_word(app: Any, http: httpx2.AsyncClient) -> None:
    await add(http, "slow", text="one two three four", chunks=4, delay_ms=300)
    task_id = await submit(http, "slow")

    events: list[tuple[str, dict[str, Any]]] = []
    async with Listening(app, f"/api/v1/tasks/{task_id}/events", KEY) as listening:
        while (event := await listening.event()) is not None:
            events.append(event)

    statuses = [data["status"] for name, data in events if name == "status"]
    assert statuses[-1] == "completed"
    assert "running" in statuses
    assert events[-1][0] == "done"
    assert events[-1][1]["output"]["text"] == "one two three four"
    assert "".join(data["text"] for name, data in events if name == "delta") == "one two three four"


async def test_a_running_task_is_cancelled(http: httpx2.AsyncClient) -> None:
    await add(http, "endless", delay_ms=60_000)
    task_id = await submit(http, "endless")

    async def runs() -> bool:
        return (await http.get(f"/api/v1/tasks/{task_id}")).json()["status"] == "running"

    await until(runs, "it runs")
    await http.post(f"/api/v1/tasks/{task_id}/cancel")

    assert (await over(http, task_id))["status"] == "cancelled"


async def test_a_dead_letter_is_mended_and_runs(http: httpx2.AsyncClient) -> None:
    await add(http, "broken", errors=[{"code": "invalid_request"}])

    task = await over(http, await submit(http, "broken"))
    dead = (await http.get("/api/v1/dead-letters?reason=not_retryable")).json()["items"]
    await http.patch("/api/v1/models/broken", json={"config": {"errors": None, "text": "Works now."}})
    changed = (await http.post("/api/v1/dead-letters/requeue", json={"ids": [task["id"]]})).json()

    assert (task["status"], task["error"]["http_status"]) == ("failed", 400)
    assert [each["id"] for each in dead] == [task["id"]]
    assert changed == {"changed": 1}
    assert (await over(http, task["id"]))["output"]["text"] == "Works now."


async def test_figures_tell_what_happened(http: httpx2.AsyncClient) -> None:
    await add(http, "echo", text="ok")
    await over(http, await submit(http, "echo"))

    overview = (await http.get("/api/v1/stats/overview")).json()
    metrics = (await http.get("/metrics")).text
    ready = await http.get("/readyz")

    assert overview["counts"]["completed"] == 1
    assert overview["latency_ms"]["p50"] is not None
    assert overview["workers"]
    assert 'tasks_completed_total{model="echo"} 1.0' in metrics
    assert 'api_request_duration_seconds_count{method="POST",route="/api/v1/tasks",status="201"} 1.0' in metrics
    assert ready.json()["status"] == "ok"
