"""A store with a clock that stands still, a model and a worker session: where every contract test begins."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.rig import mariadb

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, SessionId, TaskId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.outcome import Ended
from llm_scheduler.domain.status import DeadReason, Status
from llm_scheduler.domain.task import AttemptOutcome, NewTask, Task, TaskError, Usage
from llm_scheduler.ports.money import HeldTask
from llm_scheduler.ports.store import Recorded, StartedTask, StartOrder, Store, TaskFilter
from llm_scheduler.stores.mysql import MysqlStore
from llm_scheduler.stores.sqlite import SqliteStore
from llm_scheduler.stores.tables import METADATA

NOON = Millis(1_800_000_000_000)
BOOM = TaskError("server_error", "the provider broke", is_retryable=True, http_status=500)


class StillClock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> Millis:
        return self.at

    def monotonic_s(self) -> float:
        return self.at / 1000

    def pass_s(self, seconds: float) -> None:
        self.at = Millis(self.at + round(seconds * 1000))


class CountingMeter:
    """Keeps the sizes of commits."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def committed(self, batch_size: int) -> None:
        self.batches.append(batch_size)


class Scene:
    """What tests say in one line."""

    def __init__(self, store: Store, clock: StillClock, model: Model, session: SessionId) -> None:
        self.store, self.clock, self.model, self.session = store, clock, model, session

    def new(self, **changes: Any) -> NewTask:
        values: dict[str, Any] = {
            "tenant_id": DEFAULT_TENANT,
            "model_id": self.model.id,
            "type": "chat",
            "input": '{"messages": []}',
            "priority": 5,
            "max_retries": 3,
            "est_tokens": 100,
        }
        return NewTask(**(values | changes))

    async def submitted(self, count: int = 1, **changes: Any) -> list[TaskId]:
        answers = await self.store.submit([self.new(**changes) for _ in range(count)])
        return [answer.task_id for answer in answers]

    async def start(self, task_id: TaskId, expected: int = 0, session: SessionId | None = None) -> StartedTask | None:
        orders = [StartOrder(task_id, expected)]
        [answer] = await self.store.start(session or self.session, orders)
        assert not isinstance(answer, HeldTask)
        return answer

    async def started(self, task_id: TaskId, expected: int = 0, session: SessionId | None = None) -> StartedTask:
        won = await self.start(task_id, expected, session)
        assert won is not None
        return won

    def end(self, started: StartedTask, status: Status, **changes: Any) -> Ended:
        is_success = status is Status.COMPLETED
        values: dict[str, Any] = {
            "task_id": started.task_id,
            "tenant_id": started.tenant_id,
            "model_id": started.model_id,
            "session_id": self.session,
            "attempt": started.attempt,
            "generation": started.generation,
            "started_at": started.started_at,
            "ended_at": Millis(started.started_at + 1200),
            "outcome": AttemptOutcome.COMPLETED if is_success else AttemptOutcome.FAILED,
            "status": status,
            "usage": Usage(10, 20),
            "cost_microusd": 7,
        }
        values |= {"output": "hello", "raw": '{"a": 1}', "finish_reason": "stop"} if is_success else {"error": BOOM}
        return Ended(**(values | changes))

    async def complete(self, started: StartedTask, **changes: Any) -> Recorded:
        return await self.store.record(self.end(started, Status.COMPLETED, **changes))

    async def fail(self, started: StartedTask, **changes: Any) -> Recorded:
        values = {"dead_reason": DeadReason.NOT_RETRYABLE, "counts_failure": True} | changes
        return await self.store.record(self.end(started, Status.FAILED, **values))

    async def retry_later(self, started: StartedTask, wait_s: float = 5, **changes: Any) -> Recorded:
        values = {"counts_failure": True, "counts_retry": True} | changes
        values["eligible_at"] = Millis(self.clock.now() + round(wait_s * 1000))
        return await self.store.record(self.end(started, Status.SCHEDULED, **values))

    async def task(self, task_id: TaskId) -> Task:
        task = await self.store.task(task_id)
        assert task is not None
        return task

    async def status(self, task_id: TaskId) -> Status:
        return (await self.task(task_id)).status

    async def said(self, task_id: TaskId) -> list[str]:
        return [line.message for line in await self.store.logs(task_id)]

    async def lose_worker(self) -> SessionId:
        """The session misses its ttl and is buried; a new one is open."""
        self.clock.pass_s(11)
        other = await self.store.open_session("other", 2, "1.0")
        await self.store.bury(10)
        return other

    async def listed(self, where: TaskFilter, limit: int = 100) -> list[TaskId]:
        return [task.id for task in (await self.store.tasks(where, limit=limit)).items]

    async def pages(self, where: TaskFilter, limit: int, is_ascending: bool = False) -> list[Sequence[TaskId]]:
        pages, cursor = [], None
        while True:
            page = await self.store.tasks(where, limit=limit, cursor=cursor, is_ascending=is_ascending)
            pages.append([task.id for task in page.items])
            cursor = page.next_cursor
            if cursor is None:
                return pages


def sqlite_store(folder: Path, clock: StillClock, meter: CountingMeter) -> Store:
    return SqliteStore(folder / "record.db", clock, meter)


_EMPTIED = sorted(METADATA.tables.keys() - {"tenants", "id_blocks", "schema_floor"})
_RESET = "; ".join(
    [
        *(f"DELETE FROM {name}" for name in _EMPTIED if name != "audit_log"),  # noqa: S608 - our tables
        "TRUNCATE TABLE audit_log",  # its triggers let no row be deleted
        "DELETE FROM tenants WHERE id <> 1",
        "UPDATE tenants SET name = 'default', weight = 1, max_workers = NULL",
        "UPDATE id_blocks SET next_id = 1",
    ]
)
_used_by: list[Path] = []


def mysql_url(folder: Path) -> str:
    """The database of one test: empty (or not made yet) when another folder had it before."""
    server, name = mariadb.shared(), "contract"
    if not _used_by:
        server.create(name)
    elif _used_by[-1] != folder and "tasks" in server.sql("SHOW TABLES", name):
        server.sql(_RESET, name)
    _used_by.append(folder)
    return server.url(name)


def mysql_store(folder: Path, clock: StillClock, meter: CountingMeter) -> Store:
    return MysqlStore(mysql_url(folder), clock, meter)


Maker = Callable[[Path, StillClock, CountingMeter], Store]
MAKERS: dict[str, Maker] = {"sqlite": sqlite_store, "mysql": mysql_store}


@asynccontextmanager
async def opened(make: Maker, folder: Path, meter: CountingMeter | None = None) -> AsyncIterator[Scene]:
    """A scene on a fresh (or the folder's) record."""
    clock = StillClock()
    store = make(folder, clock, meter or CountingMeter())
    await store.open()
    try:
        known = {model.name: model for model in await store.models()}
        blank = Model(ModelId(0), DEFAULT_TENANT, "m", "scripted", {"a": "é"})
        model = known.get("m") or await store.add_model(blank)
        yield Scene(store, clock, model, await store.open_session("here", 1, "1.0"))
    finally:
        await store.close()


@pytest.fixture(params=sorted(MAKERS))
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    async with opened(MAKERS[request.param], tmp_path) as made:
        yield made
