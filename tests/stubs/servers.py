"""Starting stub servers as processes of their own, and talking to them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

ROOT = Path(__file__).resolve().parents[2]


class StubServer:
    """A running stub; `base_url` is what a model's config takes."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid
        self.origin = f"http://127.0.0.1:{port}"
        self.base_url = f"{self.origin}/v1"

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{self.origin}/stub/{path}") as response:
            return await response.json()

    async def post(self, path: str, **body: object) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.origin}/stub/{path}", json=body) as response,
        ):
            return await response.json()

    async def stats(self) -> dict[str, Any]:
        return await self.get("stats")

    async def requests(self) -> list[dict[str, Any]]:
        """The last requests, oldest first: path, headers, body."""
        return await self.get("requests")

    async def wait_until(self, is_met: Callable[[dict[str, Any]], bool], within_s: float = 5.0) -> dict[str, Any]:
        """Look at the counts until they meet a condition."""
        deadline_s = time.monotonic() + within_s
        while True:
            stats = await self.stats()
            if is_met(stats):
                return stats
            if time.monotonic() > deadline_s:
                raise AssertionError(f"not within {within_s} s: {stats}")
            await asyncio.sleep(0.01)


@contextmanager
def started(module: str = "tests.stubs.openai_stub", *options: str) -> Iterator[StubServer]:
    """A stub on a free port of 127.0.0.1, stopped at the end.

    Args:
        module: `tests.stubs.openai_stub` or `tests.stubs.light_stub`.
        options: of its command line.
    """
    command = [sys.executable, "-m", module, "--port", "0", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield StubServer(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()


@asynccontextmanager
async def running(module: str = "tests.stubs.openai_stub", *options: str) -> AsyncIterator[StubServer]:
    """`started` for `async with`; starting does not hold the event loop up."""
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, started(module, *options))


@pytest.fixture(scope="session")
def stub_process() -> Iterator[StubServer]:
    """One rich stub for all tests of a run."""
    with started() as server:
        yield server


@pytest.fixture
async def stub(stub_process: StubServer) -> StubServer:
    """The rich stub with its counts at zero, without limits."""
    await stub_process.post("behaviour", behaviour="")
    await stub_process.post("limits")
    return stub_process
