"""CPU of one call: the openai provider (streaming) against a bare aiohttp POST, over the same light server.

    python -m bench.provider_floor [--calls 4000] [--rounds 5] [--concurrency 256] [--chunks 3]

The contestants take turns, so that a noisy machine is noisy to all; medians over the rounds. The
server is a process of its own: only this process's CPU counts.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp
import orjson
import uvloop
from tests.stubs.servers import running

from llm_scheduler.domain.ids import TaskId
from llm_scheduler.ports.provider import Call
from llm_scheduler.providers import KINDS

BODY = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "max_tokens": 16}


async def together(count: int, width: int, once: Callable[[int], Awaitable[object]]) -> None:
    """`count` calls, `width` at a time."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await once(number)

    await asyncio.gather(*(work() for _ in range(width)))


async def measure(options: argparse.Namespace, base_url: str) -> dict[str, list[tuple[float, float]]]:
    kind = KINDS["openai"]
    provider = kind.open("light", kind.check({"base_url": base_url, "api_key": "sk-benchmark"}))
    scripted = KINDS["scripted"].open("light", {})
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())
    url = f"{base_url}/chat/completions"
    headers = {"authorization": "Bearer sk-benchmark", "content-type": "application/json"}

    async def bare(_: int) -> None:
        data = orjson.dumps({**BODY, "model": "light"})
        async with session.post(url, data=data, headers=headers) as response:
            orjson.loads(await response.read())

    async def bare_stream(_: int) -> None:
        data = orjson.dumps({**BODY, "model": "light", "stream": True})
        async with session.post(url, data=data, headers=headers) as response:
            await response.read()

    async def ours(number: int) -> None:
        await provider.call(Call(TaskId(number), 1, "chat", BODY, 60.0))

    async def plays(number: int) -> None:
        await scripted.call(Call(TaskId(number), 1, "chat", BODY, 60.0))

    contestants = {"aiohttp": bare, "aiohttp, stream unread": bare_stream, "openai": ours, "scripted": plays}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    try:
        for round_number in range(options.rounds + 1):
            for name, once in contestants.items():
                cpu_s, wall_s = time.process_time(), time.perf_counter()
                await together(options.calls, options.concurrency, once)
                if round_number:  # the first one opens connections
                    taken = (time.process_time() - cpu_s, time.perf_counter() - wall_s)
                    times[name].append((taken[0] / options.calls * 1e3, taken[1] / options.calls * 1e3))
    finally:
        await session.close()
        await provider.close()
        await scripted.close()
    return times


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--chunks", type=int, default=3)
    options = parser.parse_args()
    async with running("tests.stubs.light_stub", "--chunks", str(options.chunks)) as server:
        times = await measure(options, server.base_url)
    print(f"{'':24}{'cpu ms/call':>12}{'wall ms/call':>14}")
    for name, taken in times.items():
        cpu_ms, wall_ms = (statistics.median(column) for column in zip(*taken, strict=True))
        print(f"{name:24}{cpu_ms:12.3f}{wall_ms:14.3f}")


if __name__ == "__main__":
    uvloop.run(main())
