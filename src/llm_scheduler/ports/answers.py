"""Stored answers: equal tasks that ask for it are answered by one call.

A task with a `CacheWish` *leads* when nothing equal is stored or in flight; equal ones *follow* it as BLOCKED.
When a leader completes, its followers complete with a copy in the same transaction. When it ends otherwise,
or is gone, the oldest follower leads. No follower waits for a task that is over: `regroup` finds those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.task import WaitingTask
    from llm_scheduler.ports.store import Moved


class Followers(NamedTuple):
    """What a move did to followers: those that lead now and wait in the queue, and those that have their answer."""

    freed: Sequence[WaitingTask] = ()
    ended: Sequence[Moved] = ()
    is_cut: bool = False
    """More may be left: `regroup` goes on."""


class Answers(Protocol):
    """Upkeep of stored answers; safe from any process at any time."""

    async def regroup(self, limit: int) -> Followers:
        """Followers whose leader is over or gone: answered if it completed, else one leads and the others follow.

        At most about `limit` followers.
        """
        ...

    async def drop_answers(self, limit: int) -> int:
        """Forget at most so many answers whose time is over, and leads of tasks that are over; how many."""
        ...
