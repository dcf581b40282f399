"""How quickly one process drains scripted zero-delay tasks, START and DONE each on disk.

Beside it, in the same run, the floor of the storage alone: the same two updates by bare sqlite3 in
transactions of 256 at `synchronous=FULL`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from bench import rig
from llm_scheduler.app.installation import Installation
from llm_scheduler.app.keys import open_keys
from llm_scheduler.app.server import loop_factory, tune
from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import NewTask
from llm_scheduler.ports.store import TaskFilter
from llm_scheduler.services.models import new_model
from llm_scheduler.settings import load

TASKS = 20_000
ROUNDS = 5


async def drained(folder: Path) -> tuple[float, float]:
    """(tasks/s, CPU ms a task)."""
    settings, _ = load({"data_dir": folder}, {})
    installation = Installation(settings, open_keys(settings))
    await installation.open()
    model = await installation.models.add(
        new_model(tenant_id=DEFAULT_TENANT, name="m", type="scripted", config={}, max_workers=512)
    )
    await installation.models.pause("m", DEFAULT_TENANT)
    body = '{"messages":[{"role":"user","content":"' + "x" * 250 + '"}]}'
    task = NewTask(DEFAULT_TENANT, model.id, "chat", body, 5, 3, 100)
    for _ in range(TASKS // 1_000):
        await installation.submissions.submit([task] * 1_000)
    began, cpu = time.perf_counter(), time.process_time()
    await installation.models.resume("m", DEFAULT_TENANT)
    while installation.broker.waiting() or await installation.broker.slots():
        await asyncio.sleep(0.02)
    took, used = time.perf_counter() - began, time.process_time() - cpu
    counts = await installation.store.counts(TaskFilter())
    if counts.get(Status.COMPLETED) != TASKS:
        raise SystemExit(f"not all completed: {counts}")
    await installation.drain(5)
    await installation.close()
    return TASKS / took, used / TASKS * 1000


def floor(path: Path) -> tuple[float, float]:
    """Bare sqlite3: (tasks/s, CPU ms a task)."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, status TEXT, attempt INT, owner INT, input TEXT, output TEXT)"
    )
    connection.execute("CREATE INDEX s ON t (status, id)")
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO t VALUES (?, 'queued', 0, NULL, ?, NULL)", ((i, "x" * 250) for i in range(TASKS))
    )
    connection.execute("COMMIT")
    began, cpu = time.perf_counter(), time.process_time()
    for first in range(0, TASKS, 256):
        ids = range(first, min(first + 256, TASKS))
        connection.execute("BEGIN")
        connection.executemany(
            "UPDATE t SET status='running', attempt=1, owner=1 WHERE id=? AND status='queued'", ((i,) for i in ids)
        )
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        connection.executemany(
            "UPDATE t SET status='completed', output='ok' WHERE id=? AND owner=1", ((i,) for i in ids)
        )
        connection.execute("COMMIT")
    took, used = time.perf_counter() - began, time.process_time() - cpu
    connection.close()
    return TASKS / took, used / TASKS * 1000


def main() -> None:
    tune()
    ours: list[tuple[float, float]] = []
    floors: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="llms-bench-") as folder:
            floors.append(floor(Path(folder) / "floor.db"))
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                ours.append(runner.run(drained(Path(folder) / "data")))
    print(rig.machine())
    rate, cpu = rig.median([r for r, _ in ours]), rig.median([c for _, c in ours])
    rig.verdict("drain, scripted zero delay, START and DONE on disk", f"{rate:,.0f} tasks/s", ">= 5 000", rate >= 5_000)
    rig.verdict("CPU a task", f"{cpu:.3f} ms", "<= 0.2 ms", cpu <= 0.2)
    floor_rate, floor_cpu = rig.median([r for r, _ in floors]), rig.median([c for _, c in floors])
    print(f"floor of the storage alone: {floor_rate:,.0f} tasks/s, {floor_cpu:.3f} ms; ratio {rate / floor_rate:.2f}")


if __name__ == "__main__":
    sys.exit(main())
