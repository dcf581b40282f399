"""The calls that this process has open, so that a cancel can reach them at once."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_scheduler.domain.ids import TaskId


class Why(StrEnum):
    """Why an open call is aborted."""

    CANCEL = "cancel"
    """Someone cancelled the task. Or another attempt owns it, or it is over: then the record takes no end of this."""
    DRAIN = "drain"
    """The process stops."""
    FENCED = "fenced"
    """This session is dead to the others."""
    OVERDUE = "overdue"
    """The call outlived its timeout."""


class OpenCall(Protocol):
    """A call that can be stopped."""

    @property
    def attempt(self) -> int:
        """The attempt of its task that it is."""
        ...

    def abort(self, why: Why) -> None:
        """Close the connection; a second abort changes nothing."""
        ...


class RunningCalls:
    """By task id."""

    def __init__(self) -> None:
        self._calls: dict[TaskId, OpenCall] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, task_id: TaskId) -> bool:
        return task_id in self._calls

    def __iter__(self) -> Iterator[OpenCall]:
        return iter(list(self._calls.values()))

    def add(self, task_id: TaskId, call: OpenCall) -> None:
        """A call begins."""
        self._calls[task_id] = call

    def remove(self, task_id: TaskId, call: OpenCall) -> None:
        """It is over. A newer call of the same task stays."""
        if self._calls.get(task_id) is call:
            del self._calls[task_id]

    def get(self, task_id: TaskId) -> OpenCall | None:
        """The task's newest call, if it has one here."""
        return self._calls.get(task_id)

    def runs(self, task_id: TaskId, attempt: int) -> bool:
        """Whether this very attempt runs here."""
        call = self._calls.get(task_id)
        return call is not None and call.attempt == attempt

    def abort(self, task_id: TaskId, why: Why, attempt: int) -> bool:
        """Stop this very attempt, if it runs here."""
        call = self._calls.get(task_id)
        if call is None or call.attempt != attempt:
            return False
        call.abort(why)
        return True

    def abort_all(self, why: Why) -> None:
        """Stop everything."""
        for call in self:
            call.abort(why)
