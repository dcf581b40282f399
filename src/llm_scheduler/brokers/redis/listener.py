"""Wake-ups from other processes: one subscription that rings the bell of this one.

What is lost while it is down costs little: workers ask each second anyway, and the bell rings once when it is back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import RedisError

from llm_scheduler.brokers.redis.heeding import heeding

if TYPE_CHECKING:
    from llm_scheduler.brokers.bell import Bell
    from llm_scheduler.brokers.redis.connection import Client

SILENCE_S: Final = 5.0
"""After so long without a message the connection is tested, and made anew if the test brings nothing either."""
RETRY_S: Final = 0.5
FIRST_WAIT_S: Final = 0.25
"""The first claim waits so long for the subscription; without it it goes on, and the bell rings when it comes."""


class Listener:
    """Messages name their sender; who sent one has rung its own bell already."""

    def __init__(self, client: Client, channel: str, who: str, bell: Bell) -> None:
        self._client, self._channel, self._who, self._bell = client, channel, who.encode(), bell
        self._task: asyncio.Task[None] | None = None
        self._is_up = asyncio.Event()
        self._has_missed = False

    async def start(self) -> None:
        """Listen from now on, if it does not yet."""
        if self._task is not None:
            return
        self._task = asyncio.create_task(self._listen())
        try:
            async with asyncio.timeout(FIRST_WAIT_S):
                await self._is_up.wait()
        except TimeoutError:
            self._has_missed = True

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _listen(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as subscription:
                    await self._hear(subscription)
            except (RedisError, OSError, TimeoutError):
                self._has_missed = True
                await asyncio.sleep(RETRY_S)

    async def _hear(self, subscription: Any) -> None:
        """Ring until the connection is dead."""
        async with asyncio.timeout(SILENCE_S):
            await heeding(subscription.subscribe(self._channel))
        is_tested = False
        while True:
            message = await heeding(subscription.get_message(timeout=SILENCE_S))
            if message is None:
                if is_tested:
                    raise TimeoutError
                is_tested = True
                await heeding(subscription.ping())
                continue
            is_tested = False
            if message["type"] == "subscribe":
                self._is_up.set()
                if self._has_missed:
                    self._has_missed = False
                    self._bell.ring()
            elif message["type"] == "message" and message["data"] != self._who:
                self._bell.ring()
