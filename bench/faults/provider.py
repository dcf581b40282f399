"""The oracle as a process, and how the harness talks to it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.live import ROOT

from bench.faults.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path


class Oracle:
    """A running oracle with a ledger in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "ledger"
        command = [sys.executable, "-m", "bench.faults.oracle", "--ledger", str(self.path)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @property
    def base_url(self) -> str:
        """What a model's config takes."""
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        """Counts so far; the ledger is on disk after it."""
        return self._ask("stats", b"")

    def play(self, **shares: float) -> None:
        """From now on so large a share of calls goes wrong in each way; nothing given = all go well."""
        self._ask("play", json.dumps(shares).encode())

    def ledger(self) -> Ledger:
        """Everything until now."""
        self.stats()
        return Ledger.read(self.path)

    def _ask(self, what: str, body: bytes) -> dict[str, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/oracle/{what}", data=body or None)
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
            return json.loads(answer.read())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()
