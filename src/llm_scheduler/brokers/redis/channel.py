"""Messages between processes by Redis pub/sub: one connection that listens, one that sends.

Both connections belong to the channel, not to the client's pool, and never retry by themselves: a reconnection
that nobody notices would be a gap that nobody is told of. On a Cluster any node will do, its bus tells the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.brokers.redis.envelope import Outgoing
from llm_scheduler.brokers.redis.hearing import Hearing
from llm_scheduler.brokers.redis.line import FAULTS, Line, Pause, connected

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.brokers.redis.connection import Client

_log = structlog.get_logger(__name__)
GATHER_S: Final = 0.005
_MOST_WAITING: Final = 10_000
_MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_AT_ONCE: Final = 256
_ANSWER_S: Final = 1.0
"""A server that does not take messages for so long counts as gone."""
_LAST_WORDS_S: Final = 0.3


class RedisChannel:
    """See `ports.channel.Channel`.

    Args:
        client: what `open_client` gives; the channel only learns from it where to connect, and never closes it.
        prefix: goes before every topic; different installations on one Redis need different ones.
    """

    def __init__(self, client: Client, prefix: str) -> None:
        self._client, self._prefix = client, prefix
        self._outgoing = Outgoing(secrets.token_bytes(8))
        self._hearing = Hearing(client, prefix, self._outgoing.sender)
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        self._lost_on: set[str] = set()
        self._is_any = asyncio.Event()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._tasks: list[asyncio.Task[None]] = []
        self.is_sending = False
        self.lost = 0
        """Messages of this process that were given up: the buffer was full, or the connection broke."""

    @property
    def is_hearing(self) -> bool:
        """Whether messages of the others arrive now."""
        return self._hearing.is_connected

    async def open(self) -> None:
        """Begin; answers at once, also while Redis is away."""
        self._tasks = [
            asyncio.create_task(self._hearing.run(), name="channel-listener"),
            asyncio.create_task(self._send_forever(), name="channel-sender"),
        ]

    async def close(self) -> None:
        """Stop within a second; what was just published still goes out if Redis takes it."""
        if self.is_sending:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_S):
                    await self._is_empty.wait()
        self._hearing.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.5)
        self._tasks = []

    def publish(self, topic: str, payload: bytes) -> None:
        """Send to the other processes; never blocks, never fails. The sender does not hear it."""
        self._put(topic, self._outgoing.wrap(topic, payload))

    def listen(self, topic: str, hear: Callable[[bytes], None]) -> Callable[[], None]:
        """Hear what others publish on the topic from about now on; the answer ends it."""
        return self._hearing.listen(topic, hear)

    def on_gap(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Be told when messages may have been missed; the answer ends it."""
        return self._hearing.on_gap(hear)

    def _put(self, topic: str, message: bytes) -> None:
        self._waiting.append((topic, message))
        self._waiting_bytes += len(message)
        while len(self._waiting) > _MOST_WAITING or (self._waiting_bytes > _MOST_BYTES and len(self._waiting) > 1):
            self._note_lost([self._pop()])
        self._is_any.set()
        self._is_empty.clear()

    def _pop(self) -> tuple[str, bytes]:
        entry = self._waiting.popleft()
        self._waiting_bytes -= len(entry[1])
        return entry

    def _note_lost(self, entries: list[tuple[str, bytes]]) -> None:
        self.lost += len(entries)
        if len(self._lost_on) < _MOST_WAITING:
            self._lost_on.update(topic for topic, _ in entries)

    async def _send_forever(self) -> None:
        pause = Pause()
        while True:
            line: Line | None = None
            try:
                line = await connected(self._client)
                pause.over()
                await self._send_over(line)
            except FAULTS as error:
                if self.is_sending:
                    _log.warning("channel_cannot_send", error=str(error) or type(error).__name__)
            except Exception:  # noqa: BLE001 - the outermost place, logged
                _log.exception("channel_broke")
            finally:
                self.is_sending = False
                if line is not None:
                    await line.hang_up()
            await pause.sleep()

    async def _send_over(self, line: Line) -> None:
        self.is_sending = True
        self._mark_losses()
        while True:
            await self._is_any.wait()
            batch = [self._pop() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await line.publish([(self._prefix + topic, message) for topic, message in batch])
            except BaseException:
                self._note_lost(batch)
                raise
            if not self._waiting:
                self._is_any.clear()
                self._is_empty.set()
                # The first message after a silence goes at once, those that follow closely go together.
                await asyncio.sleep(GATHER_S)

    def _mark_losses(self) -> None:
        """Let the listeners see that something is missing, also on topics where nothing more is said."""
        lost, self._lost_on = self._lost_on, set()
        for topic in lost:
            self._put(topic, self._outgoing.wrap(topic, b"", is_marker=True))
