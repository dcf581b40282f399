"""What callers were promised and a restart must not forget: bulk actions under way, answers already given."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

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


class Replies(Protocol):
    """Answers kept for idempotency keys of requests that are not single tasks."""

    async def reply(self, tenant_id: TenantId, key: str) -> tuple[str, str] | None:
        """(fingerprint, answer as JSON text) of an earlier use."""
        ...

    async def keep_reply(self, tenant_id: TenantId, key: str, fingerprint: str, answer: str) -> None:
        """Remember; the first one wins."""
        ...
