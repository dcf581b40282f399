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

    def __init__(self) -> None:
        self._news: deque[News] = deque()
        self._missed = 0
        self._ready = asyncio.Event()

    def give(self, news: News) -> None:
        if len(self._news) >= _MOST_WAITING:
            self._news.popleft()
            self._missed += 1
        self._news.append(news)
        self._ready.set()

    async def stream(self) -> AsyncIterator[News]:
        while True:
            await self._ready.wait()
            self._ready.clear()
            if self._missed:
                dropped, self._missed = self._missed, 0
                yield Missed(dropped)
            while self._news:
                yield self._news.popleft()


class LocalFeed:
    """The feed of a single process."""

    def __init__(self) -> None:
        self._all: set[_Watcher] = set()
        self._by_task: dict[TaskId, set[_Watcher]] = {}

    @property
    def is_watched(self) -> bool:
        """Whether anyone watches at all."""
        return bool(self._all or self._by_task)

    def has_watchers(self, task_id: TaskId) -> bool:
        """Whether anyone would see a delta of this task."""
        return task_id in self._by_task

    def publish(self, news: TaskChanged | TaskDelta) -> None:
        """Hand on; never blocks, never fails."""
        for watcher in self._by_task.get(news.task_id, ()):
            watcher.give(news)
        if self._all and isinstance(news, TaskChanged):
            for watcher in self._all:
                watcher.give(news)

    @asynccontextmanager
    async def watch(self, task_id: TaskId | None = None) -> AsyncIterator[AsyncIterator[News]]:
        """News of one task, or status changes of all (no deltas)."""
        watcher = _Watcher()
        watchers = self._all if task_id is None else self._by_task.setdefault(task_id, set())
        watchers.add(watcher)
        try:
            yield watcher.stream()
        finally:
            watchers.discard(watcher)
            if task_id is not None and not watchers:
                self._by_task.pop(task_id, None)
