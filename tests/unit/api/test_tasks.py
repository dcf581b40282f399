from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.api.scene import OTHER_KEY, Scene, scene

from llm_scheduler.domain.ids import DEFAULT_TENANT, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.feed import TaskChanged
from llm_scheduler.services.submit import Limits

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_submitted_task_is_read_back_as_it_was_answered(api: Scene) -> None:
    made = await api.submit(priority="low", metadata={"run": 42}, timeout_s=5, run_at="2100-01-01T00:00:00+01:00")

    read = (await api.http.get(f"/api/v1/tasks/{made['id']}")).json()

    assert read == made
    assert made["status"] == "scheduled"
    assert made["run_at"] == "2099-12-31T23:00:00.000Z"
    assert (made["priority"], made["metadata"]) == (9, {"run": "42"})


async def test_a_new_task_says_where_it_is(api: Scene) -> None:
    answer = await api.http.post("/api/v1/tasks", json={"model": "m", "input": "Hi"})

    assert answer.headers["Location"] == f"/api/v1/tasks/{answer.json()['id']}"


async def test_the_same_key_and_body_give_the_same_task(api: Scene) -> None:
    body, headers = {"model": "m", "input": "Hi"}, {"Idempotency-Key": "k1"}

    first = await api.http.post("/api/v1/tasks", json=body, headers=headers)
    again = await api.http.post("/api/v1/tasks", json=body, headers=headers)
    in_the_body = await api.http.post("/api/v1/tasks", json=body | {"idempotency_key": "k1"})
    other = await api.http.post("/api/v1/tasks", json=body | {"input": "Ho"}, headers=headers)

    assert (first.status_code, again.status_code, in_the_body.status_code) == (201, 200, 200)
    assert first.json()["id"] == again.json()["id"] == in_the_body.json()["id"]
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


async def test_a_full_queue_is_429(tmp_path: Path) -> None:
    async with scene(tmp_path, Limits(max_queue_length=1)) as made:
        await made.add_model()
        await made.submit()

        answer = await made.http.post("/api/v1/tasks", json={"model": "m", "input": "Hi"})

    assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


async def test_an_input_over_its_own_limit_is_413(tmp_path: Path) -> None:
    async with scene(tmp_path, Limits(max_input_bytes=1_000)) as made:
        await made.add_model()

        answer = await made.http.post("/api/v1/tasks", json={"model": "m", "input": "x" * 2_000})

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_queued_task_knows_its_place(api: Scene) -> None:
    await api.submit()
    second = await api.submit()
    first_of_all = await api.submit(priority="high")

    places = [
        (await api.http.get(f"/api/v1/tasks/{task['id']}")).json()["queue_position"] for task in (second, first_of_all)
    ]

    assert places == [1, 0]


async def test_pages_follow_one_another_without_gaps(api: Scene) -> None:
    ids = [(await api.submit())["id"] for _ in range(7)]

    for order, expected in (("desc", ids[::-1]), ("asc", ids)):
        seen: list[int] = []
        params: dict[str, Any] = {"limit": 3, "order": order}
        while True:
            page = (await api.http.get("/api/v1/tasks", params=params)).json()
            seen += [task["id"] for task in page["items"]]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
        assert seen == expected


async def test_filters_narrow_lists_and_counts_alike(api: Scene) -> None:
    await api.add_model("other")
    wanted = await api.submit(priority="high", metadata={"run": "7", "user": "a"})
    await api.submit(priority="low", metadata={"run": "8"})
    await api.submit(model="other")

    for query in (
        "metadata.run=7", "metadata.run=7&metadata.user=a", "priority=high", "priority=0&model=m",
        f"ids={wanted['id']},999", f"q={wanted['id']}", "status=queued&status=held&metadata.run=7",
        "created_after=2020-01-01T00:00:00Z&metadata.run=7",
    ):  # fmt: skip
        items = (await api.http.get(f"/api/v1/tasks?{query}")).json()["items"]
        assert [task["id"] for task in items] == [wanted["id"]], query
        assert (await api.http.get(f"/api/v1/tasks/counts?{query}")).json()["total"] == 1, query
    assert (await api.http.get("/api/v1/tasks?status=failed,running")).json()["items"] == []


async def test_a_cancelled_task_runs_again_with_another_input(api: Scene) -> None:
    task = await api.submit()
    path = f"/api/v1/tasks/{task['id']}"

    cancelled = await api.http.post(f"{path}/cancel")
    twice = await api.http.post(f"{path}/cancel")
    revived = await api.http.post(f"{path}/retry", json={"input": "Something else"})
    too_early = await api.http.post(f"{path}/retry")

    assert cancelled.json()["status"] == "cancelled"
    assert (twice.status_code, twice.json()["code"]) == (409, "wrong_status")
    assert revived.json()["status"] == "queued"
    assert revived.json()["input"]["messages"][0]["content"] == "Something else"
    assert too_early.status_code == 409


async def test_only_a_task_that_is_over_can_be_deleted(api: Scene) -> None:
    path = f"/api/v1/tasks/{(await api.submit())['id']}"

    early = await api.http.delete(path)
    await api.http.post(f"{path}/cancel")
    late = await api.http.delete(path)

    assert (early.status_code, late.status_code) == (409, 204)
    assert (await api.http.get(path)).status_code == 404


async def test_logs_and_attempts_are_there_from_the_start(api: Scene) -> None:
    path = f"/api/v1/tasks/{(await api.submit())['id']}"

    assert (await api.http.get(f"{path}/logs")).json()["items"]
    assert (await api.http.get(f"{path}/attempts")).json() == {"items": []}


async def test_another_tenant_sees_nothing_and_moves_nothing(api: Scene) -> None:
    task = await api.submit()
    path = f"/api/v1/tasks/{task['id']}"
    action = (await api.http.post("/api/v1/tasks/actions", json={"action": "retry", "filter": {}})).json()

    async with api.client(key=OTHER_KEY) as other:
        for method, part in (
            ("GET", ""), ("DELETE", ""), ("GET", "/logs"), ("GET", "/attempts"), ("GET", "/events"),
            ("POST", "/cancel"), ("POST", "/retry"),
        ):  # fmt: skip
            assert (await other.request(method, path + part)).status_code == 404, (method, part)
        assert (await other.get("/api/v1/tasks")).json()["items"] == []
        assert (await other.get("/api/v1/tasks/counts")).json()["total"] == 0
        assert (await other.get(f"/api/v1/tasks/actions/{action['id']}")).status_code == 404
        await other.post("/api/v1/dead-letters/discard", json={"ids": [task["id"]]})

    assert (await api.http.get(path)).json()["status"] == "queued"


async def test_a_long_poll_answers_as_soon_as_the_task_is_over(api: Scene) -> None:
    task = await api.submit()
    loop = asyncio.get_running_loop()
    began = loop.time()

    waiting = asyncio.create_task(api.http.get(f"/api/v1/tasks/{task['id']}?wait=30"))
    await api.watched()
    await api.http.post(f"/api/v1/tasks/{task['id']}/cancel")

    assert (await waiting).json()["status"] == "cancelled"
    assert loop.time() - began < 5
    assert not api.parts.feed.is_watched


async def test_a_long_poll_also_notices_what_nobody_told(api: Scene) -> None:
    """News are best effort: the record is read again every two seconds."""
    task = await api.submit()

    waiting = asyncio.create_task(api.http.get(f"/api/v1/tasks/{task['id']}?wait=30"))
    await api.watched()
    await api.parts.store.cancel([TaskId(task["id"])])

    assert (await waiting).json()["status"] == "cancelled"


async def test_a_long_poll_ends_with_the_task_as_it_stands(api: Scene) -> None:
    task = await api.submit()

    assert (await api.http.get(f"/api/v1/tasks/{task['id']}?wait=1")).json()["status"] == "queued"


async def test_long_polls_answer_when_the_server_stops(api: Scene) -> None:
    task = await api.submit()

    waiting = asyncio.create_task(api.http.get(f"/api/v1/tasks/{task['id']}?wait=60"))
    await api.watched()
    async with asyncio.timeout(5):
        api.parts.stopping.set()

        assert (await waiting).json()["status"] == "queued"


@pytest.mark.parametrize("status", [Status.RUNNING, Status.QUEUED])
async def test_news_that_is_not_the_end_does_not_end_a_long_poll(api: Scene, status: Status) -> None:
    task = await api.parts.tasks.get(TaskId((await api.submit())["id"]), DEFAULT_TENANT)

    waiting = asyncio.create_task(api.http.get(f"/api/v1/tasks/{task.id}?wait=1"))
    await api.watched()
    async with asyncio.timeout(5):
        api.parts.feed.publish(TaskChanged(task.id, task.tenant_id, task.model_id, status, 1, task.updated_at))

        assert (await waiting).json()["status"] == "queued"
