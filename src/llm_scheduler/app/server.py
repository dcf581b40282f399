"""The process: lock the data folder, serve, drain on SIGTERM, stop in good order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn

from llm_scheduler.app.firstrun import check_admin_password, first_model, first_user, welcome
from llm_scheduler.app.installation import Installation
from llm_scheduler.app.keys import open_keys
from llm_scheduler.app.watchdog import Watchdog
from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.security.folderlock import FolderLock, locks_of
from llm_scheduler.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llm_scheduler.settings import Settings

_log = structlog.get_logger(__name__)
_SWITCH_INTERVAL_S: Final = 0.0005
"""The writer thread takes the interpreter back from a busy event loop after this long instead of 5 ms."""
_GC_THRESHOLDS: Final = (50_000, 20, 100)
"""A million queued tasks are long-lived tuples: looking through them seldom saves a tenth of the CPU."""
_CLOSE_CONNECTIONS_S: Final = 3


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: ours drains first."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def serve(settings: Settings, *, is_sampling: bool = False) -> None:
    """Run the server until a signal ends it.

    Args:
        settings: in force.
        is_sampling: register a first model (the local one if it can be had) when there is none.

    Raises:
        StoreUnusableError: the data folder or the database cannot be used, or the port is taken.
    """
    logs.configure(settings.log_format, settings.log_level)
    check_admin_password(settings)
    # Prompts and answers are nobody else's business.
    os.umask(0o077)
    locks = _locks(settings)
    try:
        for lock in locks:
            lock.acquire()
        listener = _listen(settings)
        port = listener.getsockname()[1]
        for lock in locks:
            lock.describe(f"pid {os.getpid()}, http://{settings.host}:{port}")
        tune()
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_run(settings, listener, is_sampling=is_sampling))
    finally:
        for lock in locks:
            lock.release()


def _locks(settings: Settings) -> list[FolderLock]:
    """One for the data folder, and one beside a file that lives elsewhere; none where processes share all."""
    if settings.is_cluster:
        return []
    if settings.is_mysql:
        return [FolderLock(settings.data_dir)]
    return locks_of(settings.data_dir, settings.database_path)


def tune() -> None:
    """Set the interpreter up for one busy event loop beside a writer thread."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(*_GC_THRESHOLDS)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Uvloop's event loop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, _port(settings)))
    except OSError as error:
        listener.close()
        raise StoreUnusableError(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Choose another port with --port, or stop what uses it."
        ) from error
    listener.listen(2048)
    listener.set_inheritable(False)
    return listener


def _port(settings: Settings) -> int:
    """A worker answers probes only, on a free port unless one was chosen: several may share a host."""
    return 0 if settings.role == "worker" and "port" not in settings.model_fields_set else settings.port


async def _run(settings: Settings, listener: socket.socket, *, is_sampling: bool) -> None:
    installation = Installation(settings, open_keys(settings))
    await installation.open()
    config = uvicorn.Config(
        installation.api(),
        http="httptools" if _has_httptools() else "h11",
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_CLOSE_CONNECTIONS_S,
    )
    server = _Server(config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _on_signal, stopping, number)
    port = listener.getsockname()[1]
    note = await first_model(installation.models) if is_sampling else None
    is_worker = settings.role == "worker"
    # Before anybody is answered: who is told that the server is ready may sign in.
    setup = () if is_worker else await first_user(settings, port, installation.access.signing)
    watchdog = Watchdog()
    watchdog.begin()
    gc.freeze()
    serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    if is_worker:
        _log.info("worker_started", probes=f"http://{settings.host}:{port}/readyz", models=settings.models or "all")
    else:
        sys.stdout.write(welcome(settings, port, installation.keys, installation.models.list(), note, setup))
    sys.stdout.flush()
    await asyncio.wait({serving, asyncio.create_task(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED)
    await installation.drain(settings.grace_s)
    installation.stopping.set()
    server.should_exit = True
    await serving
    await installation.close()
    watchdog.stop()
    _log.info("stopped")


def _on_signal(stopping: asyncio.Event, number: signal.Signals) -> None:
    if stopping.is_set():
        # Asked twice: whoever asks does not want to wait; what runs is rescued at the next start.
        os._exit(128 + number)
    stopping.set()
    _log.info("stopping", signal=number.name)


def _has_httptools() -> bool:
    try:
        import httptools  # noqa: F401
    except ImportError:
        return False
    return True
