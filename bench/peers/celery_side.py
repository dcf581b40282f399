"""Celery: one worker process with `--pool=threads`, which its pages advise for waiting on the network.

Tasks are synchronous, so the call goes by urllib3's pool instead of aiohttp. Results go to its Redis backend
for a day. The client is synchronous; no call for many jobs.
"""
# pyright: reportMissingImports=false, reportFunctionMemberAccess=false

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import urllib3
from celery import Celery

from bench.peers import side

app = Celery("peer", broker=side.REDIS_URL, backend=side.REDIS_URL)
app.conf.broker_connection_retry_on_startup = True
_pool = urllib3.PoolManager(maxsize=side.CONCURRENCY)


@app.task(name="noop")
def noop(number: int, prompt: str) -> None:
    side.note(number)


@app.task(name="llm")
def llm(number: int, prompt: str) -> str:
    answer = _pool.request("POST", side.CALL_URL, body=side.request(prompt), headers=side.JSON)
    if answer.status != 200:
        raise RuntimeError(f"the provider answered {answer.status}")
    return side.answered(answer.data)


@asynccontextmanager
async def client() -> AsyncIterator[tuple[side.Submit, None]]:
    async def submit(kind: str, number: int, prompt: str) -> None:
        (noop if kind == "noop" else llm).delay(number, prompt)

    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=3)
    yield submit, None


def worker() -> None:
    options = ["--pool=threads", f"--concurrency={side.CONCURRENCY}", "--loglevel=WARNING"]
    command = [sys.executable, "-m", "celery", "-A", "bench.peers.celery_side", "worker", *options]
    os.execv(sys.executable, command)  # noqa: S606 - the peer's own command line


if __name__ == "__main__":
    side.main(client, worker)
