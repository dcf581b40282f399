"""The LLM shape: 5 000 tasks, each a POST to a loopback stub over HTTP, 256 at once, recorded on disk.

Beside it, in the same run: bare aiohttp posting the same bodies to the same stub, without any record.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp
from tests.stubs.servers import StubServer, running

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

TASKS = 5_000
AT_ONCE = 256
ROUNDS = 5
BODY = '{"messages":[{"role":"user","content":"' + "x" * 250 + '"}]}'


async def ours(folder: Path, stub: StubServer) -> tuple[float, float]:
    """(tasks/s, CPU ms a task) of the scheduler."""
    settings, _ = load({"data_dir": folder}, {})
    installation = Installation(settings, open_keys(settings))
    await installation.open()
    config = {"base_url": stub.base_url, "api_key": "sk-bench-000000000"}
    model = await installation.models.add(
        new_model(tenant_id=DEFAULT_TENANT, name="m", type="openai", config=config, max_workers=AT_ONCE)
    )
    await installation.models.pause("m", DEFAULT_TENANT)
    task = NewTask(DEFAULT_TENANT, model.id, "chat", BODY, 5, 3, 100)
    await installation.submissions.submit([task] * TASKS)
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


async def bare(stub: StubServer) -> tuple[float, float]:
    """(calls/s, CPU ms a call) of aiohttp alone."""
    body = (BODY[:-1] + ',"model":"m"}').encode()
    left = iter(range(TASKS))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:

        async def caller() -> None:
            for _ in left:
                headers = {"Content-Type": "application/json"}
                async with session.post(f"{stub.base_url}/chat/completions", data=body, headers=headers) as answer:
                    await answer.read()

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
        took, used = time.perf_counter() - began, time.process_time() - cpu
    return TASKS / took, used / TASKS * 1000


async def one_round(folder: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    async with running("tests.stubs.light_stub") as stub:
        return await bare(stub), await ours(folder, stub)


def main() -> None:
    tune()
    rounds: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for _ in range(ROUNDS):
        with (
            tempfile.TemporaryDirectory(prefix="llms-bench-") as folder,
            asyncio.Runner(loop_factory=loop_factory()) as runner,
        ):
            rounds.append(runner.run(one_round(Path(folder) / "data")))
    print(rig.machine())
    rate, cpu = rig.median([r[1][0] for r in rounds]), rig.median([r[1][1] for r in rounds])
    rig.verdict("LLM shape, 256 at once, recorded on disk", f"{rate:,.0f} tasks/s", ">= 2 000", rate >= 2_000)
    rig.verdict("CPU a task", f"{cpu:.3f} ms", "<= 0.45 ms", cpu <= 0.45)
    bare_rate, bare_cpu = rig.median([r[0][0] for r in rounds]), rig.median([r[0][1] for r in rounds])
    print(f"bare aiohttp, nothing recorded: {bare_rate:,.0f} calls/s, {bare_cpu:.3f} ms; ratio {rate / bare_rate:.2f}")


if __name__ == "__main__":
    main()
