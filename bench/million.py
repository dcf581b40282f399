"""A million queued tasks: memory, restart, drain rate beside a short queue, and the commonest lists."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from bench import rig

CHUNK = 50_000
DRAIN = 15_000
FINISHED = 20_000
LISTS = {
    "all": "",
    "queued": "?status=queued",
    "completed": "?status=completed",
    "failed": "?status=failed",
    "model": "?model=drain",
    "model and status": "?model=drain&status=completed",
    "priority": "?priority=9",
    "type": "?type=chat",
    "created": "?created_after={after}&created_before={before}",
    "metadata": "?metadata.run=seven",
    "text": "?q=needle",
}


async def until_drained(client: rig.Client, model: str, left: int) -> None:
    """Until the model's queue is down to `left`."""
    while (await client.json("GET", f"/api/v1/models/{model}"))["queued"] > left:
        await asyncio.sleep(0.05)


async def drain_rate(client: rig.Client, model: str, pid: int) -> tuple[float, float]:
    """(tasks/s, CPU ms a task) while DRAIN tasks of a paused model run."""
    queued = (await client.json("GET", f"/api/v1/models/{model}"))["queued"]
    began, cpu = time.perf_counter(), rig.cpu_s(pid)
    await client.json("POST", f"/api/v1/models/{model}/resume")
    await until_drained(client, model, max(0, queued - DRAIN))
    took, used = time.perf_counter() - began, rig.cpu_s(pid) - cpu
    await client.json("POST", f"/api/v1/models/{model}/pause")
    left = (await client.json("GET", f"/api/v1/models/{model}"))["queued"]
    return (queued - left) / took, used / (queued - left) * 1000


async def fill(client: rig.Client, total: int) -> float:
    """Queue `total` tasks on a paused model; tasks/s."""
    body = rig.bulk_body("million", CHUNK)
    began = time.perf_counter()
    for _ in range(total // CHUNK):
        await client.bulk_lines(body)
    return total / (time.perf_counter() - began)


async def model(client: rig.Client, name: str, **config: object) -> None:
    await client.json(
        "POST",
        "/api/v1/models",
        {"name": name, "type": "scripted", "max_workers": 512, "config": config, "retry": {"max_retries": 0}},
    )


async def short_queue(client: rig.Client, pid: int) -> float:
    """Drain rate with about a thousand queued: fed while it drains."""
    rates: list[float] = []
    for _ in range(3):
        await client.json("POST", "/api/v1/models/short/pause")
        await client.bulk("short", 1_000)
        began = time.perf_counter()
        await client.json("POST", "/api/v1/models/short/resume")
        body = rig.bulk_body("short", 1_000)
        for _ in range(DRAIN // 1_000 - 1):
            await until_drained(client, "short", 500)
            await client.bulk_lines(body)
        await until_drained(client, "short", 0)
        rates.append(DRAIN / (time.perf_counter() - began))
    return rig.median(rates)


async def lists(client: rig.Client) -> dict[str, float]:
    """p95 in ms of each list."""
    first = await client.json("GET", "/api/v1/tasks?limit=1")
    after, before = "2020-01-01T00:00:00Z", first["items"][0]["created_at"]
    figures: dict[str, float] = {}
    for name, query in LISTS.items():
        took: list[float] = []
        for _ in range(20):
            began = time.perf_counter()
            await client.json("GET", "/api/v1/tasks" + query.format(after=after, before=before))
            took.append((time.perf_counter() - began) * 1000)
        figures[name] = rig.percentile(took, 0.95)
    return figures


async def first_life(running: rig.Server, total: int) -> None:
    async with rig.Client.connect(running.port) as client:
        for name in ("million", "short", "drain"):
            await model(client, name)
        await model(client, "broken", errors=[{"every": 1, "code": "invalid_request", "http_status": 400}])
        await client.bulk("drain", FINISHED, metadata={"run": "seven"})
        await client.bulk("broken", 2_000, priority=9)
        await until_drained(client, "drain", 0)
        short = await short_queue(client, running.pid)
        await client.json("POST", "/api/v1/models/million/pause")
        before = rig.rss_mb(running.pid)
        rate = await fill(client, total)
        print(f"filled at {rate:,.0f} tasks/s; memory before {before:.0f} MB")
        memory = rig.rss_mb(running.pid)
        rig.verdict(f"memory with {total:,} queued", f"{memory:.0f} MB", "<= 600 MB", memory <= 600)
        figures = await lists(client)
        for name, value in figures.items():
            rig.verdict(f"list: {name}, p95", f"{value:.0f} ms", "<= 200 ms", value <= 200)
        long, cpu = await drain_rate(client, "million", running.pid)
        share = long / short
        print(f"drain {long:,.0f} tasks/s ({cpu:.3f} ms CPU a task) beside {short:,.0f} with 1 000 queued")
        rig.verdict("drain rate against a short queue", f"{share:.2f} x", ">= 0.8 x", share >= 0.8)
        after = rig.rss_mb(running.pid)
        rig.verdict("memory after lists and draining", f"{after:.0f} MB", "<= 600 MB", after <= 600)
        await client.json("PATCH", "/api/v1/models/million", {"config": {"ledger": str(running.folder / "ledger")}})
        await client.json("POST", "/api/v1/models/million/resume")
    running.stop(9)


def second_life(folder: Path) -> None:
    ledger = folder / "ledger"
    ledger.unlink(missing_ok=True)
    began = time.perf_counter()
    running = rig.spawn(folder)
    try:
        while not ledger.exists() and time.perf_counter() - began < 120:
            time.sleep(0.01)
        took = time.perf_counter() - began
        rig.verdict("restart until the first claim", f"{took:.1f} s", "<= 15 s", took <= 15)
        print(f"memory after the restart: {rig.rss_mb(running.pid):.0f} MB")
    finally:
        running.stop(9)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1_000_000)
    total = parser.parse_args().tasks
    print(rig.machine())
    with tempfile.TemporaryDirectory(prefix="llms-bench-") as folder:
        running = rig.spawn(Path(folder))
        try:
            rig.wait_ready(running)
            asyncio.run(first_life(running, total))
        finally:
            running.stop(9)
        second_life(Path(folder))


if __name__ == "__main__":
    main()
