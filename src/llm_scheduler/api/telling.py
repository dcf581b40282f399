"""What a reader of one task's stream was told, so that he is told neither old news nor too little text."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from llm_scheduler.domain.status import TERMINAL, Status
from llm_scheduler.ports.feed import TaskChanged, TaskDelta

if TYPE_CHECKING:
    from llm_scheduler.domain.task import Task
    from llm_scheduler.ports.feed import News


class Told:
    """Follows status and text of one task as they go out."""

    def __init__(self) -> None:
        self._status: Status | None = None
        self._attempt = 0
        self._text_attempt = 0
        self._characters = 0
        self._digest = hashlib.blake2b()

    def is_as(self, task: Task) -> bool:
        """Whether the reader knows that the task stands like this."""
        return (task.status, task.attempt) == (self._status, self._attempt)

    def status(self, status: Status, attempt: int) -> None:
        """The reader learns this."""
        self._status, self._attempt = status, attempt

    def takes(self, news: News) -> bool:
        """Whether the reader is to get it: then he has it from now on.

        He knows a status already that the record told, or that a later attempt has overtaken; an end is told by the
        record alone, after all of the text.
        """
        if isinstance(news, TaskDelta):
            self._text(news)
        elif isinstance(news, TaskChanged):
            is_known = (news.status, news.attempt) == (self._status, self._attempt) or news.attempt < self._attempt
            if is_known or is_end(news):
                return False
            self.status(news.status, news.attempt)
        return True

    def _text(self, news: TaskDelta) -> None:
        if news.attempt != self._text_attempt:
            self._text_attempt, self._characters, self._digest = news.attempt, 0, hashlib.blake2b()
        self._characters += len(news.text)
        self._digest.update(_bytes(news.text))

    def rest(self, task: Task) -> str:
        """What is missing at the end of the text that the reader has; "" when he has all of it, or lacks its middle.

        Who came in the middle, or missed something on the way, cannot be helped by more text: he takes the whole
        from the task itself.
        """
        if task.status is not Status.COMPLETED or not task.output or not self._characters:
            return ""
        known = task.output[: self._characters]
        if task.attempt != self._text_attempt or hashlib.blake2b(_bytes(known)).digest() != self._digest.digest():
            return ""
        return task.output[self._characters :]


def is_end(news: News) -> bool:
    """Whether the task is over."""
    return isinstance(news, TaskChanged) and news.status in TERMINAL


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")
