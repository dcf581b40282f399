"""Following a task where every message can be lost: the record makes up for it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.inside import until
from tests.stubs.hub import Hub
from tests.unit.api.scene import Listening, Scene, scene

from llm_scheduler.api.following import FIRST_REREAD_S, REREAD_S, Rereads
from llm_scheduler.domain.ids import DEFAULT_TENANT, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.feed import Missed, TaskChanged, TaskDelta
from llm_scheduler.ports.provider import Answer
from llm_scheduler.ports.store import StartedTask, StartOrder
from llm_scheduler.relay.live import LocalFeed
from llm_scheduler.relay.shared_feed import SharedFeed
from llm_scheduler.services import outcomes
from llm_scheduler.telemetry.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from llm_scheduler.domain.ids import SessionId
    from llm_scheduler.domain.task import Task


class Apart(Scene):
    """An API process that hears the worker only when the test lets it."""

    hub: Hub
    worker: SharedFeed
    session: SessionId
    started: StartedTask

    async def task(self) -> Task:
        return await self.parts.tasks.get(TaskId((await self.submit())["id"]), DEFAULT_TENANT)

    def tell(self, task: Task, status: Status, attempt: int = 1) -> None:
        """As the worker does."""
        self.worker.publish(TaskChanged(task.id, task.tenant_id, task.model_id, status, attempt, task.updated_at))

    def write(self, task: Task, text: str) -> None:
        self.worker.publish(TaskDelta(task.id, task.tenant_id, 1, text))

    async def start(self, task: Task) -> None:
        """On record only."""
        self.session = await self.parts.store.open_session("h", 1, "1")
        [started] = await self.parts.store.start(self.session, [StartOrder(task.id, 0)])
        assert isinstance(started, StartedTask)
        self.started = started

    async def complete(self, text: str) -> None:
        """On record only."""
        ended = outcomes.completed(self.started, self.session, self.parts.clock.now(), Answer(text, {}))
        assert (await self.parts.store.record(ended)).is_accepted


@asynccontextmanager
async def apart(folder: Path) -> AsyncIterator[Apart]:
    hub = Hub()
    feeds = [SharedFeed(LocalFeed(), hub.channel(), SystemClock()) for _ in range(2)]
    async with scene(folder, feed=feeds[0]) as made:
        for feed in feeds:
            await feed.open()
        api = Apart(made.parts)
        api.hub, api.worker = hub, feeds[1]
        await api.add_model()
        try:
            yield api
        finally:
            await api.http.aclose()
            for feed in feeds:
                await feed.close()


async def test_a_long_poll_ends_although_every_message_is_lost(tmp_path: Path) -> None:
    """The record is read again while it waits."""
    async with apart(tmp_path) as api:
        api.hub.is_cut = True
        task = await api.task()
        waiting = asyncio.create_task(api.http.get(f"/api/v1/tasks/{task.id}?wait=20"))
        await until(lambda: bool(api.parts.feed._local._by_task), "it waits")  # type: ignore[attr-defined]
        await api.start(task)
        await api.complete("hello")
        async with asyncio.timeout(REREAD_S + 1):
            answer = (await waiting).json()

        assert (answer["status"], answer["output"]["text"]) == ("completed", "hello")


async def test_a_long_poll_asks_for_no_text(tmp_path: Path) -> None:
    """It would be carried from process to process, and thrown away."""
    async with apart(tmp_path) as api:
        task = await api.task()
        waiting = asyncio.create_task(api.http.get(f"/api/v1/tasks/{task.id}?wait=20"))
        await until(lambda: bool(api.parts.feed._local._by_task), "it waits")  # type: ignore[attr-defined]
        assert not api.worker.has_watchers(task.id)
        api.tell(task, Status.RUNNING)
        await api.http.post(f"/api/v1/tasks/{task.id}/cancel")
        api.tell(task, Status.CANCELLED)
        async with asyncio.timeout(5):
            assert (await waiting).json()["status"] == "cancelled"


async def test_a_stream_ends_with_the_whole_task_although_every_message_is_lost(tmp_path: Path) -> None:
    """Also the one that says that it is over."""
    async with apart(tmp_path) as api:
        api.hub.is_cut = True
        task = await api.task()
        async with Listening(api.app, f"/api/v1/tasks/{task.id}/events") as listening:
            await listening.event()
            await api.start(task)
            await api.complete("hello")
            events = [await listening.event() for _ in range(3)]

    names = [event[0] if event else None for event in events]
    assert names == ["status", "done", None]
    assert events[1] is not None
    assert events[1][1]["output"]["text"] == "hello"


async def test_text_that_is_missing_at_the_end_is_made_up_for(tmp_path: Path) -> None:
    """What the client got adds up to the answer."""
    async with apart(tmp_path) as api:
        task = await api.task()
        async with Listening(api.app, f"/api/v1/tasks/{task.id}/events") as listening:
            await listening.event()
            await until(lambda: api.worker.has_watchers(task.id), "the reader is announced")
            await api.start(task)
            api.tell(task, Status.RUNNING)
            api.write(task, "Hel")
            events = [await listening.event() for _ in range(2)]
            api.hub.is_cut = True
            api.write(task, "lo ")
            await api.complete("Hello world")
            api.tell(task, Status.COMPLETED)
            events += [await listening.event() for _ in range(4)]

    told = [event for event in events if event is not None]
    assert [name for name, _ in told] == ["status", "delta", "delta", "status", "done"]
    assert "".join(data["text"] for name, data in told if name == "delta") == "Hello world"


async def test_text_that_is_missing_in_the_middle_is_told_and_not_made_up(tmp_path: Path) -> None:
    """It would come in the wrong place; `done` has it all."""
    async with apart(tmp_path) as api:
        task = await api.task()
        async with Listening(api.app, f"/api/v1/tasks/{task.id}/events") as listening:
            await listening.event()
            await until(lambda: api.worker.has_watchers(task.id), "the reader is announced")
            await api.start(task)
            api.tell(task, Status.RUNNING)
            api.write(task, "one ")
            events = [await listening.event() for _ in range(2)]
            api.hub.is_cut = True
            api.hub.sent.clear()
            api.write(task, "two ")
            await until(lambda: any(topic.startswith("deltas") for topic, _ in api.hub.sent), "it was sent, in vain")
            api.hub.mend()
            events += [await listening.event()]
            api.write(task, "three")
            await api.complete("one two three")
            api.tell(task, Status.COMPLETED)
            events += [await listening.event() for _ in range(4)]

    told = [event for event in events if event is not None]
    assert [name for name, _ in told] == ["status", "delta", "missed", "delta", "status", "done"]
    assert told[2][1] == {"count": 0}
    assert told[-1][1]["output"]["text"] == "one two three"


async def test_a_status_that_comes_late_is_not_told_after_a_newer_one(tmp_path: Path) -> None:
    """The record may be quicker than the message."""
    async with apart(tmp_path) as api:
        task = await api.task()
        await api.start(task)
        async with Listening(api.app, f"/api/v1/tasks/{task.id}/events") as listening:
            first = await listening.event()
            api.tell(task, Status.QUEUED, 0)
            api.tell(task, Status.RUNNING)
            api.tell(task, Status.SCHEDULED)
            second = await listening.event()

    assert first is not None
    assert second is not None
    assert (first[1]["status"], second[1]["status"]) == ("running", "scheduled")


def test_the_record_is_read_less_and_less_often_while_nothing_comes() -> None:
    """A change brings the quick pace back, text does not; where nothing is lost the pace is calm."""
    lossy = Rereads(SharedFeed(LocalFeed(), Hub().channel(), SystemClock()), 15.0)
    change = TaskChanged(TaskId(1), DEFAULT_TENANT, 1, Status.RUNNING, 1, 1)  # type: ignore[arg-type]
    paces: list[float] = []
    for news in (None, None, None, None, TaskDelta(TaskId(1), DEFAULT_TENANT, 1, ""), change, None, Missed(0)):
        lossy.heard(news)
        paces.append(lossy.next_s)
    assert paces == [0.5, 1.0, REREAD_S, REREAD_S, REREAD_S, FIRST_REREAD_S, 0.5, FIRST_REREAD_S]

    calm = Rereads(LocalFeed(), 15.0)
    for news in (None, change, None):
        calm.heard(news)
        assert calm.next_s == 15.0
