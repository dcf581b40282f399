from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.unit.api.scene import OTHER_KEY, OTHER_TENANT, Listening, Scene

from llm_scheduler.domain.ids import DEFAULT_TENANT, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.feed import TaskChanged, TaskDelta

if TYPE_CHECKING:
    from llm_scheduler.domain.task import Task


async def task_of(api: Scene) -> Task:
    return await api.parts.tasks.get(TaskId((await api.submit())["id"]), DEFAULT_TENANT)


async def test_a_stream_begins_with_where_the_task_stands_and_ends_with_the_whole_of_it(api: Scene) -> None:
    task = await task_of(api)

    async with Listening(api.app, f"/api/v1/tasks/{task.id}/events") as listening:
        first = await listening.event()
        await api.http.post(f"/api/v1/tasks/{task.id}/cancel")
        events = [await listening.event() for _ in range(3)]

    assert first is not None
    assert first[0] == "status"
    assert first[1] == {"id": task.id, "model": "m", "status": "queued", "attempt": 0, "at": first[1]["at"]}
    assert events[0] is not None
    assert (events[0][0], events[0][1]["status"]) == ("status", "cancelled")
    assert events[1] is not None
    assert (events[1][0], events[1][1]["id"], events[1][1]["status"]) == ("done", task.id, "cancelled")
    assert events[2] is None


async def test_a_stream_of_a_task_that_is_over_tells_it_and_ends(api: Scene) -> None:
    task = await task_of(api)
    await api.http.post(f"/api/v1/tasks/{task.id}/cancel")

    async with Listening(api.app, f"/api/v1/tasks/{task.id}/events") as listening:
        names = [event[0] if (event := await listening.event()) else None for _ in range(3)]

    assert names == ["status", "done", None]


async def test_deltas_come_in_order_with_their_attempt(api: Scene) -> None:
    task = await task_of(api)
    feed = api.parts.feed

    async with Listening(api.app, f"/api/v1/tasks/{task.id}/events") as listening:
        await listening.event()
        feed.publish(TaskChanged(task.id, task.tenant_id, task.model_id, Status.RUNNING, 1, task.updated_at))
        for text in ("Hel", "lo"):
            feed.publish(TaskDelta(task.id, task.tenant_id, 1, text))
        events = [await listening.event() for _ in range(3)]

    assert [event[0] for event in events if event] == ["status", "delta", "delta"]
    assert [event[1] for event in events[1:] if event] == [{"attempt": 1, "text": "Hel"}, {"attempt": 1, "text": "lo"}]


async def test_a_slow_reader_is_told_what_it_missed(api: Scene) -> None:
    task = await task_of(api)

    async with Listening(api.app, f"/api/v1/tasks/{task.id}/events") as listening:
        await listening.event()
        for number in range(3_000):
            api.parts.feed.publish(TaskDelta(task.id, task.tenant_id, 1, str(number)))
        event = await listening.event()

    assert event is not None
    assert event[0] == "missed"
    assert event[1]["count"] > 0


async def test_nobody_watches_once_the_client_has_gone(api: Scene) -> None:
    task = await task_of(api)

    async with Listening(api.app, f"/api/v1/tasks/{task.id}/events") as listening:
        await listening.event()
        assert api.parts.feed.is_watched

    assert not api.parts.feed.is_watched


async def test_streams_end_when_the_server_stops(api: Scene) -> None:
    task = await task_of(api)

    async with (
        Listening(api.app, f"/api/v1/tasks/{task.id}/events") as one,
        Listening(api.app, "/api/v1/events") as every,
    ):
        await one.event()
        await every.piece()
        api.parts.stopping.set()

        async with asyncio.timeout(5):
            while await one.piece() is not None:
                pass
            while await every.piece() is not None:
                pass


async def test_the_stream_of_all_tasks_shows_a_tenant_its_own(api: Scene) -> None:
    task = await task_of(api)

    async with Listening(api.app, "/api/v1/events") as mine, Listening(api.app, "/api/v1/events", OTHER_KEY) as other:
        assert await mine.piece() == await other.piece() == b": listening\n\n"
        await api.http.post(f"/api/v1/tasks/{task.id}/cancel")
        api.parts.feed.publish(TaskChanged(TaskId(99), OTHER_TENANT, task.model_id, Status.QUEUED, 0, task.updated_at))

        seen, foreign = await mine.event(), await other.event()

    assert seen is not None
    assert foreign is not None
    assert (seen[1]["id"], seen[1]["status"]) == (task.id, "cancelled")
    assert foreign[1]["id"] == 99
