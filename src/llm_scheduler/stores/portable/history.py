"""`ports.history.HistoryReads`: what has run, page by page along the index on the ends of attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.figures import PastCall
from llm_scheduler.stores.portable.access import Access

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import Millis, TenantId
    from llm_scheduler.ports.history import Mark
    from llm_scheduler.stores.portable.access import Reader

_OF_TASK: Final = ("type", "priority", "deadline_at")
_PAGE: Final = (
    f"SELECT {', '.join(('t.' if name in _OF_TASK else 'a.') + name for name in PastCall._fields)} "  # noqa: S608 - names of our own, values are bound
    "FROM attempts a JOIN tasks t ON t.id = a.task_id WHERE a.ended_at >= ? AND a.ended_at < ? "
    "AND (a.ended_at > ? OR a.task_id > ? OR (a.task_id = ? AND a.attempt > ?)) "
    "AND a.outcome IN ('completed', 'failed') {tenant}ORDER BY a.ended_at, a.task_id, a.attempt LIMIT ?"
)
OF_ALL: Final = _PAGE.format(tenant="")
OF_TENANT: Final = _PAGE.format(tenant="AND a.tenant_id = ? ")


def page(reader: Reader, since: Mark, until: Millis, limit: int, tenant_id: TenantId | None) -> list[PastCall]:
    """One page."""
    ended_at, task_id, attempt = since
    bounds = (ended_at, until, ended_at, task_id, task_id, attempt)
    if tenant_id is None:
        rows = reader.rows(PastCall._fields, OF_ALL, (*bounds, limit))
    else:
        rows = reader.rows(PastCall._fields, OF_TENANT, (*bounds, tenant_id, limit))
    return [PastCall(*row) for row in rows]


class HistoryCalls(Access):
    """See the port for what each call promises."""

    async def history(
        self, since: Mark, until: Millis, limit: int, tenant_id: TenantId | None = None
    ) -> Sequence[PastCall]:
        """Calls that ended after `since` and before `until`."""
        return await self._read(lambda reader: page(reader, since, until, limit, tenant_id), may_lag=True)
