"""The listening half of the Redis channel: subscriptions, gaps, and a line that must not be silently dead."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from llm_scheduler.brokers.redis.envelope import Incoming, read
from llm_scheduler.brokers.redis.line import FAULTS, Line, Pause, connected

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.brokers.redis.connection import Client

_log = structlog.get_logger(__name__)
_PING_AFTER_S: Final = 1.0
_DEAD_AFTER_S: Final = 2.5
"""A line over which nothing comes for so long, in spite of pings, is given up."""
_GAPS_APART_S: Final = 0.25


class Hearing:
    """Subscribes to what somebody listens to, and to nothing else."""

    def __init__(self, client: Client, prefix: str, own: bytes) -> None:
        self._client, self._prefix, self._own = client, prefix, own
        self._hearers: dict[str, list[Callable[[bytes], None]]] = {}
        self._incoming: dict[str, Incoming] = {}
        self._gap_hearers: list[Callable[[], None]] = []
        self._changed = asyncio.Event()
        self._heard_at_s = 0.0
        self._gap_told_at_s = float("-inf")
        self._gap_later: asyncio.TimerHandle | None = None
        self.is_connected = False

    def listen(self, topic: str, hear: Callable[[bytes], None]) -> Callable[[], None]:
        """Hear the topic; the answer ends it."""
        self._hearers.setdefault(topic, []).append(hear)
        self._changed.set()

        def undo() -> None:
            hearers = self._hearers.get(topic, [])
            if hear in hearers:
                hearers.remove(hear)
            if not hearers:
                self._hearers.pop(topic, None)
                self._changed.set()

        return undo

    def on_gap(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Hear of gaps; the answer ends it."""
        self._gap_hearers.append(hear)

        def undo() -> None:
            if hear in self._gap_hearers:
                self._gap_hearers.remove(hear)

        return undo

    def stop(self) -> None:
        """Tell nobody anything any more."""
        self._hearers.clear()
        self._gap_hearers.clear()
        if self._gap_later is not None:
            self._gap_later.cancel()

    async def run(self) -> None:
        """Listen for ever, over one line after the other."""
        pause = Pause()
        while True:
            line: Line | None = None
            try:
                line = await connected(self._client)
                pause.over()
                await self._over(line)
            except FAULTS as error:
                if self.is_connected:
                    _log.warning("channel_cannot_hear", error=str(error) or type(error).__name__)
            except Exception:  # noqa: BLE001 - the outermost place, logged
                _log.exception("channel_broke")
            finally:
                self.is_connected = False
                if line is not None:
                    await line.hang_up()
            await pause.sleep()

    async def _over(self, line: Line) -> None:
        """Until the line breaks."""
        self._heard_at_s = asyncio.get_running_loop().time()
        for incoming in self._incoming.values():
            incoming.forget()
        tending = asyncio.create_task(self._tend(line))
        reading = asyncio.create_task(self._read(line))
        try:
            await asyncio.wait((tending, reading), return_when=asyncio.FIRST_COMPLETED)
        finally:
            tending.cancel()
            reading.cancel()
            ends = await asyncio.gather(tending, reading, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _tend(self, line: Line) -> None:
        """Keep the subscriptions as they are wished, and ping in the silence."""
        subscribed: set[str] = set()
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            wished = set(self._hearers)
            if gone := subscribed - wished:
                await line.send("UNSUBSCRIBE", *(self._prefix + topic for topic in gone))
                for topic in gone:
                    self._incoming.pop(topic, None)
            if new := wished - subscribed:
                await line.send("SUBSCRIBE", *(self._prefix + topic for topic in new))
            # The answer to this ping comes after those to the subscriptions: then they are in force.
            if not self.is_connected:
                await line.send("PING")
            subscribed = wished
            silent_s = loop.time() - self._heard_at_s
            if silent_s > _DEAD_AFTER_S:
                raise TimeoutError(f"nothing was heard for {silent_s:.1f} s")
            if silent_s > _PING_AFTER_S / 2:
                await line.send("PING")
            try:
                async with asyncio.timeout(_PING_AFTER_S / 2):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _read(self, line: Line) -> None:
        loop = asyncio.get_running_loop()
        head = len(self._prefix)
        while True:
            answer = await line.read()
            self._heard_at_s = loop.time()
            words: list[Any] = cast("list[Any]", answer) if isinstance(answer, list) else [answer]
            if words[0] == b"message":
                self._take(words[1].decode()[head:], words[2])
            elif words[0] in (b"pong", b"PONG") and not self.is_connected:
                self.is_connected = True
                self._gap()

    def _take(self, topic: str, message: bytes) -> None:
        envelope = read(message)
        hearers = self._hearers.get(topic)
        if envelope is None or not hearers or envelope.sender == self._own:
            return
        incoming = self._incoming.get(topic)
        if incoming is None:
            incoming = self._incoming[topic] = Incoming()
        if not incoming.follows(envelope.sender, envelope.number):
            self._gap()
        if envelope.is_marker:
            return
        for hear in tuple(hearers):
            try:
                hear(envelope.payload)
            except Exception:  # noqa: BLE001 - one listener's bug must not deafen the others; logged
                _log.exception("message_not_understood", topic=topic)

    def _gap(self) -> None:
        """Tell of a gap, at most four times a second; the last one is never left out."""
        if self._gap_later is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._gap_told_at_s + _GAPS_APART_S - loop.time()
        self._gap_later = loop.call_later(max(0.0, wait_s), self._tell_gap)

    def _tell_gap(self) -> None:
        self._gap_later = None
        self._gap_told_at_s = asyncio.get_running_loop().time()
        for hear in tuple(self._gap_hearers):
            try:
                hear()
            except Exception:  # noqa: BLE001 - as above
                _log.exception("gap_not_understood")
