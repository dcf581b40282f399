"""The audit log in the record: appended to, read, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.audit import AuditEntry, AuditFilter, AuditRow


class AuditPage(NamedTuple):
    """Some entries, newest first; `next_cursor` None = the last page."""

    items: tuple[AuditRow, ...]
    next_cursor: str | None


class AuditReads(Protocol):
    """As much as verifying takes."""

    async def audit_rows(self, after_id: int, limit: int) -> Sequence[AuditRow]:
        """The rows after one, oldest first."""
        ...

    async def audit_head(self) -> AuditRow | None:
        """The newest row."""
        ...


class AuditMoves(AuditReads, Protocol):
    """What is written and asked of them."""

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Append, in this order. An entry that is there already is not added again: a call may be repeated."""
        ...

    async def audit_page(self, where: AuditFilter, *, limit: int, cursor: str | None = None) -> AuditPage:
        """One page, newest first; keyset.

        Raises:
            InvalidInputError: the cursor is not one of ours.
        """
        ...

    async def is_audit_guarded(self) -> bool:
        """Whether the engine itself refuses to change or delete rows of the log."""
        ...
