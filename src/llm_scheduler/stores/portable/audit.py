"""`ports.audit.AuditMoves`: the audit log for both engines. Nothing here changes or deletes a row of it."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.audit import GENESIS, AuditEntry, AuditOutcome, AuditRow, hashed
from llm_scheduler.domain.ids import Millis, TenantId
from llm_scheduler.ports.audit import AuditPage
from llm_scheduler.stores import filters
from llm_scheduler.stores.audit_triggers import NAMES
from llm_scheduler.stores.portable.access import Access
from llm_scheduler.stores.rows import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.audit import AuditFilter
    from llm_scheduler.stores.portable.access import Reader, Row, Transaction

GUARD: Final = "audit"
"""Of its row in `id_blocks`: whoever holds it alone knows the last row."""
# The id stands last: a first column `id` would be the mark by which a commit of unknown outcome is asked for, and an id
# that is the last one plus one may be another process's.
COLUMNS: Final = (
    "at",
    "tenant_id",
    "actor_kind",
    "actor_id",
    "actor",
    "action",
    "target_kind",
    "target",
    "outcome",
    "address",
    "request_id",
    "state_before",
    "state_after",
    "hash",
    "id",
)
_HEAD: Final = "SELECT id, hash FROM audit_log ORDER BY id DESC LIMIT 1"
_SAME: Final = (
    "SELECT id FROM audit_log WHERE `at` = ? AND request_id = ? AND action = ? AND target = ? AND outcome = ? LIMIT 1"
)
_NEWEST: Final = f"SELECT {named(COLUMNS)} FROM audit_log ORDER BY id DESC LIMIT 1"  # noqa: S608 - our names
_AFTER: Final = f"SELECT {named(COLUMNS)} FROM audit_log WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608 - our names


def append_all(transaction: Transaction, jobs: list[Sequence[AuditEntry]]) -> list[None]:
    """All entries of a commit as one piece of the chain."""
    transaction.guard(GUARD, is_exclusive=True)
    found = transaction.rows(("id", "hash"), _HEAD)
    last_id, last_hash = (int(found[0][0]), str(found[0][1])) if found else (0, GENESIS)
    rows: list[tuple[object, ...]] = []
    seen: set[tuple[object, ...]] = set()
    for entry in chain.from_iterable(jobs):
        one = entry.fitted()
        key = (one.at, one.request_id, one.action, one.target, one.outcome.value)
        # A call whose first try was written though nobody heard of it comes again.
        if key in seen or transaction.value(_SAME, key) is not None:
            continue
        seen.add(key)
        last_id += 1
        last_hash = hashed(last_hash, last_id, one)
        rows.append((*_values(one), last_hash, last_id))
    transaction.insert("audit_log", COLUMNS, rows)
    return [None] * len(jobs)


def rows_after(reader: Reader, after_id: int, limit: int) -> list[AuditRow]:
    """The rows after one, oldest first."""
    return [row_of(row) for row in reader.rows(COLUMNS, _AFTER, (after_id, limit))]


def newest(reader: Reader) -> AuditRow | None:
    """The last row."""
    found = reader.rows(COLUMNS, _NEWEST)
    return row_of(found[0]) if found else None


class AuditCalls(Access):
    """See the port for what each call promises."""

    _triggers_there: str

    async def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Append, in this order."""
        if entries:
            await self._merge("audit", tuple(entries))

    async def audit_page(self, where: AuditFilter, *, limit: int, cursor: str | None = None) -> AuditPage:
        """One page, newest first."""
        place = filters.unpacked_cursor(cursor)
        conditions, values = _conditions(where)
        if place is not None:
            conditions.append("id < ?")
            values.append(place.id)
        wanted = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        query = f"SELECT {named(COLUMNS)} FROM audit_log {wanted}ORDER BY id DESC LIMIT ?"  # noqa: S608 - our names
        values.append(limit + 1)
        found = [row_of(row) for row in await self._read(lambda reader: reader.rows(COLUMNS, query, values))]
        items = tuple(found[:limit])
        more = len(found) > limit and items
        return AuditPage(items, filters.packed_cursor(items[-1].entry.at, items[-1].id) if more else None)

    async def audit_rows(self, after_id: int, limit: int) -> Sequence[AuditRow]:
        """The rows after one, oldest first."""
        return await self._read(lambda reader: rows_after(reader, after_id, limit))

    async def audit_head(self) -> AuditRow | None:
        """The newest row."""
        return await self._read(newest)

    async def is_audit_guarded(self) -> bool:
        """Whether both triggers are there."""
        return await self._read(lambda reader: reader.value(self._triggers_there, NAMES)) == len(NAMES)


def row_of(row: Row) -> AuditRow:
    """From `COLUMNS`."""
    entry = AuditEntry(
        at=Millis(row[0]),
        tenant_id=None if row[1] is None else TenantId(row[1]),
        actor_kind=row[2],
        actor_id=row[3],
        actor=row[4],
        action=row[5],
        target_kind=row[6],
        target=row[7],
        # One that this program does not know is no reason to hide the row; verifying takes it as it is.
        outcome=AuditOutcome(row[8]) if row[8] in list(AuditOutcome) else row[8],
        address=row[9],
        request_id=row[10],
        before=row[11],
        after=row[12],
    )
    return AuditRow(int(row[14]), entry, row[13])


def _values(entry: AuditEntry) -> tuple[object, ...]:
    return (
        entry.at,
        entry.tenant_id,
        entry.actor_kind,
        entry.actor_id,
        entry.actor,
        entry.action,
        entry.target_kind,
        entry.target,
        entry.outcome.value,
        entry.address,
        entry.request_id,
        entry.before,
        entry.after,
    )


def _conditions(where: AuditFilter) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if where.is_of_tenant:
        conditions.append("tenant_id IS NULL" if where.tenant_id is None else "tenant_id = ?")
        values += [] if where.tenant_id is None else [where.tenant_id]
    for column, value in (
        ("actor = ?", where.actor),
        ("target = ?", where.target),
        ("outcome = ?", None if where.outcome is None else where.outcome.value),
        ("`at` >= ?", where.since),
        ("`at` < ?", where.until),
    ):
        if value is not None:
            conditions.append(column)
            values.append(value)
    if where.action is not None:
        # `model` and all from `model.` up to what would follow it: a full stop comes before a slash.
        conditions.append("(action = ? OR (action >= ? AND action < ?))")
        values += [where.action, f"{where.action}.", f"{where.action}/"]
    return conditions, values
