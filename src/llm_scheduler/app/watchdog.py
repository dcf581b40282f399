"""Ends the process when its event loop hangs, so that whoever supervises it starts a new one.

A loop that hangs renews no heartbeat: the others take its tasks over, but its process would stay there, look
alive and hold its connections. The thread counts its own wake-ups, not the clock: a process that was stopped
(SIGSTOP, a suspended machine) and goes on is not hanging.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

_log = structlog.get_logger(__name__)
LIMIT_S: Final = 30
EXIT_CODE: Final = 70
"""EX_SOFTWARE of sysexits.h."""
_LOOK_EVERY_S: Final = 1.0


class Watchdog:
    """Watches the loop that it was begun in."""

    def __init__(self, limit_s: int = LIMIT_S, end: Callable[[], None] | None = None) -> None:
        self._limit_s, self._end = limit_s, end or _exit
        self._turns = 0
        self._over = threading.Event()
        self._turning: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def begin(self) -> None:
        """Start watching the running loop."""
        self._turning = asyncio.create_task(self._turn(), name="watched")
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._over.set()
        if self._turning is not None:
            self._turning.cancel()

    async def _turn(self) -> None:
        while True:
            self._turns += 1
            await asyncio.sleep(_LOOK_EVERY_S / 2)

    def _watch(self) -> None:
        seen, still_for = self._turns, 0
        while not self._over.wait(_LOOK_EVERY_S):
            seen, still_for = self._turns, still_for + 1 if self._turns == seen else 0
            if still_for >= self._limit_s:
                self._end()
                return


def _exit() -> None:
    _log.critical("event_loop_hangs", limit_s=LIMIT_S, exit_code=EXIT_CODE)
    faulthandler.dump_traceback(sys.stderr, all_threads=True)
    sys.stderr.flush()
    os._exit(EXIT_CODE)
