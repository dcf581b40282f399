"""What the Python programs of the peers share: what to do, how to note it, the command line.

Runs in a peer's own environment, so it knows the standard library only. Every program understands

    worker                                          one process; runs until SIGTERM
    enqueue N --kind noop|llm --size BYTES [--bulk] prints {"seconds": …}: connected before, without a worker
    step --kind llm --size BYTES                    for each line of input: submits one job, prints when it began (ns)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

REDIS_URL = os.environ.get("PEER_REDIS_URL", "redis://127.0.0.1:6379/0")
PROVIDER_URL = os.environ.get("PEER_PROVIDER_URL", "http://127.0.0.1:8080/v1")
LEDGER = os.environ.get("PEER_LEDGER", os.devnull)
CONCURRENCY = int(os.environ.get("PEER_CONCURRENCY", "256"))
AT_ONCE = 64
"""Submits in flight where the client is asynchronous."""

JSON = {"Content-Type": "application/json"}
CALL_URL = f"{PROVIDER_URL}/chat/completions"

Submit = Callable[[str, int, str], Awaitable[object]]
"""Submit one job: kind, number, prompt."""
SubmitMany = Callable[[str, Sequence[tuple[int, str]]], Awaitable[object]]
Client = Callable[[], AbstractAsyncContextManager[tuple[Submit, SubmitMany | None]]]
"""Connects, and gives how to submit one, and many where the peer has a call for that."""

_ledger: int | None = None


def note(number: int) -> None:
    """A no-op job's whole work: one line in the ledger, as our scripted model writes it."""
    global _ledger
    if _ledger is None:
        _ledger = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(_ledger, b"%d 1 %d\n" % (number, time.time_ns() // 1_000_000))


def request(prompt: str) -> bytes:
    """The body of an LLM job's call."""
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": prompt}]}).encode()


def answered(body: bytes) -> str:
    """The text in the provider's answer: the job's result."""
    return json.loads(body)["choices"][0]["message"]["content"]


def prompt(number: int, size: int) -> str:
    """`size` bytes that name the job, so that the provider can count each by itself."""
    return f"job {number} ".ljust(size, "x")


def main(client: Client, worker: Callable[[], None]) -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("worker")
    enqueue = commands.add_parser("enqueue")
    enqueue.add_argument("jobs", type=int)
    enqueue.add_argument("--bulk", action="store_true")
    for command in (enqueue, commands.add_parser("step")):
        command.add_argument("--kind", choices=("noop", "llm"), default="noop")
        command.add_argument("--size", type=int, default=250)
    options = parser.parse_args()
    if options.command == "worker":
        worker()
    elif options.command == "enqueue":
        asyncio.run(_enqueue(client, options))
    else:
        asyncio.run(_step(client, options))


async def _enqueue(client: Client, options: argparse.Namespace) -> None:
    jobs = [(number, prompt(number, options.size)) for number in range(options.jobs)]
    async with client() as (submit, submit_many):
        began = time.perf_counter()
        if options.bulk and submit_many is not None:
            for first in range(0, len(jobs), 1_000):
                await submit_many(options.kind, jobs[first : first + 1_000])
        else:
            left = iter(jobs)

            async def submitter() -> None:
                for number, text in left:
                    await submit(options.kind, number, text)

            await asyncio.gather(*(submitter() for _ in range(AT_ONCE)))
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)


async def _step(client: Client, options: argparse.Namespace) -> None:
    async with client() as (submit, _):
        print("ready", flush=True)
        number = 0
        while await asyncio.to_thread(sys.stdin.readline):
            text = prompt(number, options.size)
            began = time.monotonic_ns()
            await submit(options.kind, number, text)
            print(began, flush=True)
            number += 1
