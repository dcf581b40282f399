"""`llms demo`: a throw-away server with scripted models and traffic, to look at."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess  # our own interpreter  # nosec B404
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import click
import orjson

from llm_scheduler.cli.connection import Call, Connection
from llm_scheduler.cli.faults import CliError, RefusedError, UnreachableError
from llm_scheduler.cli.invocation import Invocation, here
from llm_scheduler.cli.screen import say
from llm_scheduler.cli.traffic import MODELS, tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOG: Final = "server.log"
_START_S: Final = 60.0
_STOP_S: Final = 15.0
_LAST_LINES: Final = 10
_FIRST_WAVE: Final = 60


@click.command(short_help="Run a throw-away server with sample traffic.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: a free one.")
@click.option("--rate", type=click.FloatRange(min=0.1), default=8.0, show_default=True, help="Tasks a second.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Stop by itself after that.")
@click.pass_context
def demo(ctx: click.Context, port: int, rate: float, seconds: float | None) -> None:
    """Run a server with scripted models in a temporary folder and send it mixed tasks until Ctrl-C.

    Needs no key and no model; nothing is kept. Example: llms demo.
    """
    pace = here(ctx).pace
    # As Ctrl-C: without a handler this process would end at once and its server go on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    port = port or _free_port()
    with tempfile.TemporaryDirectory(prefix="llms-demo-", ignore_cleanup_errors=True) as folder:
        invocation = Invocation(f"http://127.0.0.1:{port}", f"demo-{secrets.token_hex(16)}", pace=pace)
        with _server(invocation, port, folder) as process, invocation.connect() as connection:
            _await_server(connection, invocation, process, folder)
            for model in MODELS:
                connection.post("/api/v1/models", model)
            say(f"LLM Scheduler runs at {invocation.server_url}   Key: {invocation.api_key}")
            say(f"In another terminal: LLMS_URL={invocation.server_url} LLMS_API_KEY={invocation.api_key} llms top")
            say("Ctrl-C ends it; nothing is kept.")
            _drive(connection, invocation, rate, seconds)


def _drive(connection: Connection, invocation: Invocation, rate: float, seconds: float | None) -> None:
    # The same traffic each time: a demo can be repeated.
    random = Random(42)  # noqa: S311 - not for secrets
    ends_at_s = None if seconds is None else invocation.pace.monotonic_s() + seconds
    try:
        _send(connection, random, _FIRST_WAVE)
        while ends_at_s is None or invocation.pace.monotonic_s() < ends_at_s:
            invocation.pace.sleep_s(1.0)
            _send(connection, random, max(1, round(random.gauss(rate, rate / 3))))
    except KeyboardInterrupt:
        say("Stopping …")


def _send(connection: Connection, random: Random, count: int) -> None:
    lines = b"\n".join(orjson.dumps(task) for task in tasks(random, count))
    kind = {"Content-Type": "application/x-ndjson"}
    connection.send(Call("POST", "/api/v1/tasks/bulk", content=lines, headers=kind))


@contextmanager
def _server(invocation: Invocation, port: int, folder: str) -> Iterator[subprocess.Popen[bytes]]:
    """The server as a process of its own, stopped at the end."""
    command = [sys.executable, "-m", "llm_scheduler", "serve", "--host", "127.0.0.1", "--port", str(port)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLMS_")}
    environment = {**kept, "LLMS_DATA_DIR": folder, "LLMS_BOOTSTRAP_API_KEY": invocation.api_key or ""}
    log = Path(folder, _LOG)
    with log.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [*command, "--data-dir", folder, "--grace", "1"], env=environment, stdout=stream, stderr=stream, cwd=folder
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_server(
    connection: Connection, invocation: Invocation, process: subprocess.Popen[bytes], folder: str
) -> None:
    ends_at_s = invocation.pace.monotonic_s() + _START_S
    while invocation.pace.monotonic_s() < ends_at_s:
        if process.poll() is not None:
            told = Path(folder, _LOG).read_text(errors="replace").strip().splitlines()[-_LAST_LINES:]
            raise CliError("\n".join([f"The server ended at once (exit code {process.returncode}).", *told]))
        try:
            if connection.status("/readyz")[0] == 200:
                return
        except (UnreachableError, RefusedError):
            pass
        invocation.pace.sleep_s(0.1)
    raise CliError(f"The server was not ready within {_START_S:g} s.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
