"""Users and memberships as rows.

Each move begins with `access_changed`: its row is locked until the commit, so that two changes, here or in other
processes, do not judge by the same state. Two administrators cannot remove each other at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.access import UserState
from llm_scheduler.domain.access_errors import (
    LastAdminError,
    TenantNotFoundError,
    UsernameTakenError,
    UserNotFoundError,
)
from llm_scheduler.domain.ids import KeyId, LoginId, UserId
from llm_scheduler.stores.access_rows import MEMBERSHIP_COLUMNS, USER_COLUMNS, user_of, user_row
from llm_scheduler.stores.portable.access_version import access_changed, also_changed
from llm_scheduler.stores.portable.logins import END, ended_now
from llm_scheduler.stores.rows import named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.access import Membership, Role, User
    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.stores.portable.access import Transaction

IDS: Final = "actions"
"""The block that ids of people and tenants come from: few rows, and no block of their own. Nobody locks its row."""
USER: Final = f"SELECT {named(USER_COLUMNS)} FROM users WHERE id = ? LIMIT ?"  # noqa: S608 - our names
USER_NAMED: Final = "SELECT id FROM users WHERE username = ?"
TENANT: Final = "SELECT id FROM tenants WHERE id = ?"
OTHER_ADMINS: Final = "SELECT COUNT(*) FROM users WHERE is_admin = 1 AND state = 'active' AND id <> ?"
MEMBER: Final = "SELECT role FROM memberships WHERE tenant_id = ? AND user_id = ?"
KEYS_OF: Final = "SELECT id FROM api_keys WHERE user_id = ?"
LOGINS_OF: Final = "SELECT id FROM logins WHERE user_id = ?"
DROP_MEMBER: Final = "DELETE FROM memberships WHERE tenant_id = ? AND user_id = ?"
REVOKE_THERE: Final = "UPDATE api_keys SET revoked_at = ? WHERE tenant_id = ? AND user_id = ? AND revoked_at IS NULL"
REVOKED_THERE: Final = "SELECT id FROM api_keys WHERE tenant_id = ? AND user_id = ? AND revoked_at = ?"
DROP_USER: Final = (
    "DELETE FROM memberships WHERE user_id = ?",
    "DELETE FROM api_keys WHERE user_id = ?",
    "DELETE FROM logins WHERE user_id = ?",
    "DELETE FROM users WHERE id = ?",
)


def add_user(transaction: Transaction, user: User, membership: Membership | None) -> User:
    """A new row, with id and times; perhaps one in `memberships` beside it."""
    user_id, now = UserId(transaction.new_id(IDS)), transaction.now
    access_changed(transaction, users=[user_id])
    _check_name(transaction, user.username, None)
    added = replace(user, id=user_id, created_at=now, updated_at=now)
    transaction.insert("users", USER_COLUMNS, [user_row(added)])
    if membership is not None:
        row = (added.id, membership.tenant_id, membership.role.value, now)
        transaction.insert("memberships", MEMBERSHIP_COLUMNS, [row])
    return added


def change_user(transaction: Transaction, user_id: UserId, changes: Mapping[str, Any], *, ends_logins: bool) -> User:
    """Set some columns."""
    access_changed(transaction, users=[user_id])
    before = found_user(transaction, user_id)
    after = replace(before, **changes, updated_at=transaction.now)
    if after.username != before.username:
        _check_name(transaction, after.username, user_id)
    if _runs_it(before) and not _runs_it(after):
        _check_admins(transaction, before)
    if ends_logins:
        after = replace(after, epoch=before.epoch + 1)
        transaction.do(END, (transaction.now, user_id))
        also_changed(transaction, logins=ended_now(transaction, user_id))
    transaction.upsert("users", USER_COLUMNS, USER_COLUMNS[1:], [user_row(after)])
    return after


def remove_user(transaction: Transaction, user_id: UserId) -> None:
    """The row and all that is the user's."""
    access_changed(transaction, users=[user_id])
    user = found_user(transaction, user_id)
    if _runs_it(user):
        _check_admins(transaction, user)
    keys = [KeyId(row[0]) for row in transaction.rows(("id",), KEYS_OF, (user_id,))]
    logins = [LoginId(row[0]) for row in transaction.rows(("id",), LOGINS_OF, (user_id,))]
    also_changed(transaction, keys=keys, logins=logins)
    for statement in DROP_USER:
        transaction.do(statement, (user_id,))


def set_member(transaction: Transaction, tenant_id: TenantId, user_id: UserId, role: Role) -> bool:
    """Insert or update."""
    access_changed(transaction, users=[user_id])
    found_user(transaction, user_id)
    if transaction.value(TENANT, (tenant_id,)) is None:
        raise TenantNotFoundError(f"#{tenant_id}")
    is_new = transaction.value(MEMBER, (tenant_id, user_id)) is None
    row = (user_id, tenant_id, role.value, transaction.now)
    transaction.upsert("memberships", MEMBERSHIP_COLUMNS, ("role",), [row])
    return is_new


def remove_member(transaction: Transaction, tenant_id: TenantId, user_id: UserId) -> bool:
    """Delete the row; API keys of the user there are over too."""
    access_changed(transaction, users=[user_id])
    transaction.do(REVOKE_THERE, (transaction.now, tenant_id, user_id))
    revoked = transaction.rows(("id",), REVOKED_THERE, (tenant_id, user_id, transaction.now))
    also_changed(transaction, keys=[KeyId(row[0]) for row in revoked])
    return transaction.run(DROP_MEMBER, (tenant_id, user_id)) > 0


def found_user(transaction: Transaction, user_id: UserId) -> User:
    """The row as it is now.

    Raises:
        UserNotFoundError: there is none.
    """
    rows = transaction.rows(USER_COLUMNS, USER, (user_id, 1))
    if not rows:
        raise UserNotFoundError(f"#{user_id}")
    return user_of(rows[0])


def _runs_it(user: User) -> bool:
    return user.is_admin and user.state is UserState.ACTIVE


def _check_admins(transaction: Transaction, user: User) -> None:
    if not transaction.value(OTHER_ADMINS, (user.id,)):
        raise LastAdminError(user.username)


def _check_name(transaction: Transaction, username: str, own: UserId | None) -> None:
    holder = transaction.value(USER_NAMED, (username,))
    if holder is not None and holder != own:
        raise UsernameTakenError(username)
