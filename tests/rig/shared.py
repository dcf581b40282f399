"""One Redis for all tests of a process; whoever takes it finds it empty."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.rig.redis import Redis


@cache
def shared_redis() -> Redis:
    """The server, as it is."""
    folder = Path(tempfile.mkdtemp(prefix="llms-redis-"))
    server = Redis(folder)
    server.start()

    def end() -> None:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    return server


def empty_redis() -> Redis:
    """The server, with nothing in it."""
    server = shared_redis()
    server.command("FLUSHALL")
    return server
