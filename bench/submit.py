"""How quickly tasks are taken in: 100 000 in one stream, and one by one over 64 connections.

The server is a process of its own with SQLite at `synchronous=FULL`; the model is paused, so that nothing else runs.
Every 201 means that the task is on disk.
"""

from __future__ import annotations

import asyncio
import time

from bench import rig

LINES, LINE_BYTES = 100_000, 300
REQUESTS, CONNECTIONS = 15_000, 64
ROUNDS = 3
BULK_GOAL, SINGLE_GOAL = 30_000, 2_500


class Sender(asyncio.Protocol):
    """Sends the same request again as soon as the answer is there; notes how long each took."""

    def __init__(self, request: bytes, budget: list[int], took: list[float]) -> None:
        self._request, self._budget, self._took = request, budget, took
        self._received = b""
        self._began = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if self._budget[0] <= 0:
            self._transport.close()
            return
        self._budget[0] -= 1
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < size:
            return
        if not head.startswith(b"HTTP/1.1 201"):
            self.done.set_exception(SystemExit(self._received[:500].decode()))
            self._transport.close()
            return
        self._took.append(time.perf_counter() - self._began)
        self._received = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def singles(port: int) -> tuple[float, float]:
    """(requests/s, 99th percentile in ms)."""
    body = rig.bulk_body("m", 1, LINE_BYTES).rstrip()
    head = (
        f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rig.KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    budget, took = [REQUESTS], list[float]()
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    senders: list[Sender] = []
    for _ in range(CONNECTIONS):
        _, sender = await loop.create_connection(lambda: Sender(head.encode() + body, budget, took), "127.0.0.1", port)
        senders.append(sender)
    await asyncio.gather(*(sender.done for sender in senders))
    return REQUESTS / (time.perf_counter() - began), rig.percentile(took, 0.99) * 1000


async def measured(running: rig.Server) -> bool:
    """Print the medians; whether both goals were reached."""
    async with rig.Client.connect(running.port) as client:
        await client.json("POST", "/api/v1/models", {"name": "m", "type": "scripted"})
        await client.json("POST", "/api/v1/models/m/pause")
        body = rig.bulk_body("m", LINES, LINE_BYTES)
        bulk, bulk_cpu = list[float](), list[float]()
        for _ in range(ROUNDS):
            began, cpu = time.perf_counter(), rig.cpu_s(running.pid)
            answer = await client.bulk_lines(body)
            bulk.append(LINES / (time.perf_counter() - began))
            bulk_cpu.append((rig.cpu_s(running.pid) - cpu) / LINES * 1e6)
            if answer["accepted"] != LINES:
                raise SystemExit(f"not all accepted: {answer['rejected'][:3]}")
    single, late, single_cpu = list[float](), list[float](), list[float]()
    for _ in range(ROUNDS):
        cpu = rig.cpu_s(running.pid)
        rate, p99_ms = await singles(running.port)
        single.append(rate)
        late.append(p99_ms)
        single_cpu.append((rig.cpu_s(running.pid) - cpu) / REQUESTS * 1e6)
    print(rig.machine())
    print(
        f"medians of {ROUNDS}; server CPU: {rig.median(bulk_cpu):.0f} µs a line, {rig.median(single_cpu):.0f} µs a POST"
    )
    rates = rig.median(bulk), rig.median(single)
    rig.verdict(
        f"bulk, {LINES} lines of {LINE_BYTES} B, tasks/s", f"{rates[0]:.0f}", f">= {BULK_GOAL}", rates[0] >= BULK_GOAL
    )
    shown = f"{rates[1]:.0f} (p99 {rig.median(late):.0f} ms)"
    rig.verdict(f"single POST, {CONNECTIONS} connections, req/s", shown, f">= {SINGLE_GOAL}", rates[1] >= SINGLE_GOAL)
    return rates[0] >= BULK_GOAL and rates[1] >= SINGLE_GOAL


def main() -> None:
    """Run it on a server of its own."""
    with rig.server() as running:
        raise SystemExit(0 if asyncio.run(measured(running)) else 1)


if __name__ == "__main__":
    main()
