"""`ports.audit.AuditMoves`: the audit log for both engines."""

from __future__ import annotations

from llm_scheduler.stores.portable.access import Access


class AuditCalls(Access):
    """See the port for what each call promises."""
