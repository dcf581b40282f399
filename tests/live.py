"""A real server as a process of its own, for tests that kill it, stop it or watch it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from tests.rig.nursery import Forked, fits, fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "test-key-0123456789abcdef"
ROOT = Path(__file__).resolve().parents[1]
PROGRAM = [sys.executable, "-m", "llm_scheduler"]


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(what: str, condition: Callable[[], Any], within_s: float = 30.0, every_s: float = 0.02) -> Any:
    """Ask until the answer is truthy, and give it; fail with `what` when time is up."""
    until = time.monotonic() + within_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > until:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(every_s)


def _limit_files(largest: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))


class Server:
    """One process. `start` may be called again after it died: same folder, same port."""

    is_forked = False
    """From a process that has imported the program already: so it is in tests (`tests/conftest.py`), but where they
    are about the start."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.port = folder, free_port()
        self._settings = settings
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.http = httpx2.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=30,
        )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return (self.folder / "server.log").read_text(errors="replace")

    def command(self) -> list[str]:
        """How the process is started."""
        return [*PROGRAM, "serve", "--port", str(self.port)]

    def start(self, *, is_ready: bool = True, largest_file: int | None = None) -> None:
        """Start the process, and wait until it answers. `largest_file` in bytes stands in for a full disk."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("LLMS_")}
        environ |= {"LLMS_BOOTSTRAP_API_KEY": KEY, "LLMS_DATA_DIR": str(self.folder)}
        environ |= {f"LLMS_{key.upper()}": value for key, value in self._settings.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = self._begun(environ, largest_file)
        if is_ready:
            wait_until("the server answers", self._answers, 60)

    def _begun(self, environ: dict[str, str], largest_file: int | None) -> subprocess.Popen[bytes] | Forked:
        command, path = self.command(), self.folder / "server.log"
        if self.is_forked and command[: len(PROGRAM)] == PROGRAM and fits(environ):
            return fork(command[len(PROGRAM) :], environ, ROOT, path, largest_file)
        with path.open("ab") as log:
            return subprocess.Popen(
                command,
                env=environ,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                preexec_fn=None if largest_file is None else lambda: _limit_files(largest_file),
            )

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log[-3000:]
        with contextlib.suppress(httpx2.HTTPError):
            return self.http.get("/readyz").status_code == 200
        return False

    def kill(self) -> None:
        """As a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self, within_s: float = 60) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.http.close()

    def call(self, method: str, path: str, body: Any = None, expect: int | None = None) -> Any:
        """The answer's JSON."""
        answer = self.http.request(method, path, json=body)
        if expect is not None:
            assert answer.status_code == expect, answer.text
        else:
            assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def add_model(self, name: str = "m", kind: str = "scripted", **fields: Any) -> Any:
        """Register a model."""
        return self.call("POST", "/api/v1/models", {"name": name, "type": kind, **fields})

    def bulk(self, lines: list[dict[str, Any]]) -> Any:
        """Submit lines as NDJSON."""
        body = b"\n".join(json.dumps(line).encode() for line in lines)
        answer = self.http.post(
            "/api/v1/tasks/bulk", content=body, headers={"Content-Type": "application/x-ndjson"}, timeout=120
        )
        assert answer.status_code < 300, answer.text
        return answer.json()

    def counts(self, query: str = "") -> dict[str, int]:
        """Tasks by status."""
        return self.call("GET", f"/api/v1/tasks/counts{query}")["counts"]

    def tasks(self, query: str = "") -> list[dict[str, Any]]:
        """Every task that matches, oldest first."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.call("GET", f"/api/v1/tasks?order=asc&limit=500{query}{cursor}")
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def wait_for(self, task_id: int, *statuses: str, within_s: float = 30) -> Any:
        """The task, once it has one of these statuses."""

        def look() -> Any:
            task = self.call("GET", f"/api/v1/tasks/{task_id}")
            return task if task["status"] in statuses else None

        return wait_until(f"task {task_id} is {' or '.join(statuses)}", look, within_s)


@contextlib.contextmanager
def server(folder: Path, **settings: str) -> Iterator[Server]:
    """A running server, gone at the end."""
    running = Server(folder, **settings)
    try:
        running.start()
        yield running
    finally:
        running.close()


def ledger_calls(path: Path) -> Counter[int]:
    """How often the provider was called for each task."""
    if not path.exists():
        return Counter()
    lines = path.read_text().splitlines()
    return Counter(int(line.split()[0]) for line in lines)
