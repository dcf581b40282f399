"""The audit log: who did what to what, from where, and what changed. Each row seals all those before it.

The hash of a row is SHA-256 over the hash of the row before and all columns of this one. Whoever changes, removes or
swaps rows breaks the chain there; whoever cuts off its end, or makes it all anew, has another head than was noted
elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llm_scheduler.domain.ids import Millis, TenantId

GENESIS: Final = "0" * 64
"""What stands for the hash before the first row."""
_LENGTHS: Final = {"actor": 100, "action": 64, "target_kind": 32, "target": 191, "address": 64, "request_id": 128}
"""Characters that the record has room for."""


class AuditOutcome(StrEnum):
    """What became of it."""

    DONE = "done"
    REFUSED = "refused"
    """They may not."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that was done, or tried.

    `tenant_id` is whose data it is about, None the installation's. `actor_kind` is how they came in (`bootstrap`,
    `key`, `user`, `nobody`), `actor_id` the key's or the user's id. `action` reads like `model.change`. `before` and
    `after` are JSON text, secrets masked.
    """

    at: Millis
    tenant_id: TenantId | None
    actor_kind: str
    actor_id: int | None
    actor: str
    action: str
    target_kind: str
    target: str
    outcome: AuditOutcome
    address: str = ""
    request_id: str = ""
    before: str | None = None
    after: str | None = None

    def fitted(self) -> AuditEntry:
        """The same, cut to what the record has room for. Half a surrogate pair is no text."""
        cut = {name: _text(getattr(self, name))[:length] for name, length in _LENGTHS.items()}
        return replace(self, **cut)


class AuditRow(NamedTuple):
    """An entry in its place."""

    id: int
    entry: AuditEntry
    hash: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are meant; None = any. `action` `model` means `model.change` and the like, too.

    `tenant_id` is meant only if `is_of_tenant`. `since` is inclusive, `until` exclusive.
    """

    is_of_tenant: bool = False
    tenant_id: TenantId | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None
    outcome: AuditOutcome | None = None
    since: Millis | None = None
    until: Millis | None = None


def hashed(previous: str, row_id: int, entry: AuditEntry) -> str:
    """The hash of a row, from that of the row before."""
    values: Mapping[str, Any] = {"id": row_id, **asdict(entry)}
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{previous}\n{canonical}".encode()).hexdigest()


class Chain:
    """Goes along the log from its first row (or from one that is taken on trust), and stops at the first fault.

    Args:
        expected: the hash of a row that must be met, say the head that was noted last week; empty: none.
        start: the row before the first one that is looked at.
    """

    def __init__(self, expected: str = "", start: AuditRow | None = None) -> None:
        self.expected = expected.strip().lower()
        self.rows = 0
        self.head_id = 0 if start is None else start.id
        self.head = GENESIS if start is None else start.hash
        self.broken_id: int | None = None
        self.fault = ""
        self._is_met = self.expected in ("", self.head)

    @property
    def is_whole(self) -> bool:
        """Whether no fault was met, and the expected row was."""
        return self.broken_id is None and self._is_met

    @property
    def is_met(self) -> bool:
        """Whether the expected hash was met, or none is expected."""
        return self._is_met

    def follow(self, rows: Iterable[AuditRow]) -> bool:
        """Look at the next rows, in their order; whether all is well so far."""
        for row in rows:
            if self.broken_id is not None:
                break
            if row.id != self.head_id + 1:
                self._break(self.head_id + 1, f"row {self.head_id + 1} is missing")
            elif row.hash != hashed(self.head, row.id, row.entry):
                self._break(row.id, f"row {row.id} is not what was written")
            else:
                self.rows, self.head_id, self.head = self.rows + 1, row.id, row.hash
                self._is_met = self._is_met or row.hash == self.expected
        return self.broken_id is None

    def _break(self, row_id: int, fault: str) -> None:
        self.broken_id, self.fault = row_id, fault

    def said(self) -> str:
        """What was found, in words; empty when all is well."""
        if self.broken_id is not None:
            return self.fault
        return "" if self._is_met else "no row has the expected hash: the end of the log, or all of it, was replaced"


def _text(value: str) -> str:
    return value.encode("utf-8", "replace").decode()
