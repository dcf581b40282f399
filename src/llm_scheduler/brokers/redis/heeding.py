"""A cancel that comes while Redis is asked always ends the asking.

The client reads and sends through `asyncio.wait_for`, which on Python 3.11 swallows a cancel that comes together
with the answer: a loop would outlive the stop of its process, and a limit of time would strike once and be lost.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def heeding(asked: Awaitable[Any]) -> Any:
    """The answer.

    Raises:
        asyncio.CancelledError: a cancel came meanwhile, whatever became of it inside.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        return await asked
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError
