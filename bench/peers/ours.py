"""Our side: an API process and workers over MariaDB and Redis; or, for trying the harness, one embedded server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import subprocess
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Final

from bench import rig
from bench.peers.side import prompt
from bench.peers.stage import Provider, Reading, Stage, drain_reading, llm_reading, random_pause_s
from bench.submit import Sender

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONNECTIONS: Final = 64
NAME: Final = "ours"
READY_S: Final = 60.0
STOP_S: Final = 45.0
"""Longer than the grace that a running call gets."""
WARM_CALLS: Final = 5
SEAL_KEY: Final = "bench-secret-0123456789abcdef"
NOTE: Final = (
    "asynchronous; record in MariaDB (every task, attempt and result, on disk before the acknowledgement), index in "
    "Redis; at least once with each result recorded once; results and attempts kept; concurrency, RPM and TPM per "
    "model over all workers, fair between tenants; calls are not streamed, as the peers' are not; submits go over HTTP "
    "to an API process, the peers' clients write to Redis themselves."
)


class Ours:
    """The scheduler with some workers.

    Args:
        stage: where it plays.
        workers: worker processes; the API has a process of its own.
        engine: cluster, or embedded (SQLite and an index in memory, one process for all).
    """

    def __init__(self, stage: Stage, workers: int = 1, engine: str = "cluster") -> None:
        self._stage, self._workers, self._is_cluster = stage, workers, engine == "cluster"
        self.name = NAME if workers == 1 else f"{NAME}, {workers} workers"
        every = frozenset({"enqueue", "drain", "llm", "idle", "memory"})
        self.workloads = every if workers == 1 else frozenset({"drain", "llm"})
        self._random = random.Random(self.name)
        self._runs = self._killed = 0

    def measured(self, workload: str) -> Reading:
        """Run one workload on an empty stage."""
        self._stage.clear()
        self._runs += 1
        self._killed = 0
        reading: Reading = getattr(self, f"_{workload}")()
        errors = sum(log.read_bytes().count(b"[error") for log in self._folder.glob("*/log"))
        if errors:
            reading.faults.append(f"{workload}: {errors} errors in the logs of our processes")
        if self._killed:
            reading.faults.append(f"{workload}: {self._killed} of our processes did not stop within {STOP_S:.0f} s")
        return reading

    @property
    def _folder(self) -> Path:
        """Of the present installation."""
        return self._stage.folder / f"{self.name.replace(', ', '-').replace(' ', '-')}-{self._runs}"

    def _enqueue(self) -> Reading:
        jobs = 2 * self._stage.plan.tasks
        with self.running(0) as house:
            house.add_scripted()
            house.pause()
            reading = Reading({"bulk": jobs / house.fill(jobs), "enqueue": jobs / asyncio.run(house.post(jobs))})
            if house.count("SELECT COUNT(*) FROM tasks") != 2 * jobs:
                reading.faults.append("enqueue: not every acknowledged task is in the record")
        return reading

    def _drain(self) -> Reading:
        jobs = 2 * self._stage.plan.tasks
        with self.running(self._workers) as house:
            house.add_scripted(self._stage.ledger, self._stage.plan.concurrency * self._workers)
            house.pause()
            house.fill(jobs)
            house.resume()
            reading = drain_reading(self._stage, jobs, house.groups)
            reading.faults += house.faults(jobs)
            if "drain" in reading.figures:
                # A start is not the end of our work: count until the last result is in the record.
                first = min(self._stage.runs()[0])
                last = house.count("SELECT MAX(ended_at) FROM attempts")
                reading.figures["drain"] = jobs / max(0.001, (last - first) / 1000)
        return reading

    def _llm(self) -> Reading:
        plan = self._stage.plan
        with self._stage.provider(plan.delay_ms) as provider, self.running(self._workers) as house:
            house.add_openai(provider, plan.concurrency * self._workers)
            house.pause()
            house.fill(plan.tasks)
            house.resume()
            reading = llm_reading(provider, plan.tasks, house.groups)
            reading.faults += house.faults(plan.tasks)
        return reading

    def _idle(self) -> Reading:
        reading = Reading()
        with self._stage.provider(0) as provider, self.running(self._workers) as house:
            house.add_openai(provider, self._stage.plan.concurrency)
            for number in range(1, self._stage.plan.idle_calls + WARM_CALLS + 1):
                time.sleep(random_pause_s(0.05, self._random.random))
                body = _task(number, 250)
                began_ns = time.monotonic_ns()
                house.request("POST", "/api/v1/tasks", body)
                ledger = provider.wait("arrived", number)
                if ledger is None:
                    reading.faults.append(f"idle: task {number} did not run")
                    return reading
                if number > WARM_CALLS:
                    reading.latencies_ms.append((ledger["last_arrival_ns"] - began_ns) / 1e6)
        return reading

    def _memory(self) -> Reading:
        jobs = self._stage.plan.memory_jobs
        with self.running(0) as house:
            house.add_scripted()
            if not self._is_cluster:
                house.pause()
            before, rows_before = self._stage.redis_bytes(), house.record_bytes()
            house.fill(jobs, 1_500)
            figures = {"row_bytes": (house.record_bytes() - rows_before) / jobs}
            if self._is_cluster:
                figures["redis_bytes"] = (self._stage.redis_bytes() - before) / jobs
        return Reading(figures)

    @contextlib.contextmanager
    def running(self, workers: int) -> Iterator[_House]:
        """A new installation whose processes are all there."""
        folder = self._folder
        settings = {"secret_key": SEAL_KEY}
        if self._is_cluster:
            settings |= {"database_url": self._stage.maria.create(), "redis_url": self._stage.redis.url}
        with contextlib.ExitStack() as stack:

            def spawn(name: str, **more: str) -> rig.Server:
                (folder / name).mkdir(parents=True)
                server = rig.spawn(folder / name, folder / name / "log", **settings, **more)
                stack.callback(self._end, server)
                return server

            api = spawn("api", role="api" if self._is_cluster else "all")
            _await_ready(api)
            own = [spawn(f"worker-{n}", role="worker") for n in range(workers)] if self._is_cluster else []
            for server in own:
                _await_ready(server)
            yield _House(self._stage, api, own, is_cluster=self._is_cluster)

    def _end(self, server: rig.Server) -> None:
        """Ask it to stop; one that does not is killed, and its row says so."""
        server.process.terminate()
        try:
            server.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()
            self._killed += 1


class _House:
    """The running processes, spoken to by the API; the record is looked at from outside."""

    def __init__(self, stage: Stage, api: rig.Server, workers: list[rig.Server], is_cluster: bool) -> None:
        self._stage, self._api, self._own, self._is_cluster = stage, api, workers, is_cluster
        self._connection = HTTPConnection("127.0.0.1", api.port, timeout=stage.plan.limit_s)

    def request(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> Any:
        """The answer's JSON; anything but success ends the benchmark."""
        self._connection.request(method, path, body, {"Authorization": f"Bearer {rig.KEY}", "Content-Type": kind})
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {data[:500].decode(errors='replace')}")
        return json.loads(data) if data else None

    def add_scripted(self, ledger: Path | None = None, max_workers: int = 1) -> None:
        """The model m, whose calls end at once and stand in the ledger."""
        self._add("scripted", {"ledger": str(ledger)} if ledger is not None else {}, max_workers)

    def add_openai(self, provider: Provider, max_workers: int) -> None:
        """The model m, whose calls go to the stub."""
        config = {"base_url": provider.base_url, "api_key": "sk-bench-000000000", "stream": False}
        self._add("openai", config, max_workers)

    def _add(self, kind: str, config: dict[str, object], max_workers: int) -> None:
        body = {"name": "m", "type": kind, "config": config, "max_workers": max_workers}
        self.request("POST", "/api/v1/models", json.dumps(body).encode())

    def pause(self) -> None:
        self.request("POST", "/api/v1/models/m/pause")

    def resume(self) -> None:
        self.request("POST", "/api/v1/models/m/resume")

    def fill(self, jobs: int, size: int = 250) -> float:
        """Submit by the bulk API; seconds until all are acknowledged."""
        body = b"\n".join(_task(number, size) for number in range(jobs))
        began = time.perf_counter()
        answer = self.request("POST", "/api/v1/tasks/bulk", body, "application/x-ndjson")
        took = time.perf_counter() - began
        if answer["accepted"] != jobs:
            raise SystemExit(f"not all accepted: {answer['rejected'][:3]}")
        return took

    async def post(self, jobs: int) -> float:
        """Submit one by one over kept connections; seconds."""
        body = _task(0, 250)
        head = (
            f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rig.KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        budget, took = [jobs], list[float]()
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        senders: list[Sender] = []
        for _ in range(CONNECTIONS):
            _, sender = await loop.create_connection(
                lambda: Sender(head.encode() + body, budget, took), "127.0.0.1", self._api.port
            )
            senders.append(sender)
        await asyncio.gather(*(sender.done for sender in senders))
        return time.perf_counter() - began

    def groups(self) -> dict[str, list[int]]:
        """Process trees to meter."""
        if not self._is_cluster:
            return {"worker": [self._api.pid]}
        return {
            "worker": [one.pid for one in self._own],
            "redis": [self._stage.redis.process.pid],
            "sql": [self._stage.maria.process.pid],
            "api": [self._api.pid],
        }

    def faults(self, jobs: int) -> list[str]:
        """What the record says against: every task completed, by one attempt."""
        completed = self.count("SELECT COUNT(*) FROM tasks WHERE status = 'completed'")
        attempts = self.count("SELECT COUNT(*) FROM attempts")
        found = [] if completed == jobs else [f"the record has {completed} of {jobs} tasks completed"]
        return found if attempts == jobs else [*found, f"the record has {attempts} attempts for {jobs} tasks"]

    def count(self, sql: str) -> int:
        """The one number that a query gives."""
        if self._is_cluster:
            return int(self._stage.maria.sql(sql, "llms"))
        with contextlib.closing(sqlite3.connect(self._api.folder / "llm-scheduler.db")) as connection:
            return int(connection.execute(sql).fetchone()[0])

    def record_bytes(self) -> int:
        """Size of the rows and indexes of queued tasks."""
        if not self._is_cluster:
            return self.count("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        self._stage.maria.sql("ANALYZE TABLE tasks", "llms")
        return self.count(
            "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = 'llms'"
        )


def _task(number: int, size: int) -> bytes:
    return json.dumps(
        {"model": "m", "input": {"messages": [{"role": "user", "content": prompt(number, size)}]}}
    ).encode()


def _await_ready(server: rig.Server) -> None:
    """Until /readyz says yes."""
    rig.wait_ready(server)
    until = time.monotonic() + READY_S
    while True:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            text = answer.read()
            if answer.status == 200:
                return
        if time.monotonic() > until:
            raise SystemExit(f"the server did not become ready: {text[:500].decode()}")
        time.sleep(0.05)
