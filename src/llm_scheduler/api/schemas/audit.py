"""The audit log as callers see it."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import orjson
from pydantic import Field, StringConstraints

from llm_scheduler.api.answers import stamp
from llm_scheduler.api.fields import Body, Instant, Shown, millis
from llm_scheduler.domain.audit import AuditFilter, AuditOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llm_scheduler.domain.audit import AuditRow, Chain
    from llm_scheduler.domain.ids import TenantId

    NameOf = Callable[[TenantId | None], str | None]

OutcomeName = Literal["done", "refused", "failed"]
CSV_COLUMNS: Final = (
    "id", "at", "tenant", "actor_kind", "actor_id", "actor", "action", "target_kind", "target", "outcome", "address",
    "request_id", "before", "after", "hash",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet would calculate."""


class AuditWhere(Body):
    """Which entries are meant; everything given must hold."""

    tenant: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """Name of a tenant; of the own one unless the caller runs the installation."""
    actor: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """The name of who did it, as entries have it."""
    action: Annotated[str, StringConstraints(pattern=r"^[a-z_.]{1,64}$")] | None = None
    """`model.change`; or `model` for everything of models."""
    target: Annotated[str, StringConstraints(min_length=1, max_length=191)] | None = None
    """The name of what it was done to."""
    outcome: OutcomeName | None = None
    since: Instant | None = Field(None, alias="from")
    """From this moment on."""
    until: Instant | None = Field(None, alias="to")
    """Before this moment."""

    def where(self, *, is_of_tenant: bool, tenant_id: TenantId | None) -> AuditFilter:
        """What the store is asked."""
        return AuditFilter(
            is_of_tenant=is_of_tenant,
            tenant_id=tenant_id,
            actor=self.actor,
            action=self.action,
            target=self.target,
            outcome=None if self.outcome is None else AuditOutcome(self.outcome),
            since=millis(self.since),
            until=millis(self.until),
        )


class AuditQuery(AuditWhere):
    """Filter and page."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    """Entries on one page."""
    cursor: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """`next_cursor` of the page before."""


class AuditExportQuery(AuditWhere):
    """Filter and form."""

    format: Literal["ndjson", "csv"] = "ndjson"
    """An entry on each line as JSON, or CSV for spreadsheets."""


class AuditVerifyQuery(Body):
    """How much to look at."""

    last: Annotated[int, Field(ge=1, le=2**53 - 1)] | None = None
    """Only so many of the newest rows, trusting the one before them; without, all."""
    expect: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    """A hash that must be met: the head that was noted elsewhere at some time."""


class ActorShown(Shown):
    """Who it was."""

    kind: Literal["bootstrap", "key", "user", "nobody"]
    id: int | None
    """Of the key or the user."""
    name: str
    """The user's name; for a key `user/key`; what was tried when signing in failed is the target."""


class TargetShown(Shown):
    """What it was done to."""

    kind: str
    name: str


class AuditEntryShown(Shown):
    """One entry."""

    id: int
    at: str
    tenant: str | None
    """Whose data it is about; null: the installation's."""
    tenant_id: int | None
    actor: ActorShown
    action: str
    target: TargetShown
    outcome: OutcomeName
    address: str
    request_id: str
    before: dict[str, Any] | None
    """What was, as far as it changed; secrets masked."""
    after: dict[str, Any] | None
    """What is since then; of a refused or failed attempt the error's code; `count` for many alike."""
    hash: str
    """SHA-256 over the hash of the row before and all of this one."""


class AuditPageShown(Shown):
    """Some entries, newest first."""

    items: list[AuditEntryShown]
    next_cursor: str | None


class AuditVerifiedShown(Shown):
    """What going along the chain found."""

    ok: bool
    rows: int
    """Rows that hold together."""
    first_broken_id: int | None
    """The first row that is missing or is not what was written."""
    detail: str | None
    head_id: int
    head_hash: str
    """Of the last row that holds. Note it elsewhere, and give it as `expect` next time."""
    is_guarded: bool
    """Whether the database itself refuses to change or delete rows."""


def entry_json(row: AuditRow, name_of: NameOf) -> dict[str, object]:
    """An entry for an answer."""
    entry = row.entry
    return {
        "id": row.id,
        "at": stamp(entry.at),
        "tenant": name_of(entry.tenant_id),
        "tenant_id": entry.tenant_id,
        "actor": {"kind": entry.actor_kind, "id": entry.actor_id, "name": entry.actor},
        "action": entry.action,
        "target": {"kind": entry.target_kind, "name": entry.target},
        "outcome": entry.outcome,
        "address": entry.address,
        "request_id": entry.request_id,
        "before": _values(entry.before),
        "after": _values(entry.after),
        "hash": row.hash,
    }


def verified_json(chain: Chain, *, is_guarded: bool) -> dict[str, object]:
    """What was found, for an answer."""
    return {
        "ok": chain.is_whole,
        "rows": chain.rows,
        "first_broken_id": chain.broken_id,
        "detail": chain.said() or None,
        "head_id": chain.head_id,
        "head_hash": chain.head,
        "is_guarded": is_guarded,
    }


def csv_lines(rows: Iterable[AuditRow], name_of: NameOf) -> bytes:
    """Entries as lines of CSV. A cell that a spreadsheet would calculate begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in rows:
        entry = row.entry
        cells = (
            row.id, stamp(entry.at), name_of(entry.tenant_id), entry.actor_kind, entry.actor_id, entry.actor,
            entry.action, entry.target_kind, entry.target, entry.outcome, entry.address, entry.request_id,
            entry.before, entry.after, row.hash,
        )  # fmt: skip
        writer.writerow([_cell(cell) for cell in cells])
    return text.getvalue().encode()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _values(text: str | None) -> object:
    """The values of a JSON text; one that was tampered with is shown as it is."""
    if text is None:
        return None
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {"unreadable": text}
    return values if isinstance(values, dict) else {"unreadable": text}
