"""A flood of wrong keys: honest callers are served, and neither memory nor the audit log grows with it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import psutil
import pytest
from tests.live import KEY, server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LINES: Final = 8
FLOOD: Final = 40_000
PIPELINED: Final = 50


class Line:
    """A connection that is kept, and counts what comes back."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def ask(self, key: str, path: str = "/api/v1/models", times: int = 1) -> list[int]:
        """The statuses of so many requests, sent one behind the other."""
        one = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        self._writer.write(one * times)
        await self._writer.drain()
        return [await self._answer() for _ in range(times)]

    async def _answer(self) -> int:
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await self._reader.readexactly(length)
        return int(head.split()[1])

    def close(self) -> None:
        self._writer.close()


async def flooded(live: Server) -> tuple[dict[int, int], list[float], float]:
    """Statuses of the flood, seconds of each honest request meanwhile, and the flood's seconds."""
    found: dict[int, int] = {}
    honest: list[float] = []
    lines = [Line(live.port) for _ in range(LINES + 1)]
    for line in lines:
        await line.open()

    async def attack(line: Line, number: int) -> None:
        for turn in range(FLOOD // LINES // PIPELINED):
            for status in await line.ask(f"wrong-{number}-{turn}-{'k' * 40}", times=PIPELINED):
                found[status] = found.get(status, 0) + 1

    async def work(line: Line) -> None:
        while True:
            began = time.monotonic()
            assert await line.ask(KEY) == [200]
            honest.append(time.monotonic() - began)
            await asyncio.sleep(0.01)

    began = time.monotonic()
    working = asyncio.create_task(work(lines[-1]))
    await asyncio.gather(*(attack(line, number) for number, line in enumerate(lines[:-1])))
    took_s = time.monotonic() - began
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    for line in lines:
        line.close()
    return found, honest, took_s


def test_forty_thousand_wrong_keys_keep_nobody_out(tmp_path: Path) -> None:
    with server(tmp_path / "flooded") as live:
        live.add_model("m")
        process = psutil.Process(live.pid)
        asyncio.run(flooded_once(live))
        before, cpu = process.memory_info().rss, process.cpu_times()
        rows = live.call("GET", "/api/v1/audit/verify")["rows"]

        found, honest, took_s = asyncio.run(flooded(live))

        after, spent = process.memory_info().rss, process.cpu_times()
        used_s = spent.user + spent.system - cpu.user - cpu.system
        honest.sort()
        print(
            f"{FLOOD / took_s:,.0f} wrong keys/s, {used_s / FLOOD * 1e6:.0f} us CPU each; "
            f"honest: {len(honest)}, p50 {honest[len(honest) // 2] * 1e3:.1f} ms, max {honest[-1] * 1e3:.0f} ms; "
            f"memory +{(after - before) / 2**20:.1f} MiB"
        )
        assert set(found) <= {401, 429}
        assert sum(found.values()) == FLOOD
        assert honest
        assert after - before < 32 * 2**20
        assert live.call("GET", "/api/v1/audit/verify")["rows"] == rows
        assert live.log.count("\n") < 200, "nor does the server's log"


async def flooded_once(live: Server) -> None:
    """Warm it up: what is allocated once is not growth."""
    line = Line(live.port)
    await line.open()
    # A piece at a time: who sends more than a head may have before it reads is cut off (431).
    for _ in range(2_000 // PIPELINED):
        await line.ask("wrong", times=PIPELINED)
    line.close()
