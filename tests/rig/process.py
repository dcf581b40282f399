"""One server process that a test starts, kills, freezes and starts again."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def program(name: str) -> str:
    """Where Debian put it.

    Raises:
        FileNotFoundError: it is not installed.
    """
    found = shutil.which(name, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin")
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; `make servers` installs it")
    return found


class Process:
    """A program with a log file. `start` may be called again after it ended."""

    def __init__(self, arguments: Sequence[str], folder: Path, name: str) -> None:
        self.arguments, self.folder, self.name = list(arguments), folder, name
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return (self.folder / f"{self.name}.log").read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the living process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Begin; does not wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.arguments, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def send(self, number: signal.Signals) -> None:
        """A signal, if it lives."""
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """As a power cut would."""
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self, within_s: float = 30.0) -> None:
        """In good order; killed when it takes too long."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            self.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def freeze(self) -> None:
        """Stop it in its tracks (SIGSTOP); returns when every thread of it stands."""
        self.send(signal.SIGSTOP)
        if self.is_running:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let it go on."""
        self.send(signal.SIGCONT)

    def wait(self, within_s: float = 30.0) -> int | None:
        """Its exit code."""
        return None if self._process is None else self._process.wait(within_s)
