"""Live news across processes: what happens here is told to the others, and what happens there to who watches here."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from llm_scheduler.ports.feed import TaskChanged
from llm_scheduler.relay.packing import VERSION, changes, deltas, packed_change, packed_delta
from llm_scheduler.relay.readership import NAME_BYTES, REPEAT_EVERY_S, Kind, Readership, packed, unpacked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from llm_scheduler.domain.ids import TaskId
    from llm_scheduler.ports.channel import Channel
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.feed import News, TaskDelta
    from llm_scheduler.relay.live import LocalFeed

CHANGES: Final = "tasks"
WATCHED: Final = "watched"
_DELTAS: Final = "deltas:"
_GATHER_S: Final = 0.005
_MOST_BYTES: Final = 32 * 1024
_LINGER_S: Final = 30.0
"""A process that watches nothing any more goes on listening for so long: the next watcher misses nothing."""


class SharedFeed:
    """See `ports.feed.Feed`. Changes go to whoever watches anything, deltas only to who reads that task.

    Args:
        local: hands news to the watchers of this process.
        channel: to the other processes; opened and closed by someone else.
        clock: tells how long somebody has been silent.
    """

    is_lossy = True
    is_watched = True
    """Nobody knows who begins to watch just now, so changes are always published."""

    def __init__(self, local: LocalFeed, channel: Channel, clock: Clock) -> None:
        self._local, self._channel, self._clock = local, channel, clock
        self._name = secrets.token_bytes(NAME_BYTES)
        self._elsewhere = Readership()
        self._topic, self._batch, self._batch_bytes = "", list[bytes](), 0
        self._new: list[TaskId] = []
        self._has_to_tell_all = False
        self._has_told = False
        self._flushing: asyncio.TimerHandle | None = None
        self._sent_at_s = float("-inf")
        self._undo: list[Callable[[], None]] = []
        self._undo_hearing: list[Callable[[], None]] = []
        self._idle_since_s: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Learn what others read, and begin to tell."""
        self._loop = asyncio.get_running_loop()
        self._undo = [self._channel.listen(WATCHED, self._hear_announcement), self._channel.on_gap(self._gap)]
        self._channel.publish(WATCHED, packed(self._name, Kind.ASK))
        self._tending = asyncio.create_task(self._tend(), name="feed")

    async def close(self) -> None:
        """Send what waits, and listen no more; close the channel after this."""
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        if self._has_told:
            self._channel.publish(WATCHED, packed(self._name, Kind.ALL))
        self._flush()
        self._loop = None
        for undo in (*self._undo, *self._undo_hearing):
            undo()
        self._undo, self._undo_hearing = [], []

    def has_watchers(self, task_id: TaskId) -> bool:
        """Whether anyone, here or elsewhere, would see a delta of this task."""
        return task_id in self._elsewhere or self._local.has_watchers(task_id)

    def publish(self, news: TaskChanged | TaskDelta) -> None:
        """Hand on; never blocks, never fails."""
        self._local.publish(news)
        if isinstance(news, TaskChanged):
            self._add(CHANGES, packed_change(news))
            return
        readers = self._elsewhere.of(news.task_id)
        if readers:
            piece = packed_delta(news)
            for name in readers:
                self._add(_DELTAS + name.hex(), piece)

    @asynccontextmanager
    async def watch(
        self, task_id: TaskId | None = None, *, with_text: bool = True
    ) -> AsyncIterator[AsyncIterator[News]]:
        """News of one task (its deltas only `with_text`), or status changes of all."""
        self._hear_news()
        is_new = with_text and task_id is not None and not self._local.has_watchers(task_id)
        async with self._local.watch(task_id, with_text=with_text) as news:
            if is_new and task_id is not None:
                self._new.append(task_id)
                self._flush_soon()
            yield news

    def _add(self, topic: str, piece: bytes) -> None:
        """Gather; a change of topic ends the batch, so that everything leaves in the order it came."""
        if topic != self._topic:
            self._send_batch()
            self._topic = topic
        self._batch.append(piece)
        self._batch_bytes += len(piece)
        if self._batch_bytes >= _MOST_BYTES:
            self._send_batch()
        elif self._flushing is None:
            self._flush_soon()

    def _send_batch(self) -> None:
        if self._batch:
            self._channel.publish(self._topic, VERSION + b"".join(self._batch))
            self._batch, self._batch_bytes = [], 0

    def _flush_soon(self) -> None:
        """At once after a silence, else when the last time is long enough ago."""
        if self._flushing is None and self._loop is not None:
            wait_s = self._sent_at_s + _GATHER_S - self._loop.time()
            self._flushing = self._loop.call_later(max(0.0, wait_s), self._flush)

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._loop is not None:
            self._sent_at_s = self._loop.time()
        if self._has_to_tell_all:
            self._tell_all()
        elif self._new:
            self._channel.publish(WATCHED, packed(self._name, Kind.MORE, self._new))
            self._has_told = True
        self._new.clear()
        self._send_batch()

    def _tell_all(self) -> None:
        self._has_to_tell_all = False
        read = self._local.read_tasks()
        if read or self._has_told:
            self._channel.publish(WATCHED, packed(self._name, Kind.ALL, read))
        self._has_told = bool(read)

    def _hear_news(self) -> None:
        self._idle_since_s = None
        if not self._undo_hearing and self._loop is not None:
            self._undo_hearing = [
                self._channel.listen(CHANGES, self._hear_changes),
                self._channel.listen(_DELTAS + self._name.hex(), self._hear_deltas),
            ]

    def _hear_changes(self, payload: bytes) -> None:
        for news in changes(payload, self._local.would_tell):
            self._local.publish(news)

    def _hear_deltas(self, payload: bytes) -> None:
        for news in deltas(payload):
            self._local.publish(news)

    def _hear_announcement(self, payload: bytes) -> None:
        said = unpacked(payload)
        if said is None:
            return
        if said.kind is Kind.ASK:
            self._has_to_tell_all = self._has_told or bool(self._local.read_tasks())
            self._flush_soon()
        else:
            self._elsewhere.hear(said, self._clock.monotonic_s())

    def _gap(self) -> None:
        """Something may be missing in either direction: watchers read the record, readers are asked for anew."""
        self._local.tell_gap()
        self._channel.publish(WATCHED, packed(self._name, Kind.ASK))
        self._has_to_tell_all = True
        self._flush_soon()

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(REPEAT_EVERY_S)
            now_s = self._clock.monotonic_s()
            self._elsewhere.lapse(now_s)
            self._has_to_tell_all = True
            self._flush()
            self._rest(now_s)

    def _rest(self, now_s: float) -> None:
        """Listen no more when nobody has watched for long."""
        if self._local.is_watched or not self._undo_hearing:
            self._idle_since_s = None
        elif self._idle_since_s is None:
            self._idle_since_s = now_s
        elif now_s - self._idle_since_s > _LINGER_S:
            for undo in self._undo_hearing:
                undo()
            self._undo_hearing, self._idle_since_s = [], None
