"""The number that grows whenever somebody's access changes: processes see by it that what they hold is old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llm_scheduler.stores.portable.access import Transaction

VERSION_NAME: Final = "access"
"""Of its row in `states`."""


def access_changed(transaction: Transaction) -> None:
    """Part of every move that changes users, memberships, keys or sign-ins: snapshots of before are old."""
    row = (VERSION_NAME, 1, transaction.now, "{}")
    columns = ("name", "version", "updated_at", "data")
    transaction.upsert("states", columns, ("updated_at",), [row], added=("version",))
