"""Live news inside one process: everyone who watches has a bounded queue of their own."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from llm_scheduler.ports.feed import Missed, News, TaskChanged, TaskDelta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from llm_scheduler.domain.ids import TaskId

_MOST_WAITING: Final = 1_000


class _Watcher:
    """News on the way to one reader. A slow reader loses the oldest and is told how many."""

    def __init__(self, *, with_text: bool) -> None:
        self.with_text = with_text
        self._news: deque[News] = deque()
        self._missed = 0
        self._has_gap = False
        self._ready = asyncio.Event()

    def give(self, news: News) -> None:
        if len(self._news) >= _MOST_WAITING:
            self._news.popleft()
            self._missed += 1
        self._news.append(news)
        self._ready.set()

    def give_gap(self) -> None:
        self._has_gap = True
        self._ready.set()

    async def stream(self) -> AsyncIterator[News]:
        while True:
            await self._ready.wait()
            self._ready.clear()
            if self._missed or self._has_gap:
                dropped, self._missed, self._has_gap = self._missed, 0, False
                yield Missed(dropped)
            while self._news:
                yield self._news.popleft()


class LocalFeed:
    """The feed of a single process: whoever watches gets everything, or is told that it did not."""

    is_lossy = False

    def __init__(self) -> None:
        self._all: set[_Watcher] = set()
        self._by_task: dict[TaskId, set[_Watcher]] = {}
        self._with_text: dict[TaskId, int] = {}

    @property
    def is_watched(self) -> bool:
        """Whether anyone watches at all."""
        return bool(self._all or self._by_task)

    def has_watchers(self, task_id: TaskId) -> bool:
        """Whether anyone would see a delta of this task."""
        return task_id in self._with_text

    def would_tell(self, task_id: TaskId) -> bool:
        """Whether anyone would see a change of this task."""
        return bool(self._all) or task_id in self._by_task

    def read_tasks(self) -> list[TaskId]:
        """The tasks whose deltas somebody reads."""
        return list(self._with_text)

    def publish(self, news: TaskChanged | TaskDelta) -> None:
        """Hand on; never blocks, never fails."""
        is_text = isinstance(news, TaskDelta)
        for watcher in self._by_task.get(news.task_id, ()):
            if watcher.with_text or not is_text:
                watcher.give(news)
        if self._all and not is_text:
            for watcher in self._all:
                watcher.give(news)

    def tell_gap(self) -> None:
        """News may be missing: every watcher gets a `Missed`."""
        for watchers in (self._all, *self._by_task.values()):
            for watcher in watchers:
                watcher.give_gap()

    @asynccontextmanager
    async def watch(
        self, task_id: TaskId | None = None, *, with_text: bool = True
    ) -> AsyncIterator[AsyncIterator[News]]:
        """News of one task (its deltas only `with_text`), or status changes of all."""
        watcher = _Watcher(with_text=with_text)
        watchers = self._all if task_id is None else self._by_task.setdefault(task_id, set())
        watchers.add(watcher)
        if task_id is not None and with_text:
            self._with_text[task_id] = self._with_text.get(task_id, 0) + 1
        try:
            yield watcher.stream()
        finally:
            watchers.discard(watcher)
            if task_id is not None:
                self._forget(task_id, watchers, with_text=with_text)

    def _forget(self, task_id: TaskId, watchers: set[_Watcher], *, with_text: bool) -> None:
        # Another set may stand there by now: one that came after this one was empty.
        if not watchers and self._by_task.get(task_id) is watchers:
            del self._by_task[task_id]
        if with_text:
            self._with_text[task_id] -= 1
            if not self._with_text[task_id]:
                del self._with_text[task_id]
