"""What callers were promised and a restart must not forget: bulk actions under way, answers already given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import Millis, TenantId


class ActionProgress(NamedTuple):
    """A bulk action on everything that matches `filter`: JSON text, as the caller wrote it."""

    id: int
    action: str
    filter: str
    priority: int | None
    status: str
    """`running`, `completed` or `failed`."""
    seen: int
    changed: int
    created_at: Millis
    updated_at: Millis
    error: str | None


class Actions(Protocol):
    """Bulk actions that survive a restart."""

    async def add_action(self, action: str, filter_json: str, priority: int | None) -> ActionProgress:
        """Begin."""
        ...

    async def save_action(
        self, action_id: int, *, seen: int, changed: int, status: str, error: str | None = None
    ) -> None:
        """Note progress."""
        ...

    async def action(self, action_id: int) -> ActionProgress | None:
        """How far it is."""
        ...

    async def unfinished_actions(self) -> Sequence[ActionProgress]:
        """Those a restart must take up again."""
        ...


KEY_TAKEN_MS: Final = 60_000


class Taken(NamedTuple):
    """By which request an idempotency key is taken. `answer` None: it is at it still, or was a task's."""

    fingerprint: str
    answer: str | None


class Replies(Protocol):
    """Answers kept for idempotency keys of requests that are not single tasks."""

    async def take_key(self, tenant_id: TenantId, key: str, fingerprint: str) -> Taken | None:
        """Take it for a request that is about to be carried out; else by which request it is taken already.

        Of several that ask at once one gets it. One that was taken longer than `KEY_TAKEN_MS` ago and has no answer
        is free again: whoever had it is gone.
        """
        ...

    async def keep_reply(self, tenant_id: TenantId, key: str, answer: str) -> None:
        """The answer, as JSON text, of the request that has taken it."""
        ...

    async def free_key(self, tenant_id: TenantId, key: str) -> None:
        """The request that has taken it made nothing: the next one may try."""
        ...
