"""`ports.people.PeopleMoves`: users, memberships and tenants for both engines."""

from __future__ import annotations

from llm_scheduler.stores.portable.access import Access


class PeopleCalls(Access):
    """See the port for what each call promises."""
