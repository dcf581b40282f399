"""Servers of ours, forked from a process that has imported the program already.

Importing it takes a core longer than everything else a start does, and the tests start hundreds. What is forked runs
`python -m llm_scheduler` from its first line, in an environment, with standard streams and with an end of its own; only
the modules are there before. Tests that are about the start itself, and benchmarks, start the real thing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from multiprocessing.context import ForkServerProcess

_KNOWN: Final = (
    "__main__",
    "llm_scheduler.cli.main",
    "llm_scheduler.cli.serve",
    "llm_scheduler.app.commands",
    "llm_scheduler.app.server",
    "llm_scheduler.app.guarded",
    "alembic.command",
    "uvloop",
)
_CONTEXT: Final = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([*_KNOWN])


def _of_python(environ: Mapping[str, str]) -> dict[str, str]:
    """What the interpreter reads as it starts."""
    return {name: value for name, value in environ.items() if name.startswith("PYTHON")}


_BEGUN_WITH: Final = _of_python(os.environ)


def fits(environ: Mapping[str, str]) -> bool:
    """Whether a process with this environment may be forked: a path of its own needs an interpreter of its own."""
    return _of_python(environ) == _BEGUN_WITH


class Forked:
    """What `subprocess.Popen` would be, as far as tests ask."""

    def __init__(self, process: ForkServerProcess, arguments: Sequence[str]) -> None:
        assert process.pid is not None
        self.pid, self._process, self._arguments = process.pid, process, arguments

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code.

        Raises:
            subprocess.TimeoutExpired: it lives.
        """
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired([*self._arguments], timeout or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """If it lives."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM, if it lives."""
        self.send_signal(signal.SIGTERM)


def fork(
    arguments: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path, largest_file: int | None = None
) -> Forked:
    """Run `python -m llm_scheduler` with these arguments.

    Args:
        arguments: without the program.
        environ: the whole of it.
        folder: to work in.
        log: gets what it writes, at its end.
        largest_file: in bytes; None: as large as here.
    """
    process = _CONTEXT.Process(target=_live, args=([*arguments], dict(environ), folder, log, largest_file), daemon=True)
    process.start()
    return Forked(process, arguments)


def _live(arguments: list[str], environ: dict[str, str], folder: Path, log: Path, largest_file: int | None) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv = ["llm_scheduler", *arguments]
    runpy.run_module("llm_scheduler", run_name="__main__", alter_sys=True)
