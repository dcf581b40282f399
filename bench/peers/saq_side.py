"""SAQ: asynchronous, blocking moves between lists; job and result are one JSON, kept for ten minutes.

No call for many jobs.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from saq import Queue, Worker

from bench.peers import calling, side

Context = dict[str, Any]


async def noop(_: Context, *, number: int, prompt: str) -> None:
    side.note(number)


async def llm(context: Context, *, number: int, prompt: str) -> str:
    return await calling.call(context["session"], prompt)


async def open_session(context: Context) -> None:
    context["session"] = calling.session()


async def close_session(context: Context) -> None:
    await context["session"].close()


@asynccontextmanager
async def client() -> AsyncIterator[tuple[side.Submit, None]]:
    queue = Queue.from_url(side.REDIS_URL)
    await queue.connect()

    async def submit(kind: str, number: int, prompt: str) -> None:
        await queue.enqueue(kind, number=number, prompt=prompt)

    try:
        yield submit, None
    finally:
        await queue.disconnect()


async def work() -> None:
    queue = Queue.from_url(side.REDIS_URL)
    await queue.connect()
    try:
        await Worker(
            queue, [noop, llm], concurrency=side.CONCURRENCY, startup=open_session, shutdown=close_session
        ).start()
    finally:
        await queue.disconnect()


def worker() -> None:
    asyncio.run(work())


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    side.main(client, worker)
