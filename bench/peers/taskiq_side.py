"""Taskiq with taskiq-redis: asynchronous, a stream with acknowledgements, results by its Redis backend.

One worker process of its command line (which keeps a parent beside it). No call for many jobs.
"""
# pyright: reportMissingImports=false, reportFunctionMemberAccess=false

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import uvloop
from taskiq import Context, TaskiqDepends, TaskiqEvents, TaskiqState
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from bench.peers import calling, side

broker = RedisStreamBroker(side.REDIS_URL).with_result_backend(
    RedisAsyncResultBackend(side.REDIS_URL, result_ex_time=3600)
)


@broker.task(task_name="noop")
async def noop(number: int, prompt: str) -> None:
    side.note(number)


@broker.task(task_name="llm")
async def llm(number: int, prompt: str, context: Annotated[Context, TaskiqDepends()]) -> str:
    return await calling.call(context.state.session, prompt)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_session(state: TaskiqState) -> None:
    state.session = calling.session()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_session(state: TaskiqState) -> None:
    await state.session.close()


@asynccontextmanager
async def client() -> AsyncIterator[tuple[side.Submit, None]]:
    await broker.startup()

    async def submit(kind: str, number: int, prompt: str) -> None:
        await (noop if kind == "noop" else llm).kiq(number, prompt)

    try:
        yield submit, None
    finally:
        await broker.shutdown()


def worker() -> None:
    options = ["--workers", "1", "--max-async-tasks", str(side.CONCURRENCY), "--log-level", "WARNING"]
    command = [sys.executable, "-m", "taskiq", "worker", "bench.peers.taskiq_side:broker", *options]
    os.execv(sys.executable, command)  # noqa: S606 - the peer's own command line


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    side.main(client, worker)
