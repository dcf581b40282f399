"""The watchdog ends a process whose loop hangs, and no other."""

import asyncio
import threading
import time

from tests.inside import until

from llm_scheduler.app.watchdog import Watchdog


async def test_a_loop_that_hangs_is_noticed() -> None:
    """Nothing on the loop can notice that: a thread does."""
    ended = threading.Event()
    watchdog = Watchdog(limit_s=1, end=ended.set)
    watchdog.begin()
    await asyncio.sleep(0)
    began = time.monotonic()
    while not ended.is_set() and time.monotonic() - began < 10:
        time.sleep(0.05)  # noqa: ASYNC251 - hanging is the point

    assert ended.is_set()


async def test_a_loop_that_turns_is_left_alone() -> None:
    """Also one that has nothing to do."""
    ended = threading.Event()
    watchdog = Watchdog(limit_s=1, end=ended.set)
    watchdog.begin()
    await until(lambda: watchdog._turns >= 6, "it turned for longer than the limit")
    watchdog.stop()

    assert not ended.is_set()
