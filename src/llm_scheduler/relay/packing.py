"""News and announcements as bytes between processes.

Fields are fixed and in network order. The first byte is the version of this format: a process that does not
know it lets the message go, for the record has everything. A status that is unknown (a newer process sends it)
is passed over alike.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.feed import TaskChanged, TaskDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

VERSION: Final = b"\x02"
# By place: new ones go to the end, and none is ever taken out.
_STATUSES: Final = (
    Status.BLOCKED,
    Status.SCHEDULED,
    Status.QUEUED,
    Status.HELD,
    Status.RUNNING,
    Status.COMPLETED,
    Status.FAILED,
    Status.CANCELLED,
    Status.EXPIRED,
)
_CODES: Final = {status: code for code, status in enumerate(_STATUSES)}
_CHANGE: Final = struct.Struct(">QQQBIQ")
_DELTA: Final = struct.Struct(">QQIII")
_ID: Final = struct.Struct(">Q")


def packed_change(news: TaskChanged) -> bytes:
    """37 bytes."""
    task_id, tenant_id, model_id, status, attempt, at = news
    return _CHANGE.pack(task_id, tenant_id, model_id, _CODES[status], attempt, at)


def packed_delta(news: TaskDelta) -> bytes:
    """28 bytes and the text."""
    text = news.text.encode(errors="replace")
    return _DELTA.pack(news.task_id, news.tenant_id, news.attempt, news.before, len(text)) + text


def packed_ids(ids: Iterable[TaskId]) -> bytes:
    """8 bytes each."""
    return b"".join(map(_ID.pack, ids))


def changes(payload: bytes, is_wanted: Callable[[TaskId], bool]) -> Iterator[TaskChanged]:
    """Those of a message that are wanted; nothing of a message that is not understood."""
    if payload[:1] != VERSION or (len(payload) - 1) % _CHANGE.size:
        return
    for task_id, tenant_id, model_id, code, attempt, at in _CHANGE.iter_unpack(memoryview(payload)[1:]):
        if is_wanted(task_id) and code < len(_STATUSES):
            yield TaskChanged(
                TaskId(task_id), TenantId(tenant_id), ModelId(model_id), _STATUSES[code], attempt, Millis(at)
            )


def deltas(payload: bytes) -> Iterator[TaskDelta]:
    """Those of a message; nothing of one that is not understood."""
    if payload[:1] != VERSION:
        return
    at = 1
    while at + _DELTA.size <= len(payload):
        task_id, tenant_id, attempt, before, size = _DELTA.unpack_from(payload, at)
        at += _DELTA.size
        text = payload[at : at + size].decode(errors="replace")
        at += size
        yield TaskDelta(TaskId(task_id), TenantId(tenant_id), attempt, text, before)


def ids(payload: bytes) -> list[TaskId]:
    """Of whole ids; a rest is let go."""
    whole = len(payload) - len(payload) % _ID.size
    return [TaskId(task_id) for (task_id,) in _ID.iter_unpack(payload[:whole])]
