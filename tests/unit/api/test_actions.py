from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.api.scene import OTHER_TENANT

from llm_scheduler.domain.errors import ModelNotFoundError
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, TaskId
from llm_scheduler.domain.outcome import Ended
from llm_scheduler.domain.status import DeadReason, Status
from llm_scheduler.domain.task import AttemptOutcome, TaskError
from llm_scheduler.ports.store import StartedTask, StartOrder

if TYPE_CHECKING:
    from tests.unit.api.scene import Scene


async def finished(api: Scene, action: dict[str, Any]) -> dict[str, Any]:
    """The action at its end."""
    async with asyncio.timeout(10):
        while action["status"] == "running":
            action = (await api.http.get(f"/api/v1/tasks/actions/{action['id']}")).json()
    return action


async def dead(api: Scene, reason: DeadReason = DeadReason.NOT_RETRYABLE) -> int:
    """A task that failed for good."""
    store = api.parts.store
    task_id = TaskId((await api.submit())["id"])
    session = await store.open_session("here", 1, "0")
    started = (await store.start(session, [StartOrder(task_id, 0)]))[0]
    assert isinstance(started, StartedTask)
    await store.record(
        Ended(
            task_id, DEFAULT_TENANT, started.model_id, session, started.attempt, started.generation,
            started.started_at, Millis(started.started_at + 5), AttemptOutcome.FAILED, Status.FAILED,
            error=TaskError("bad_request", "No.", is_retryable=False, http_status=400),
            dead_reason=reason, counts_failure=True,
        )
    )  # fmt: skip
    return task_id


async def test_an_action_reaches_everything_that_matches(api: Scene) -> None:
    ids = [(await api.submit(metadata={"run": "1"}))["id"] for _ in range(3)]
    await api.submit(metadata={"run": "2"})

    begun = await api.http.post(
        "/api/v1/tasks/actions", json={"action": "cancel", "filter": {"metadata": {"run": "1"}, "status": "queued"}}
    )
    ended = await finished(api, begun.json())

    assert begun.status_code == 202
    assert begun.headers["Location"] == f"/api/v1/tasks/actions/{ended['id']}"
    assert (ended["status"], ended["changed"], ended["filter"]) == (
        "completed", 3, {"metadata": {"run": "1"}, "status": "queued"},
    )  # fmt: skip
    cancelled = (await api.http.get("/api/v1/tasks?status=cancelled&order=asc")).json()["items"]
    assert [task["id"] for task in cancelled] == ids


async def test_priorities_are_changed_in_bulk(api: Scene) -> None:
    task = await api.submit()

    begun = await api.http.post(
        "/api/v1/tasks/actions", json={"action": "set_priority", "filter": {"ids": [task["id"]]}, "priority": "high"}
    )
    await finished(api, begun.json())

    assert (await api.http.get(f"/api/v1/tasks/{task['id']}")).json()["priority"] == 0


async def test_an_action_with_a_key_begins_once(api: Scene) -> None:
    body, headers = {"action": "cancel", "filter": {}}, {"Idempotency-Key": "k"}

    first = await api.http.post("/api/v1/tasks/actions", json=body, headers=headers)
    again = await api.http.post("/api/v1/tasks/actions", json=body, headers=headers)

    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]


async def test_a_stored_filter_remembers_whose_it_is(api: Scene) -> None:
    where = api.parts.parse_filter('{"tenant_id": 2, "status": ["failed"], "q": "x"}')

    assert (where.tenant_id, where.statuses, where.q) == (OTHER_TENANT, (Status.FAILED,), "x")
    with pytest.raises(ModelNotFoundError):
        api.parts.parse_filter('{"model": "gone"}')


async def test_dead_letters_are_listed_by_reason(api: Scene) -> None:
    first = await dead(api)
    second = await dead(api, DeadReason.RETRIES_EXHAUSTED)
    await api.submit()

    everything = (await api.http.get("/api/v1/dead-letters")).json()["items"]
    exhausted = (await api.http.get("/api/v1/dead-letters?reason=retries_exhausted")).json()["items"]
    none = (await api.http.get("/api/v1/dead-letters?status=completed")).json()

    assert [task["id"] for task in everything] == [second, first]
    assert [(task["id"], task["dead_reason"]) for task in exhausted] == [(second, "retries_exhausted")]
    assert none == {"items": [], "next_cursor": None}
    assert everything[0]["error"] == {
        "code": "bad_request", "message": "No.", "retryable": False, "http_status": 400,
    }  # fmt: skip


async def test_dead_letters_are_requeued_by_id_perhaps_with_another_input(api: Scene) -> None:
    first, second = await dead(api), await dead(api)
    alive = (await api.submit())["id"]

    plain = await api.http.post("/api/v1/dead-letters/requeue", json={"ids": [first, alive, 999]})
    mended = await api.http.post("/api/v1/dead-letters/requeue", json={"ids": [second], "input": "Better"})

    assert (plain.json(), mended.json()) == ({"changed": 1}, {"changed": 1})
    revived = (await api.http.get(f"/api/v1/tasks/{second}")).json()
    assert (revived["status"], revived["failures"]) == ("queued", 0)
    assert revived["input"]["messages"][0]["content"] == "Better"


async def test_dead_letters_are_discarded_by_id_and_by_filter(api: Scene) -> None:
    first, second = await dead(api), await dead(api)
    alive = (await api.submit())["id"]

    by_id = await api.http.post("/api/v1/dead-letters/discard", json={"ids": [first, alive]})
    by_filter = await api.http.post("/api/v1/dead-letters/discard", json={"filter": {"model": "m"}})
    ended = await finished(api, by_filter.json())

    assert (by_id.status_code, by_id.json()) == (200, {"changed": 1})
    assert (by_filter.status_code, ended["changed"]) == (202, 1)
    left = (await api.http.get("/api/v1/tasks")).json()["items"]
    assert [task["id"] for task in left] == [alive]
    assert (await api.http.get(f"/api/v1/tasks/{second}")).status_code == 404


async def test_attempts_tell_how_a_task_failed(api: Scene) -> None:
    task_id = await dead(api)

    (attempt,) = (await api.http.get(f"/api/v1/tasks/{task_id}/attempts")).json()["items"]

    assert (attempt["attempt"], attempt["outcome"], attempt["error"]["code"]) == (1, "failed", "bad_request")


async def test_figures_have_the_shape_of_the_document(api: Scene) -> None:
    await dead(api)

    overview = (await api.http.get("/api/v1/stats/overview")).json()
    daily = (await api.http.get("/api/v1/stats/daily")).json()["items"]
    usage = (await api.http.get("/api/v1/stats/usage?group_by=model&from=2020-01-01T00:00:00Z")).json()
    workers = (await api.http.get("/api/v1/workers")).json()["items"]

    assert overview["counts"]["failed"] == 1
    assert overview["queues"][0]["model"] == "m"
    assert daily[-1]["failed_tasks"] == 1
    assert (usage["group_by"], usage["items"][0]["group"], usage["items"][0]["failed"]) == ("model", "m", 1)
    assert workers[0]["host"] == "here"


async def test_processes_tell_their_role_and_those_that_run_tasks_come_first(api: Scene) -> None:
    for role in ("worker", "all", "api"):
        await api.parts.store.open_session(f"{role}-host", 1, "0", role)

    workers = (await api.http.get("/api/v1/workers")).json()["items"]
    overview = (await api.http.get("/api/v1/stats/overview")).json()

    assert [(worker["host"], worker["role"]) for worker in workers] == [
        ("all-host", "all"), ("worker-host", "worker"), ("api-host", "api"),
    ]  # fmt: skip
    assert [worker["role"] for worker in overview["workers"]] == ["all", "worker", "api"]
