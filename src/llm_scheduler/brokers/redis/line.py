"""One connection to Redis that is used once: when it breaks it is thrown away."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any, Final, cast

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio.connection import AbstractConnection

    from llm_scheduler.brokers.redis.connection import Client

FAULTS: Final = (RedisError, OSError, TimeoutError)
"""What a server that is away looks like."""
_CONNECT_S: Final = 2.0
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0
_DISCARD: Final = ("maint_notifications_pool_handler", "oss_cluster_maint_notifications_handler", "parser_class")


class Pause:
    """Growing waits between attempts to connect, with jitter."""

    def __init__(self) -> None:
        self._next_s = _FIRST_PAUSE_S

    def over(self) -> None:
        """It went well: begin at the shortest again."""
        self._next_s = _FIRST_PAUSE_S

    async def sleep(self) -> None:
        """Wait."""
        wait_s, self._next_s = self._next_s, min(_LONGEST_PAUSE_S, self._next_s * 2)
        await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret


class Line:
    """Commands out, answers in; nothing is retried."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    async def send(self, *words: str | bytes) -> None:
        """One command, its answer not awaited."""
        await self._connection.send_packed_command(self._connection.pack_command(*words), check_health=False)

    async def read(self) -> Any:
        """The next answer or message, bytes undecoded; waits without end."""
        return cast("Any", await self._connection.read_response(disable_decoding=True, timeout=float("inf")))

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """All in one write, then all answers."""
        commands = [("PUBLISH", topic, message) for topic, message in messages]
        await self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)
        for _ in messages:
            await self.read()

    async def hang_up(self) -> None:
        """Let go; never waits for the other side, never fails."""
        with contextlib.suppress(*FAULTS):
            await self._connection.disconnect(nowait=True)


async def connected(client: Client) -> Line:
    """A connection of one's own to where the client's commands go; within two seconds.

    Raises:
        RedisError, OSError, TimeoutError: it is away.
    """
    async with asyncio.timeout(_CONNECT_S):
        pool = client.a_server().connection_pool
        connection = _unassisted(pool.connection_class, pool.connection_kwargs)
        try:
            await connection.connect()
        except BaseException:
            await Line(connection).hang_up()
            raise
        return Line(connection)


def _unassisted(kind: type[AbstractConnection], options: dict[str, Any]) -> AbstractConnection:
    """The same address and credentials, without the retries, pings and timeouts of the library."""
    kept = {key: value for key, value in options.items() if key not in _DISCARD}
    kept |= {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": _CONNECT_S,
        "health_check_interval": 0,
        "protocol": 2,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    return kind(**kept)
