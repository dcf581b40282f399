"""`ports.accounts.AccountMoves`: what people change of their own accounts, for both engines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from llm_scheduler.domain.access import Membership, Role
from llm_scheduler.domain.ids import Millis, UserId
from llm_scheduler.stores.access_rows import MEMBERSHIP_COLUMNS, USER_COLUMNS, membership_row, user_of, user_row
from llm_scheduler.stores.access_tables import USERS
from llm_scheduler.stores.portable.access import Access
from llm_scheduler.stores.portable.access_version import access_changed
from llm_scheduler.stores.portable.logins import SIGN_UP
from llm_scheduler.stores.rows import named

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llm_scheduler.domain.access import User
    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.stores.portable.access import Transaction

OWN: Final = frozenset({"password_hash", "must_change_password", "totp", "recovery", "email", "display_name"})
"""Columns that people may set of their own account."""
USER: Final = f"SELECT {named(USER_COLUMNS)} FROM users WHERE id = ?"  # noqa: S608
USER_BY_NAME: Final = f"SELECT {named(USER_COLUMNS)} FROM users WHERE username = ?"  # noqa: S608
USER_OF_SUBJECT: Final = f"SELECT {named(USER_COLUMNS)} FROM users WHERE subject = ?"  # noqa: S608
PERSON: Final = "SELECT id FROM users WHERE kind = 'person' LIMIT 1"
USER_NAMED: Final = "SELECT id FROM users WHERE username = ?"
ROLES_OF: Final = "SELECT tenant_id, role FROM memberships WHERE user_id = ?"
SET_ADMIN: Final = "UPDATE users SET is_admin = ?, updated_at = ? WHERE id = ? AND is_admin <> ?"
HOLD: Final = "UPDATE users SET epoch = epoch WHERE id = ?"
LEAVE: Final = "DELETE FROM memberships WHERE user_id = ?"
SEEN: Final = "UPDATE users SET last_seen_at = ? WHERE id IN ({ids}) AND (last_seen_at IS NULL OR last_seen_at < ?)"
_LONGEST_NAME: Final = 90


class AccountCalls(Access):
    """See the port for what each call promises."""

    async def first_user(self, user: User, tenant_id: TenantId) -> User | None:
        """Add the first person."""
        return await self._write(lambda transaction: _first(transaction, user, tenant_id))

    async def sign_up(self, user: User) -> User:
        """Add a person who signs in at a provider."""
        return await self._write(lambda transaction: _sign_up(transaction, user))

    async def change_account(
        self, user_id: UserId, changes: Mapping[str, object], expected: Mapping[str, object] | None = None
    ) -> bool:
        """Set columns, if others are as they were read."""
        return await self._write(lambda transaction: _change(transaction, user_id, changes, expected or {}))

    async def follow_groups(self, user_id: UserId, roles: Mapping[TenantId, Role], *, is_admin: bool) -> bool:
        """Make these the memberships."""
        return await self._write(lambda transaction: _follow(transaction, user_id, roles, is_admin=is_admin))

    async def note_seen(self, user_ids: Collection[UserId]) -> None:
        """They were here just now."""

        def note(transaction: Transaction) -> None:
            now = (transaction.now,)
            transaction.do_in(SEEN, sorted(user_ids), now, now)

        await self._write(note, is_loose=True)

    async def last_seen(self, user_ids: Collection[UserId]) -> Mapping[UserId, Millis]:
        """When they were last here."""
        users = USERS.c
        query = select(users.id, users.last_seen_at).where(users.id.in_(user_ids), users.last_seen_at.is_not(None))
        rows = await self._read(lambda reader: reader.select(("id", "last_seen_at"), query))
        return {UserId(user_id): Millis(at) for user_id, at in rows}

    async def account(self, user_id: UserId) -> User | None:
        """One account."""
        rows = await self._read(lambda reader: reader.rows(USER_COLUMNS, USER, (user_id,)))
        return user_of(rows[0]) if rows else None

    async def account_named(self, username: str) -> User | None:
        """By name."""
        rows = await self._read(lambda reader: reader.rows(USER_COLUMNS, USER_BY_NAME, (username,)))
        return user_of(rows[0]) if rows else None

    async def has_person(self) -> bool:
        """Whether there is one yet."""
        return await self._read(lambda reader: reader.value(PERSON)) is not None


def _first(transaction: Transaction, user: User, tenant_id: TenantId) -> User | None:
    if transaction.value(PERSON) is not None:
        return None
    user_id, now = UserId(transaction.new_id("users")), transaction.now
    # Two who come at once would both find nobody: the second waits here, and looks again.
    transaction.guard(SIGN_UP, is_exclusive=True)
    if transaction.value(PERSON) is not None:
        return None
    added = replace(user, id=user_id, username=_free_name(transaction, user.username), created_at=now, updated_at=now)
    transaction.insert("users", USER_COLUMNS, [user_row(added)])
    membership = Membership(user_id, tenant_id, Role.OWNER, now)
    transaction.insert("memberships", MEMBERSHIP_COLUMNS, [membership_row(membership)])
    access_changed(transaction, users=[user_id])
    return added


def _sign_up(transaction: Transaction, user: User) -> User:
    found = transaction.rows(USER_COLUMNS, USER_OF_SUBJECT, (user.subject,))
    if found:
        return user_of(found[0])
    user_id, now = UserId(transaction.new_id("users")), transaction.now
    name = _free_name(transaction, user.username[:_LONGEST_NAME])
    added = replace(user, id=user_id, username=name, created_at=now, updated_at=now)
    transaction.insert("users", USER_COLUMNS, [user_row(added)])
    access_changed(transaction, users=[user_id])
    return added


def _free_name(transaction: Transaction, wanted: str) -> str:
    """The name, or the first of name-2, name-3 … that nobody has: a name gives nobody another's account."""
    name, number = wanted, 1
    while transaction.value(USER_NAMED, (name,)) is not None:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _change(
    transaction: Transaction, user_id: UserId, changes: Mapping[str, object], expected: Mapping[str, object]
) -> bool:
    if not changes.keys() <= OWN or not expected.keys() <= OWN:
        raise ValueError(f"not one's own: {sorted((changes.keys() | expected.keys()) - OWN)}")
    settings = ", ".join(f"{name} = ?" for name in (*changes, "updated_at"))
    values: list[object] = [*changes.values(), transaction.now, user_id]
    where = "id = ?"
    for name, value in expected.items():
        if value is None:
            where += f" AND {name} IS NULL"
        else:
            where += f" AND {name} = ?"
            values.append(value)
    if not transaction.run(f"UPDATE users SET {settings} WHERE {where}", values):  # noqa: S608 - names of our own
        return False
    access_changed(transaction, users=[user_id])
    return True


def _follow(transaction: Transaction, user_id: UserId, roles: Mapping[TenantId, Role], *, is_admin: bool) -> bool:
    now = transaction.now
    # Two sign-ins of one person follow one after the other.
    transaction.do(HOLD, (user_id,))
    is_changed = transaction.run(SET_ADMIN, (int(is_admin), now, user_id, int(is_admin))) > 0
    held = {row[0]: Role(row[1]) for row in transaction.rows(("tenant_id", "role"), ROLES_OF, (user_id,))}
    if held != dict(roles):
        transaction.do(LEAVE, (user_id,))
        memberships = [Membership(user_id, tenant_id, role, now) for tenant_id, role in sorted(roles.items())]
        if memberships:
            transaction.insert("memberships", MEMBERSHIP_COLUMNS, [membership_row(one) for one in memberships])
        is_changed = True
    if is_changed:
        access_changed(transaction, users=[user_id])
    return is_changed
