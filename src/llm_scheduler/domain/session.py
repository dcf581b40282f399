"""A worker session: one row per process start; liveness belongs to it alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import Millis, SessionId, TaskId

BEAT_EVERY_S: Final = 2.0
IDLE_BEAT_EVERY_S: Final = 6.0
"""A session without a running call has nothing to learn from its beat, only its place to keep."""
CLAIM_GRACE_S: Final = 4.0
"""A claim that was not started after so long is given up by its worker: the reconciler may have given
the slot away."""
TTL_S: Final = 10.0
FENCE_AFTER_S: Final = 8.0
"""A worker that could not renew for this long stops its calls by itself, before others bury it."""
MAX_CRASHES: Final = 3
"""Lost workers after which a task is a dead letter instead of being started again."""


@dataclass(frozen=True, slots=True)
class Session:
    """One start of a process; with role `api` it runs no tasks."""

    id: SessionId
    host: str
    pid: int
    version: str
    started_at: Millis
    heartbeat_at: Millis
    is_alive: bool
    running: int = 0
    cpu_percent: float = 0.0
    rss_bytes: int = 0
    role: str = "all"
    """`api`, `worker` or `all`."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a worker reports with each heartbeat."""

    running: int
    cpu_percent: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class BeatAnswer:
    """What the record says to a heartbeat.

    `is_alive` False means fenced: stop every call and register anew. `stop` are the caller's
    running tasks that were cancelled or taken over: their calls are to be aborted.
    """

    is_alive: bool
    stop: tuple[TaskId, ...] = ()
