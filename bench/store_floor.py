"""What the record costs per task: submit, START and DONE through the public API, and bare sqlite3 beside it.

Runs are interleaved (floor, store, floor, store, …) and medians are printed, because both share one disk.

    python -m bench.store_floor [--engine sqlite|mysql] [--tasks 20000] [--rounds 3] [--folder DIR] [--profile]

With `--engine mysql` a MariaDB of its own stands beside; its CPU time is printed too.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import sqlite3
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
from tests.rig.mariadb import MariaDb

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, SessionId, TaskId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.outcome import Ended
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome, NewTask, Usage
from llm_scheduler.ports.store import StartedTask, StartOrder
from llm_scheduler.stores.mysql import DatabaseClock, MysqlStore
from llm_scheduler.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.ports.store import Store

INPUT = '{"messages": [{"role": "user", "content": "' + "x" * 240 + '"}]}'
RAW = '{"choices": [{"message": {"role": "assistant", "content": "' + "y" * 120 + '"}}]}'
LIST, CLAIMS, LANES, BATCH = 1_000, 64, 4, 256


class Clock:
    def now(self) -> Millis:
        return Millis(time.time_ns() // 1_000_000)

    def monotonic_s(self) -> float:
        return time.monotonic()


class Meter:
    """Counts commits; the other calls of the port do not happen here."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def committed(self, batch_size: int) -> None:
        self.batches.append(batch_size)

    def __getattr__(self, name: str) -> object:
        raise AttributeError(name)


class Figures(NamedTuple):
    seconds: float
    cpu_s: float


class Watch:
    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> Figures:
        return Figures(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def sqlite_store(folder: Path, meter: Meter) -> Store:
    return SqliteStore(folder / "store.db", Clock(), meter)


async def through_store(make: Callable[[Meter], Store], tasks: int) -> tuple[Figures, Figures, float]:
    """Submit, then START and DONE of everything; and the mean size of a commit."""
    meter = Meter()
    store = make(meter)
    await store.open()
    model = await store.add_model(Model(ModelId(0), DEFAULT_TENANT, "bench", "scripted", {}))
    session = await store.open_session("bench", 1, "0")
    lists = [[_task(model.id) for _ in range(LIST)] for _ in range(tasks // LIST)]
    watch = Watch()
    answers = await asyncio.gather(*(store.submit(one) for one in lists))
    submitted = watch.read()
    ids = [one.task_id for answer in answers for one in answer]
    meter.batches.clear()
    watch = Watch()
    await asyncio.gather(*(_lane(store, session, ids[lane::LANES]) for lane in range(LANES)))
    moved = watch.read()
    await store.close()
    return submitted, moved, statistics.mean(meter.batches)


def _task(model: ModelId) -> NewTask:
    return NewTask(DEFAULT_TENANT, model, "chat", INPUT, priority=5, max_retries=3, est_tokens=100)


async def _lane(store: Store, session: SessionId, ids: list[TaskId]) -> None:
    for first in range(0, len(ids), CLAIMS):
        orders = [StartOrder(task_id, 0) for task_id in ids[first : first + CLAIMS]]
        running = []
        for started in await store.start(session, orders):
            assert isinstance(started, StartedTask)
            end = Ended(
                task_id=started.task_id,
                tenant_id=started.tenant_id,
                model_id=started.model_id,
                session_id=session,
                attempt=started.attempt,
                generation=started.generation,
                started_at=started.started_at,
                ended_at=started.started_at,
                outcome=AttemptOutcome.COMPLETED,
                status=Status.COMPLETED,
                usage=Usage(50, 30),
                cost_microusd=12,
                output="y" * 120,
                raw=RAW,
                finish_reason="stop",
            )
            running.append(asyncio.create_task(store.record(end)))
        answers = await asyncio.gather(*running)
        assert all(answer.is_accepted for answer in answers)


def bare(folder: Path, tasks: int) -> tuple[Figures, Figures]:
    """The same rows by `executemany` in transactions of 256, nobody waiting, tasks table and its indexes only."""
    path = folder / "bare.db"
    asyncio.run(_make(path))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = OFF")
    insert = (
        "INSERT INTO tasks (id, tenant_id, model_id, type, status, priority, attempt, failures, crashes, retry_count, "
        "max_retries, generation, cancel, est_tokens, created_at, updated_at, queued_at, eligible_at, input) "
        "VALUES (?, 1, 1, 'chat', 'queued', 5, 0, 0, 0, 0, 3, 1, 0, 100, ?, ?, ?, ?, ?)"
    )
    now = time.time_ns() // 1_000_000
    watch = Watch()
    for first in range(0, tasks, LIST):
        _run(connection, insert, [(i, now, now, now, now, INPUT) for i in range(first + 1, first + LIST + 1)])
    submitted = watch.read()
    start = (
        "UPDATE tasks SET status = 'running', attempt = attempt + 1, owner = 1 "
        "WHERE id = ? AND status = 'queued' AND attempt = 0"
    )
    done = "UPDATE tasks SET status = 'completed', owner = NULL, output = ? WHERE id = ? AND status = 'running'"
    watch = Watch()
    for first in range(1, tasks + 1, BATCH):
        ids = range(first, min(first + BATCH, tasks + 1))
        _run(connection, start, [(i,) for i in ids])
        _run(connection, done, [("y" * 120, i) for i in ids])
    moved = watch.read()
    connection.close()
    return submitted, moved


def _run(connection: sqlite3.Connection, statement: str, rows: list[tuple]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(statement, rows)
    connection.execute("COMMIT")


async def _make(path: Path) -> None:
    store = SqliteStore(path, Clock(), Meter())
    await store.open()
    await store.add_model(Model(ModelId(0), DEFAULT_TENANT, "bench", "scripted", {}))
    await store.close()


def _line(name: str, runs: list[Figures], tasks: int) -> str:
    rate = tasks / statistics.median(run.seconds for run in runs)
    cpu_ms = statistics.median(run.cpu_s for run in runs) * 1000 / tasks
    return f"{name:<28} {rate:>9,.0f} tasks/s   {cpu_ms:.4f} ms CPU per task"


def with_sqlite(options: argparse.Namespace) -> None:
    floor, store, batches = [], [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            floor.append(bare(Path(name), options.tasks))
            make = partial(sqlite_store, Path(name))
            submitted, moved, batch = asyncio.run(through_store(make, options.tasks))
            store.append((submitted, moved))
            batches.append(batch)
    print(_line("submit, bare sqlite3", [run[0] for run in floor], options.tasks))
    print(_line("submit, store", [run[0] for run in store], options.tasks))
    print(_line("START + DONE, bare sqlite3", [run[1] for run in floor], options.tasks))
    print(_line("START + DONE, store", [run[1] for run in store], options.tasks))
    print(f"operations per commit: {statistics.median(batches):.0f}")


def with_mysql(options: argparse.Namespace) -> None:
    """Against MariaDB, durable as by default."""
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        server = MariaDb(Path(name))
        server.start()
        try:
            cpu = psutil.Process(server.process.pid)
            store, batches, theirs = [], [], []
            for _ in range(options.rounds):
                url = server.create("bench")
                before = sum(cpu.cpu_times()[:2])
                make = partial(_mysql_store, url)
                submitted, moved, batch = asyncio.run(through_store(make, options.tasks))
                theirs.append((sum(cpu.cpu_times()[:2]) - before) * 1000 / options.tasks)
                store.append((submitted, moved))
                batches.append(batch)
        finally:
            server.close()
    print(_line("submit, store", [run[0] for run in store], options.tasks))
    print(_line("START + DONE, store", [run[1] for run in store], options.tasks))
    print(f"MariaDB: {statistics.median(theirs):.4f} ms CPU per task")
    print(f"operations per commit: {statistics.median(batches):.0f}")


def _mysql_store(url: str, meter: Meter) -> Store:
    return MysqlStore(url, DatabaseClock(), meter)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("sqlite", "mysql"), default="sqlite")
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    run = with_mysql if options.engine == "mysql" else with_sqlite
    if not options.profile:
        run(options)
        return
    profile = cProfile.Profile()
    profile.runcall(run, options)
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
