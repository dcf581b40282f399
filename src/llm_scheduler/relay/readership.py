"""Whose text is read where: each process tells the others for which tasks it has readers of deltas.

A process that reads something says so at once, and all of it again every two seconds; one that falls silent is
forgotten after three such periods. Nothing is sent while nobody reads.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.relay.packing import VERSION, ids, packed_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_scheduler.domain.ids import TaskId

REPEAT_EVERY_S: Final = 2.0
LAPSE_AFTER_S: Final = 3 * REPEAT_EVERY_S
NAME_BYTES: Final = 8


class Kind(IntEnum):
    """What an announcement says."""

    ALL = 0
    """These are the tasks I read, and no others."""
    MORE = 1
    """These as well."""
    ASK = 2
    """Say what you read: I have just come, or was away."""


_KINDS: Final = {int(kind): kind for kind in Kind}


class Announcement(NamedTuple):
    """One process speaking."""

    name: bytes
    kind: Kind
    task_ids: list[TaskId]


def packed(name: bytes, kind: Kind, task_ids: Iterable[TaskId] = ()) -> bytes:
    """The announcement as bytes."""
    return VERSION + name + bytes((kind,)) + packed_ids(task_ids)


def unpacked(payload: bytes) -> Announcement | None:
    """The announcement; None for one that is not understood."""
    head, rest = payload[: 2 + NAME_BYTES], payload[2 + NAME_BYTES :]
    if len(head) < 2 + NAME_BYTES or head[:1] != VERSION or head[-1] not in _KINDS:
        return None
    return Announcement(head[1:-1], _KINDS[head[-1]], ids(rest))


class Readership:
    """What the other processes read, by task and by process."""

    def __init__(self) -> None:
        self._by_task: dict[TaskId, tuple[bytes, ...]] = {}
        self._by_name: dict[bytes, set[TaskId]] = {}
        self._heard_at_s: dict[bytes, float] = {}

    def __contains__(self, task_id: TaskId) -> bool:
        return task_id in self._by_task

    def of(self, task_id: TaskId) -> tuple[bytes, ...]:
        """The processes that read the task."""
        return self._by_task.get(task_id, ())

    def hear(self, said: Announcement, now_s: float) -> None:
        """Take an announcement over."""
        if said.kind is Kind.ASK:
            return
        read = set(said.task_ids)
        before = self._by_name.get(said.name, set())
        if said.kind is Kind.MORE:
            read |= before
        for task_id in before - read:
            self._take_out(task_id, said.name)
        for task_id in read - before:
            self._by_task[task_id] = (*self._by_task.get(task_id, ()), said.name)
        if read:
            self._by_name[said.name] = read
            self._heard_at_s[said.name] = now_s
        else:
            self._by_name.pop(said.name, None)
            self._heard_at_s.pop(said.name, None)

    def lapse(self, now_s: float) -> None:
        """Forget who has not been heard for long."""
        for name in [name for name, at_s in self._heard_at_s.items() if now_s - at_s > LAPSE_AFTER_S]:
            self.hear(Announcement(name, Kind.ALL, []), now_s)

    def _take_out(self, task_id: TaskId, name: bytes) -> None:
        rest = tuple(other for other in self._by_task.get(task_id, ()) if other != name)
        if rest:
            self._by_task[task_id] = rest
        else:
            self._by_task.pop(task_id, None)
