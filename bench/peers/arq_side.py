"""Arq: asynchronous, a sorted set that is polled; results are kept for an hour. No call for many jobs.

`poll_delay` is 0.01 s, not the default 0.5 s: in a poll the worker starts at most `max_jobs` jobs, so the
default would hold short jobs to twice `max_jobs` a second, and an idle submit to a quarter of a second.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import run_worker

from bench.peers import calling, side

Context = dict[str, Any]


async def noop(_: Context, number: int, prompt: str) -> None:
    side.note(number)


async def llm(context: Context, number: int, prompt: str) -> str:
    return await calling.call(context["session"], prompt)


async def open_session(context: Context) -> None:
    context["session"] = calling.session()


async def close_session(context: Context) -> None:
    await context["session"].close()


class WorkerSettings:
    functions: ClassVar = [noop, llm]
    on_startup, on_shutdown = open_session, close_session
    redis_settings = RedisSettings.from_dsn(side.REDIS_URL)
    max_jobs = side.CONCURRENCY
    poll_delay = 0.01


@asynccontextmanager
async def client() -> AsyncIterator[tuple[side.Submit, None]]:
    pool = await create_pool(WorkerSettings.redis_settings)
    try:
        yield pool.enqueue_job, None
    finally:
        await pool.aclose()


def worker() -> None:
    run_worker(WorkerSettings)


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    side.main(client, worker)
