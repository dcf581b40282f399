"""Waiting for news of a task: the long poll and the streams, so that nothing falls between reading and watching."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect

from llm_scheduler.domain.status import TERMINAL
from llm_scheduler.ports.feed import TaskDelta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive

    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.ids import TaskId
    from llm_scheduler.domain.task import Task
    from llm_scheduler.ports.feed import Feed, News

REREAD_S: Final = 2.0
"""News are best effort: a long poll reads the record again at least so often."""
FIRST_REREAD_S: Final = 0.25
"""And so soon after it began to wait, or last heard of a change, where news can be lost unnoticed."""


class Rereads:
    """When to read the record again although nothing was heard.

    Where nothing is lost unnoticed, always after `calm_s`; else soon at first, and then less and less often,
    but no less often than every REREAD_S.
    """

    def __init__(self, feed: Feed, calm_s: float) -> None:
        self._first_s = FIRST_REREAD_S if feed.is_lossy else calm_s
        self._longest_s = REREAD_S if feed.is_lossy else calm_s
        self.next_s = self._first_s
        self.silent_s = 0.0

    def heard(self, news: News | None) -> None:
        """Something came, or nothing within `next_s`."""
        if news is None:
            self.silent_s += self.next_s
            self.next_s = min(self._longest_s, self.next_s * 2)
            return
        self.silent_s = 0.0
        if not isinstance(news, TaskDelta):
            # More may follow soon, and be lost. After text, which shows that nothing has changed, the pace stays.
            self.next_s = self._first_s


class Watch:
    """News one by one, until the client goes, may not listen any more, or the server stops."""

    def __init__(self, news: AsyncIterator[News], receive: Receive, caller: Caller) -> None:
        self._news, self._caller, self._stopping = news, caller, caller.parts.stopping
        self._out = asyncio.Event()
        self._gone = asyncio.ensure_future(_disconnected(receive))
        self._stop = asyncio.ensure_future(self._stopping.wait())
        self._left = asyncio.ensure_future(self._out.wait())
        self._next: asyncio.Future[News] | None = None
        self._undo = caller.parts.access.directory.on_taken(self._check)

    @property
    def is_stopping(self) -> bool:
        """Whether the server is about to end, or the key or sign-in that this was asked with has ended."""
        return self._stopping.is_set() or self._out.is_set()

    def _check(self) -> None:
        if not self._caller.is_still_in():
            self._out.set()

    async def next(self, within_s: float) -> News | None:
        """The next news; None after `within_s`, or when `is_stopping`. None is ever lost.

        Raises:
            ClientDisconnect: nobody listens any more.
        """
        if self._next is None:
            self._next = asyncio.ensure_future(_one(self._news))
        watched: set[asyncio.Future[Any]] = {self._next, self._gone, self._stop, self._left}
        done, _ = await asyncio.wait(watched, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if self._gone in done:
            raise ClientDisconnect
        if not done:
            # A key may have ended by itself, of which nobody tells.
            self._check()
        if self._next not in done or self._out.is_set():
            return None
        found, self._next = self._next.result(), None
        return found

    async def close(self) -> None:
        """Stop listening."""
        self._undo()
        pending: list[asyncio.Future[Any]] = [self._gone, self._stop, self._left]
        if self._next is not None:
            pending.append(self._next)
        for future in pending:
            future.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


@asynccontextmanager
async def watching(
    caller: Caller, receive: Receive, task_id: TaskId | None = None, *, with_text: bool = True
) -> AsyncIterator[Watch]:
    """News of one task, or status changes of all: from now on, so read the record after entering."""
    async with caller.parts.feed.watch(task_id, with_text=with_text) as news:
        watch = Watch(news, receive, caller)
        try:
            yield watch
        finally:
            await watch.close()


async def when_over(caller: Caller, receive: Receive, task_id: TaskId, wait_s: float) -> Task:
    """The task as soon as it is over, or as it stands after `wait_s` seconds.

    Raises:
        TaskNotFoundError: none, or someone else's.
        ClientDisconnect: nobody waits any more.
    """
    parts = caller.parts
    task = await parts.tasks.get(task_id, caller.tenant_id)
    if task.status in TERMINAL:
        return task
    ends_at = parts.clock.monotonic_s() + wait_s
    rereads = Rereads(parts.feed, REREAD_S)
    async with watching(caller, receive, task_id, with_text=False) as watch:
        while True:
            task = await parts.tasks.get(task_id, caller.tenant_id)
            left_s = ends_at - parts.clock.monotonic_s()
            if task.status in TERMINAL or left_s <= 0 or watch.is_stopping:
                return task
            rereads.heard(await watch.next(min(left_s, rereads.next_s)))


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _one(news: AsyncIterator[News]) -> News:
    return await anext(news)
