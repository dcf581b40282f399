"""Dramatiq: threads over a polled list; asynchronous actors by its AsyncIO middleware, results by its Redis backend.

One worker process with as many threads as jobs at once: a thread waits while its coroutine runs on the
process's event loop. The client is synchronous; no call for many jobs.
"""
# pyright: reportMissingImports=false, reportFunctionMemberAccess=false

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import dramatiq
import uvloop
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware.asyncio import AsyncIO
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.peers import calling, side

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
broker = RedisBroker(url=side.REDIS_URL)
broker.add_middleware(AsyncIO())
broker.add_middleware(Results(backend=RedisBackend(url=side.REDIS_URL), store_results=True))
dramatiq.set_broker(broker)
_sessions: list[aiohttp.ClientSession] = []


@dramatiq.actor
def noop(number: int, prompt: str) -> None:
    side.note(number)


@dramatiq.actor
async def llm(number: int, prompt: str) -> str:
    if not _sessions:
        _sessions.append(calling.session())
    return await calling.call(_sessions[0], prompt)


@asynccontextmanager
async def client() -> AsyncIterator[tuple[side.Submit, None]]:
    async def submit(kind: str, number: int, prompt: str) -> None:
        (noop if kind == "noop" else llm).send(number, prompt)

    yield submit, None


def worker() -> None:
    options = ["--processes", "1", "--threads", str(side.CONCURRENCY)]
    command = [sys.executable, "-m", "dramatiq", "bench.peers.dramatiq_side", *options]
    os.execv(sys.executable, command)  # noqa: S606 - the peer's own command line


if __name__ == "__main__":
    side.main(client, worker)
