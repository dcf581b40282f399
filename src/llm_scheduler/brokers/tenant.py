"""One tenant in one lane: how many slots it holds, and whether that is all it may."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_scheduler.brokers.share import Share
    from llm_scheduler.domain.ids import TenantId


class TenantLoad:
    """While it `is_full` the tenant's shares are not active: others go on."""

    __slots__ = ("is_full", "max_workers", "running", "shares", "tenant_id")

    def __init__(self, tenant_id: TenantId, max_workers: int | None) -> None:
        self.tenant_id = tenant_id
        self.max_workers = max_workers
        self.running = 0
        self.is_full = max_workers is not None and max_workers <= 0
        self.shares: dict[int, Share] = {}

    def limit(self, max_workers: int | None) -> None:
        """Another limit from now on."""
        self.max_workers = max_workers
        self._refresh()

    def started(self) -> None:
        """One slot more."""
        self.running += 1
        if self.max_workers is not None:
            self._refresh()

    def ended(self) -> None:
        """One slot less."""
        self.running -= 1
        if self.max_workers is not None:
            self._refresh()

    def _refresh(self) -> None:
        is_full = self.max_workers is not None and self.running >= self.max_workers
        if is_full == self.is_full:
            return
        self.is_full = is_full
        for share in self.shares.values():
            if is_full:
                share.ticket = None
            elif share.size:
                share.band.join(share)
