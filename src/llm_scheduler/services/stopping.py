"""Stopping calls of cancelled tasks, wherever they run: here at once, elsewhere by a hint.

The mark in the record is what cancels; the worker that runs the task learns of it with its next heartbeat. A hint
only makes that heartbeat come at once: it names task and attempt, and the record is asked before anything is
aborted, so that a hint that is late or wrong stops nothing that nobody cancelled.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.ids import TaskId
from llm_scheduler.services.running import Why

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_scheduler.ports.channel import Channel
    from llm_scheduler.ports.store import Moved
    from llm_scheduler.services.running import RunningCalls

STOP: Final = "stop"
_HINT: Final = struct.Struct(">QI")


class Stopping:
    """Tells whoever runs a cancelled task."""

    def __init__(self, running: RunningCalls, channel: Channel) -> None:
        self._running, self._channel = running, channel

    def stop(self, cancelled: Sequence[Moved]) -> None:
        """Abort those of these running, cancelled tasks that run here; give the others a hint."""
        elsewhere = [
            _HINT.pack(task.task_id, task.attempt)
            for task in cancelled
            if not self._running.abort(task.task_id, Why.CANCEL, task.attempt)
        ]
        if elsewhere:
            self._channel.publish(STOP, b"".join(elsewhere))

    def listen(self, look: Callable[[], None]) -> Callable[[], None]:
        """Call `look` when a task that runs here may have been cancelled elsewhere; the answer ends it."""

        def hear(payload: bytes) -> None:
            whole = len(payload) - len(payload) % _HINT.size
            hints = _HINT.iter_unpack(payload[:whole])
            if any(self._running.runs(TaskId(task_id), attempt) for task_id, attempt in hints):
                look()

        undo, undo_gap = self._channel.listen(STOP, hear), self._channel.on_gap(look)

        def end() -> None:
            undo()
            undo_gap()

        return end
