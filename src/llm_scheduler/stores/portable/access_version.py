"""The number that grows whenever somebody's access changes: processes see by it that what they hold is old.

Beside it stands what each step changed, so that nobody need read everything again for one new key or sign-in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_scheduler.domain.ids import KeyId, LoginId, UserId
    from llm_scheduler.stores.portable.access import Transaction

VERSION_NAME: Final = "access"
"""Of its row in `states`."""
VERSION: Final = "SELECT version FROM states WHERE name = ?"
USER: Final = "user"
KEY: Final = "key"
LOGIN: Final = "login"
_COLUMNS: Final = ("version", "kind", "row_id")
_KEPT: Final = 8_192
"""Steps that are told one by one; whoever is further behind reads everything."""
_PRUNE_EVERY: Final = 256
_PRUNE: Final = "DELETE FROM access_changes WHERE version <= ?"


def access_changed(
    transaction: Transaction,
    *,
    users: Iterable[UserId] = (),
    keys: Iterable[KeyId] = (),
    logins: Iterable[LoginId] = (),
) -> None:
    """Part of every move that changes users, memberships, keys or sign-ins: snapshots of before are old.

    Args:
        transaction: that of the move. Not a loose one: the step and the change must come together.
        users: changed, added or removed ones; also those whose memberships did.
        keys: likewise.
        logins: likewise. With nothing named, all processes read everything again.
    """
    row = (VERSION_NAME, 1, transaction.now, "{}")
    columns = ("name", "version", "updated_at", "data")
    # Whoever is next waits here for our commit: steps become visible in their order, without a gap.
    transaction.upsert("states", columns, ("updated_at",), [row], added=("version",))
    version = also_changed(transaction, users=users, keys=keys, logins=logins)
    if version and version % _PRUNE_EVERY == 0:
        transaction.do(_PRUNE, (version - _KEPT,))


def also_changed(
    transaction: Transaction,
    *,
    users: Iterable[UserId] = (),
    keys: Iterable[KeyId] = (),
    logins: Iterable[LoginId] = (),
) -> int:
    """Name more of the step that `access_changed` has begun in this transaction; its number, 0 if there is no more.

    A move that first waits its turn, then judges, knows only afterwards whose keys and sign-ins it ends.
    """
    kinds = ((USER, users), (KEY, keys), (LOGIN, logins))
    touched = [(kind, row_id) for kind, ids in kinds for row_id in sorted(set(ids))]
    if not touched:
        return 0
    version: int = transaction.value(VERSION, (VERSION_NAME,))
    transaction.insert("access_changes", _COLUMNS, [(version, *one) for one in touched])
    return version
