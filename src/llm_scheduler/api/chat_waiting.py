"""From a submitted chat completion to its end: news as they come, signs of life between, and why waiting is over.

Non-stream calls wait in silence, or, if they said how long they wait, with blanks before the JSON, which resets the
read timeout of every client. Streams get comments, which clients pass over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from llm_scheduler.api.errors import Problem
from llm_scheduler.api.following import Rereads, watching
from llm_scheduler.api.openai_errors import FinalProblem, problem_of_end
from llm_scheduler.domain.errors import SchedulerError, WrongStatusError
from llm_scheduler.domain.status import TERMINAL, Status
from llm_scheduler.ports.feed import Missed, TaskDelta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive

    from llm_scheduler.api.chat_asking import Terms
    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.task import Task
    from llm_scheduler.ports.feed import News

BEAT_S: Final = 5.0
"""Between two signs of life."""
STREAM_GRACE_S: Final = 1.0
"""A stream begins with its first text, or after so long: what fails before has a status of its own."""
_RETRY_AFTER_S: Final = 5
_SHORTEST_S: Final = 0.001
_log = structlog.get_logger(__name__)


class Spoken:
    """The text that went out, of the first attempt that said any.

    Text of a later attempt, and text after a gap, is held back: what was sent cannot be taken back, so the whole
    answer decides at the end whether it goes on from there.
    """

    def __init__(self) -> None:
        self.text = ""
        self._attempt = 0
        self._is_broken = False

    def takes(self, news: TaskDelta) -> bool:
        """Whether it goes out now; then it has."""
        if not self.text:
            self._attempt, self._is_broken = news.attempt, False
        if news.attempt != self._attempt or news.before != len(self.text):
            self._is_broken = True
        if self._is_broken:
            return False
        self.text += news.text
        return True

    def is_begin_of(self, whole: str) -> bool:
        """Whether the whole answer begins so."""
        return whole.startswith(self.text)


class ChatWait:
    """One caller's wait for one task.

    Args:
        caller: who waits.
        task: as it was submitted.
        terms: how they wait.
        first_beat_s: until the first sign of life.
    """

    def __init__(self, caller: Caller, task: Task, terms: Terms, first_beat_s: float = BEAT_S) -> None:
        self._caller, self._terms = caller, terms
        self._clock = caller.parts.clock
        self._beat_at = self._clock.monotonic_s() + first_beat_s
        self._ends_at = self._clock.monotonic_s() + terms.max_wait_s
        self.task = task
        self.spoken = Spoken()

    async def news(self, receive: Receive, *, with_text: bool) -> AsyncGenerator[str | None]:
        """Text as it comes, None as a sign of life; ends when the task has its answer.

        Raises:
            Problem: there will be none, or not in time.
            ClientDisconnect: nobody waits any more.
        """
        feed = self._caller.parts.feed
        async with watching(self._caller, receive, self.task.id, with_text=with_text) as watch:
            rereads, is_stale = Rereads(feed, BEAT_S), True
            while True:
                if is_stale and await self._is_answered():
                    return
                if watch.is_stopping:
                    raise _stopping(self.task)
                news = await watch.next(self._within_s(rereads.next_s))
                rereads.heard(news)
                # The record is asked after every change, after a gap, and when nothing comes.
                is_stale = not isinstance(news, TaskDelta)
                if isinstance(news, TaskDelta) and self.spoken.takes(news):
                    self._beat_at = self._clock.monotonic_s() + BEAT_S
                    yield news.text
                elif self._is_beat(news):
                    yield None

    def _is_beat(self, news: News | None) -> bool:
        now = self._clock.monotonic_s()
        if now < self._beat_at or isinstance(news, Missed):
            return False
        self._beat_at = now + BEAT_S
        return True

    def _within_s(self, reread_s: float) -> float:
        """Until the next thing is to be done."""
        now = self._clock.monotonic_s()
        due_s = [reread_s, self._beat_at - now]
        if self.task.status is not Status.RUNNING:
            due_s.append(self._ends_at - now)
        return max(_SHORTEST_S, min(due_s))

    async def _is_answered(self) -> bool:
        parts = self._caller.parts
        task = self.task = await parts.tasks.get(self.task.id, self._caller.tenant_id)
        if task.status is Status.COMPLETED:
            return True
        if task.status in TERMINAL:
            raise problem_of_end(task)
        if task.status is Status.HELD:
            raise FinalProblem(429, "insufficient_quota", f"No budget is left for task {task.id}; top it up.")
        if task.status is not Status.RUNNING and self._clock.monotonic_s() >= self._ends_at:
            raise _waited_too_long(task, self._terms)
        return False

    async def give_up(self) -> None:
        """Nobody waits any more: cancel the task, unless it is to stay."""
        if self._terms.keeps or self.task.status in TERMINAL:
            return
        try:
            await self._caller.parts.tasks.cancel(self.task.id, self._caller.tenant_id)
        except WrongStatusError:
            # It has ended meanwhile.
            return
        except SchedulerError as error:
            _log.warning("chat_not_cancelled", task_id=self.task.id, error=str(error))


def _waited_too_long(task: Task, terms: Terms) -> Problem:
    goes_on = "it goes on, and waits for you under its Idempotency-Key" if terms.keeps else "it was cancelled"
    detail = f"Task {task.id} got no turn within {terms.max_wait_s:g} s; {goes_on}."
    return Problem(429, "queue_timeout", detail, retry_after_s=_RETRY_AFTER_S)


def _stopping(task: Task) -> Problem:
    return Problem(503, "stopping", f"The server stops, or your key has ended, before task {task.id} was over.")
