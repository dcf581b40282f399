"""One shard of the index: how its scripts are called."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from llm_scheduler.domain.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_scheduler.brokers.redis.connection import Client
    from llm_scheduler.brokers.redis.scripts import Script

CALL_TIMEOUT_S: Final = 0.7
"""However many hosts have to be asked in between."""
FAIL_FAST_S: Final = 0.2
"""After a failure calls fail at once for so long, so that not everyone waits out a timeout."""

_CALLS_AT_ONCE: Final = 16
"""Each has a connection; the server does one thing at a time anyway."""

Argument = bytes | str | int


class Answer(NamedTuple):
    """What a script that looks into lanes gives."""

    is_news: bool
    waiting: Sequence[tuple[int, int]]
    result: Any


class Shard:
    """Calls are bounded in time and in number; what fails is a BrokerUnavailableError."""

    def __init__(self, client: Client, key: str, who: str, now: Callable[[], tuple[Argument, Argument]]) -> None:
        self.client, self.key = client, key
        self.tag = key.removesuffix("epoch")
        self._who = who
        self._now = now
        self._fails_until_s = 0.0
        self._why = ""
        self._calls = asyncio.Semaphore(_CALLS_AT_ONCE)
        self.is_failing = False
        """The last call was not answered."""

    async def look(self, script: Script, arguments: Sequence[Argument], *, is_repeatable: bool = True) -> Answer:
        """Run a script that looks into lanes.

        Raises:
            BrokerUnavailableError: it does not answer.
        """
        is_news, flat, result = await self.run(
            script, (self._who, *self._now(), *arguments), is_repeatable=is_repeatable
        )
        waiting = [(int(lane), count) for lane, count in zip(flat[::2], flat[1::2], strict=True)]
        return Answer(bool(is_news), waiting, result)

    async def run(self, script: Script, arguments: Sequence[Argument], *, is_repeatable: bool = True) -> Any:
        """Run any script."""
        return await self._call(lambda: script.run(self.client, self.key, arguments), is_repeatable=is_repeatable)

    async def command(self, *words: Argument) -> Any:
        """Run a command that only reads."""
        return await self._call(lambda: self.client.execute_command(*words), is_repeatable=True)

    async def _call(self, call: Callable[[], Any], *, is_repeatable: bool) -> Any:
        loop = asyncio.get_running_loop()
        if loop.time() < self._fails_until_s:
            raise BrokerUnavailableError(self._why)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S), self._calls:
                answer = await self._tried(call, is_repeatable=is_repeatable)
        except ResponseError as error:  # it lives, and refuses: out of memory, read-only, a slot on the move
            raise BrokerUnavailableError(str(error)) from error
        except (RedisError, OSError, TimeoutError) as error:
            self.is_failing = True
            self._why = str(error) or "no answer in time"
            self._fails_until_s = loop.time() + FAIL_FAST_S
            raise BrokerUnavailableError(self._why) from error
        self.is_failing = False
        return answer

    @staticmethod
    async def _tried(call: Callable[[], Any], *, is_repeatable: bool) -> Any:
        try:
            return await call()
        except RedisTimeoutError:
            raise
        except (RedisConnectionError, OSError):
            if not is_repeatable:
                raise
            return await call()  # the server had closed an idle connection, or is another one by now
