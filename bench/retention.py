"""What it costs to take finished tasks out while others are submitted, started and recorded.

Fills a database with tasks that finished 40 days ago, then lets a light load run: first alone, then beside a
walk of retention, by rows and (MySQL) by ranges. The pauses that the load saw are what matters.

    python -m bench.retention [--engine mysql|sqlite] [--rows 200000] [--archive ndjson|none] [--folder DIR]

With fewer rows than two million ids are spread, so that there are two ranges at least. `--rows 5000000` needs
10 GB and takes about half an hour.
"""

# ruff: noqa: S608 - all values are of our own making

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from tests.rig.mariadb import MariaDb

from bench.rig import machine, percentile
from llm_scheduler.api.archived import archive_line
from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId
from llm_scheduler.domain.model import Model
from llm_scheduler.domain.outcome import Ended
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome, NewTask, Usage
from llm_scheduler.ports.store import StartOrder
from llm_scheduler.services.retention import Retention
from llm_scheduler.stores.archive import reading
from llm_scheduler.stores.archive.writing import NdjsonArchive, NoArchive
from llm_scheduler.stores.mysql import DatabaseClock, MysqlStore
from llm_scheduler.stores.sqlite import SqliteStore
from llm_scheduler.telemetry.clock import SystemClock
from llm_scheduler.telemetry.prometheus import PrometheusMeter

MILLION, CHUNK = 1_000_000, 250_000
DAY_MS = 86_400_000
LOAD_EVERY_S, ALONE_S = 0.02, 15.0
INPUT = '{"messages":[{"role":"user","content":"' + "x" * 240 + '"}]}'
RAW = '{"choices":[{"message":{"role":"assistant","content":"' + "y" * 120 + '"}}]}'
COLUMNS = {
    "tasks": "id,tenant_id,model_id,type,status,priority,attempt,failures,crashes,retry_count,max_retries,generation,"
    "cancel,est_tokens,created_at,updated_at,queued_at,eligible_at,started_at,completed_at,metadata,input,output",
    "attempts": "task_id,attempt,tenant_id,model_id,session_id,queued_at,started_at,ended_at,outcome,is_accepted,"
    "prompt_tokens,completion_tokens,cost_microusd",
    "results": "task_id,tenant_id,attempt,prompt_tokens,completion_tokens,total_tokens,cost_microusd,created_at,"
    "finish_reason,raw",
    "task_logs": "id,task_id,tenant_id,level,created_at,message",
    "task_metadata": "tenant_id,`key`,value,created_at,task_id",
}
VALUES = {
    "tasks": "{id},1,{model},'chat',CASE WHEN {id} % 50 = 0 THEN 'failed' ELSE 'completed' END,{id} % 10,1,0,0,0,3,1,"
    "0,100,{at},{at}+900,{at},{at},{at}+20,{at}+900,CASE WHEN {id} % 4 = 0 THEN '{{\"run\":\"1\"}}' END,'{input}','ok'",
    "attempts": "{id},1,1,{model},1,{at},{at}+20,{at}+900,'completed',1,10,20,5",
    "results": "{id},1,1,10,20,30,5,{at}+900,'stop','{raw}'",
    "task_logs": "{id}*2+{n},{id},1,'info',{at}+20,'started (attempt 1)'",
    "task_metadata": "1,'run','1',{at},{id}",
}


class Rows(NamedTuple):
    """What is filled in: ids `stride`, 2 `stride`, …"""

    total: int
    stride: int
    model: int
    newest_at: int

    @property
    def last_id(self) -> int:
        return self.total * self.stride

    def statements(self, source: str, first: int, last: int):
        """INSERTs of the rows with these numbers; `source` makes a table `numbers` with a column `seq`."""
        at = f"({self.newest_at}-({self.total}-seq))"
        for table, columns in COLUMNS.items():
            for n in range(2 if table == "task_logs" else 1):
                values = VALUES[table].format(
                    id=f"(seq*{self.stride})", model=self.model, at=at, input=INPUT, raw=RAW, n=n
                )
                where = f"seq BETWEEN {first} AND {last}" + (
                    f" AND (seq*{self.stride}) % 4 = 0" if table == "task_metadata" else ""
                )
                yield source.format(head=f"INSERT INTO {table} ({columns})", values=values, where=where)


class Load:
    """A client that submits, starts and records one task after another, and notes how long each took."""

    def __init__(self, store: Any, clock: Any, model: ModelId, session: Any) -> None:
        self._store, self._clock, self._model, self._session = store, clock, model, session
        self.phase = "alone"
        self.seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self.slowest: dict[str, tuple[float, str]] = {}

    async def run(self) -> None:
        while True:
            new = NewTask(DEFAULT_TENANT, self._model, "chat", INPUT, 5, 3, 100)
            (submitted,) = await self._timed("submit", self._store.submit([new]))
            order = [StartOrder(submitted.task_id, 0)]
            (started,) = await self._timed("start", self._store.start(self._session, order))
            now = self._clock.now()
            await self._timed(
                "record",
                self._store.record(
                    Ended(
                        task_id=started.task_id,
                        tenant_id=started.tenant_id,
                        model_id=started.model_id,
                        session_id=self._session,
                        attempt=started.attempt,
                        generation=started.generation,
                        started_at=started.started_at,
                        ended_at=now,
                        outcome=AttemptOutcome.COMPLETED,
                        status=Status.COMPLETED,
                        usage=Usage(1, 2),
                        cost_microusd=1,
                        output="ok",
                        raw=RAW,
                        finish_reason="stop",
                    )
                ),
            )
            await asyncio.sleep(LOAD_EVERY_S)

    async def _timed(self, what: str, step: Any) -> Any:
        phase, begun_s = self.phase, time.perf_counter()
        answer = await step
        self.seconds[phase][what].append(time.perf_counter() - begun_s)
        return answer

    def show(self) -> None:
        print(f"{'load beside':<22} {'what':<8} {'count':>7} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
        for phase, kinds in self.seconds.items():
            for what, took in kinds.items():
                figures = (percentile(took, 0.5), percentile(took, 0.99), max(took))
                shown = " ".join(f"{1000 * one:>8.1f}" for one in figures)
                print(f"{phase:<22} {what:<8} {len(took):>7} {shown}")


class Watched:
    """The store, with the times of removals and drops."""

    def __init__(self, store: Any, load: Load, by_rows: set[int]) -> None:
        self._store, self._load, self._by_rows = store, load, by_rows
        self.removals: list[tuple[int, float]] = []
        self.drops: list[float] = []
        self.spans: dict[str, float] = defaultdict(float)
        self._since_s = time.perf_counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def id_ranges(self) -> Any:
        ranges = await self._store.id_ranges()
        return [one._replace(is_droppable=one.is_droppable and one.past not in self._by_rows) for one in ranges]

    def _turn(self, phase: str) -> None:
        now_s = time.perf_counter()
        self.spans[self._load.phase] += now_s - self._since_s
        self._since_s, self._load.phase = now_s, phase

    async def candidates(self, within: Any, *more: Any) -> Any:
        self._turn("archiving a range" if within.is_droppable else "removing rows")
        return await self._store.candidates(within, *more)

    async def retire(self, *arguments: Any) -> int:
        begun_s = time.perf_counter()
        gone = await self._store.retire(*arguments)
        self.removals.append((gone, time.perf_counter() - begun_s))
        return gone

    async def over(self, *arguments: Any) -> Any:
        self._turn("looking through")
        return await self._store.over(*arguments)

    async def drop_range(self, *arguments: Any) -> bool:
        self._turn("dropping a range")
        begun_s = time.perf_counter()
        try:
            return await self._store.drop_range(*arguments)
        finally:
            self.drops.append(time.perf_counter() - begun_s)

    async def forget(self, *arguments: Any) -> Any:
        self._turn("the rest")
        return await self._store.forget(*arguments)

    def end(self) -> None:
        self._turn("after")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def fill_mysql(server: MariaDb, rows: Rows) -> None:
    source = "{head} SELECT {values} FROM seq_1_to_%d WHERE {where}" % rows.total  # noqa: UP031 - braces are kept
    for first in range(1, rows.total + 1, CHUNK):
        text = "; ".join(rows.statements(source, first, min(first + CHUNK - 1, rows.total)))
        server.sql("SET unique_checks=0; " + text, "llms")
    server.sql(f"UPDATE id_blocks SET next_id={rows.last_id + 1} WHERE name='tasks'", "llms")
    server.sql(f"UPDATE id_blocks SET next_id={2 * rows.last_id + 2} WHERE name='task_logs'", "llms")


def fill_sqlite(path: Path, rows: Rows) -> None:
    with sqlite3.connect(path) as connection:
        for first in range(1, rows.total + 1, CHUNK):
            last = min(first + CHUNK - 1, rows.total)
            numbers = (
                f"WITH RECURSIVE numbers(seq) AS (SELECT {first} UNION ALL SELECT seq+1 FROM numbers LIMIT {CHUNK})"
            )
            for text in rows.statements(numbers + " {head} SELECT {values} FROM numbers WHERE {where}", first, last):
                connection.execute(text)
            connection.commit()
        connection.execute("UPDATE id_blocks SET next_id = ? WHERE name = 'tasks'", (rows.last_id + 1,))
        connection.execute("UPDATE id_blocks SET next_id = ? WHERE name = 'task_logs'", (2 * rows.last_id + 2,))


async def measure(options: argparse.Namespace, folder: Path, server: MariaDb | None) -> None:
    clock = SystemClock() if server is None else DatabaseClock()
    meter = PrometheusMeter()
    path = folder / "record.db"
    make = lambda: SqliteStore(path, clock, meter) if server is None else MysqlStore(server.url(), clock, meter)  # noqa: E731
    store: Any = make()
    await store.open()
    model = await store.add_model(Model(ModelId(0), DEFAULT_TENANT, "m", "scripted", {}))
    stride = max(1, -(-2 * MILLION // options.rows)) if server else 1
    rows = Rows(options.rows, stride, model.id, clock.now() - 40 * DAY_MS)
    if server is not None:
        await store.make_ranges(rows.last_id)
    await store.close()
    begun_s = time.perf_counter()
    if server is None:
        await asyncio.to_thread(fill_sqlite, path, rows)
    else:
        await asyncio.to_thread(fill_mysql, server, rows)
    data = folder / "data" / "llms" if server else folder
    full = size_of(data)
    print(f"filled {rows.total:,} finished tasks in {time.perf_counter() - begun_s:.0f} s, {full / 2**30:.2f} GiB")
    store = make()
    await store.open()
    try:
        await walk(options, store, clock, meter, model.id, folder)
    finally:
        await store.close()
    left = size_of(data) - size_of(folder / "archive") if server is None else size_of(data)
    print(f"disk: {full / 2**30:.2f} GiB before, {left / 2**30:.2f} GiB after", end="")
    if server is None:
        with sqlite3.connect(path) as connection:
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        print(f"; {100 * free / pages:.0f} % of its pages are free to be used again", end="")
    print()


async def walk(options: Any, store: Any, clock: Any, meter: PrometheusMeter, model: ModelId, folder: Path) -> None:
    load = Load(store, clock, model, await store.open_session("bench", 1, "1.0"))
    watched = Watched(store, load, {MILLION} if options.engine == "mysql" else set())
    archive = NdjsonArchive(folder / "archive") if options.archive == "ndjson" else NoArchive()
    retention = Retention(watched, archive, lambda whole: archive_line(whole, str), clock, meter, 30)  # type: ignore[arg-type]
    client = asyncio.create_task(load.run())
    await asyncio.sleep(ALONE_S)
    watched._since_s = begun_s = time.perf_counter()
    gone = await retention.walk()
    took_s = time.perf_counter() - begun_s
    watched.end()
    client.cancel()
    await asyncio.gather(client, return_exceptions=True)
    load.show()
    print(f"{gone:,} tasks left the record in {took_s:.1f} s: {gone / took_s:,.0f}/s")
    if watched.removals:
        removed, spent = sum(one for one, _ in watched.removals), watched.spans["removing rows"]
        took = [one for _, one in watched.removals]
        print(
            f"  by rows: {removed:,} in {spent:.1f} s, {removed / spent:,.0f}/s archived and removed; a removal of "
            f"{removed / len(took):.0f} tasks takes p50 {1000 * percentile(took, 0.5):.1f} ms, "
            f"p99 {1000 * percentile(took, 0.99):.1f} ms"
        )
    if watched.drops:
        dropped = gone - sum(one for one, _ in watched.removals)
        looking, archiving = watched.spans["looking through"], watched.spans["archiving a range"]
        drops = ", ".join(f"{one:.2f}" for one in watched.drops)
        speed = f" ({dropped / archiving:,.0f}/s)" if archiving > 1 else ""
        print(f"  by ranges: {dropped:,} in {len(watched.drops)} drops of {drops} s;", end="")
        print(f" looking through {looking:.1f} s, archiving {archiving:.1f} s{speed}")
    files = reading.files(folder / "archive")
    tasks, size = sum(one.tasks for one in files), sum(one.size for one in files)
    print(f"  archive: {len(files)} files, {tasks:,} tasks, {size / 2**20:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=("mysql", "sqlite"), default="mysql")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--archive", choices=("ndjson", "none"), default="ndjson")
    parser.add_argument("--folder", type=Path, help="where the database is made, and removed")
    options = parser.parse_args()
    print(machine())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="retention-", dir=options.folder)))
        server = None
        if options.engine == "mysql":
            server = MariaDb(folder, ("--innodb-buffer-pool-size=2G",))
            server.start()
            stack.callback(server.close)
        asyncio.run(measure(options, folder, server))


if __name__ == "__main__":
    main()
