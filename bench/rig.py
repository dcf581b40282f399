"""What benchmarks share: a server of their own, a raw HTTP client, the machine's name, medians."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

KEY = "bench-key-0123456789abcdef"
ROOT = Path(__file__).parent.parent


def machine() -> str:
    """What the figures were measured on."""
    name = "unknown processor"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def median(values: Sequence[float]) -> float:
    """The middle."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def verdict(name: str, value: str, goal: str, is_reached: bool) -> None:
    """One line of the result."""
    print(f"{name:<58} {value:>18}   goal {goal:<18} {'reached' if is_reached else 'NOT reached'}")


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


@dataclass
class Server:
    """A running server process."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=60)


@contextlib.contextmanager
def server(folder: Path | None = None, **settings: str) -> Iterator[Server]:
    """A server on a free port, stopped at the end; the folder is kept if given."""
    with tempfile.TemporaryDirectory(prefix="llms-bench-") as own:
        running = spawn(folder or Path(own), **settings)
        try:
            wait_ready(running)
            yield running
        finally:
            running.stop()


def spawn(folder: Path, log: Path | None = None, /, **settings: str) -> Server:
    """Start a server process; it may not answer yet. Its log goes to a file if one is given."""
    port = free_port()
    environ = {key: value for key, value in os.environ.items() if not key.startswith("LLMS_")}
    environ |= {"LLMS_BOOTSTRAP_API_KEY": KEY, "LLMS_DATA_DIR": str(folder), "LLMS_LOG_LEVEL": "warning"}
    environ |= {f"LLMS_{key.upper()}": value for key, value in settings.items()}
    command = [sys.executable, "-m", "llm_scheduler", "serve", "--port", str(port)]
    with contextlib.ExitStack() as stack:
        errors = None if log is None else stack.enter_context(log.open("ab"))
        process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=errors, cwd=ROOT)
    return Server(process, port, folder)


def wait_ready(running: Server, limit_s: float = 120) -> None:
    """Until the server answers."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if running.process.poll() is not None:
            raise SystemExit(f"the server ended with {running.process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", running.port), 1):
            return
        time.sleep(0.02)
    raise SystemExit("the server did not come up")


class Client:
    """HTTP/1.1 on one kept connection, with as little work as possible."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, port: int) -> AsyncIterator[Client]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def request(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """Status and body."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        await self._writer.drain()
        answer = await self._reader.readuntil(b"\r\n\r\n")
        lines = answer.decode().split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]}
        size = int(headers.get("content-length", "0"))
        return int(lines[0].split()[1]), await self._reader.readexactly(size) if size else b""

    async def json(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON; anything but success ends the benchmark."""
        status, data = await self.request(method, path, b"" if body is None else json.dumps(body).encode())
        if status >= 300:
            raise SystemExit(f"{method} {path}: {status} {data[:500].decode(errors='replace')}")
        return json.loads(data) if data else None

    async def bulk(self, model: str, count: int, size: int = 300, **fields: Any) -> Any:
        """Submit `count` tasks whose lines have about `size` bytes."""
        return await self.bulk_lines(bulk_body(model, count, size, **fields))

    async def bulk_lines(self, body: bytes) -> Any:
        """Submit prepared NDJSON."""
        status, data = await self.request("POST", "/api/v1/tasks/bulk", body, "application/x-ndjson")
        if status >= 300:
            raise SystemExit(f"bulk: {status} {data[:500].decode(errors='replace')}")
        return json.loads(data)


def bulk_body(model: str, count: int, size: int = 300, **fields: Any) -> bytes:
    """NDJSON lines of about `size` bytes."""
    start = json.dumps({"model": model, "input": {"messages": [{"role": "user", "content": "@"}]}, **fields})
    filler = "x" * max(1, size - len(start))
    head, tail = start.replace("@", filler).encode(), b"\n"
    return (head + tail) * count
