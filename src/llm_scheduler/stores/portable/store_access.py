"""`ports.access.AccessRecord`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.ids import KeyId, LoginId, UserId
from llm_scheduler.ports.access import AccessChanges, AccessSnapshot
from llm_scheduler.stores import statements
from llm_scheduler.stores.access_rows import (
    KEY_COLUMNS,
    LOGIN_COLUMNS,
    MEMBERSHIP_COLUMNS,
    USER_COLUMNS,
    key_of,
    login_of,
    membership_of,
    user_of,
)
from llm_scheduler.stores.portable.access_version import KEY, LOGIN, USER, VERSION, VERSION_NAME
from llm_scheduler.stores.portable.accounts import AccountCalls
from llm_scheduler.stores.portable.api_keys import KeysCalls
from llm_scheduler.stores.portable.audit import AuditCalls
from llm_scheduler.stores.portable.logins import LoginsCalls
from llm_scheduler.stores.portable.people import PeopleCalls
from llm_scheduler.stores.rows import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llm_scheduler.domain.ids import Millis
    from llm_scheduler.stores.portable.access import Reader, Row

PAGE: Final = 1_000
"""Rows that are read and made values of at once: others get their turn between."""
MOST_CHANGES: Final = 2_000
"""More than these are not told apart."""
ALL: Final = 2**31
_USERS: Final = f"SELECT {named(USER_COLUMNS)} FROM users WHERE"  # noqa: S608 - our names
_MEMBERSHIPS: Final = f"SELECT {named(MEMBERSHIP_COLUMNS)} FROM memberships WHERE"  # noqa: S608
_KEYS: Final = f"SELECT {named(KEY_COLUMNS)} FROM api_keys WHERE revoked_at IS NULL AND"  # noqa: S608
_LOGINS: Final = f"SELECT {named(LOGIN_COLUMNS)} FROM logins WHERE revoked_at IS NULL AND expires_at > ? AND"  # noqa: S608
_NEXT: Final = "id > ? ORDER BY id LIMIT ?"
_THESE: Final = "id IN ({ids}) ORDER BY id LIMIT ?"
USERS: Final = f"{_USERS} {_NEXT}"
MEMBERSHIPS: Final = (
    f"{_MEMBERSHIPS} (user_id > ? OR (user_id = ? AND tenant_id > ?)) ORDER BY user_id, tenant_id LIMIT ?"
)
KEYS: Final = f"{_KEYS} {_NEXT}"
LOGINS: Final = f"{_LOGINS} {_NEXT}"
THESE_USERS: Final = f"{_USERS} {_THESE}"
THEIR_MEMBERSHIPS: Final = f"{_MEMBERSHIPS} user_id IN ({{ids}}) ORDER BY user_id, tenant_id LIMIT ?"
THESE_KEYS: Final = f"{_KEYS} {_THESE}"
THESE_LOGINS: Final = f"{_LOGINS} {_THESE}"
CHANGE_COLUMNS: Final = ("version", "kind", "row_id")
CHANGES: Final = f"SELECT {named(CHANGE_COLUMNS)} FROM access_changes WHERE version > ? ORDER BY version LIMIT ?"  # noqa: S608


class AccessCalls(PeopleCalls, KeysCalls, LoginsCalls, AccountCalls, AuditCalls):
    """Reading who may do what; see the port."""

    async def access(self) -> AccessSnapshot:
        """Users, memberships, keys that are not revoked, sign-ins that are alive."""
        now = self._clock.now()
        return await self._read(lambda reader: _everything(reader, now), is_snapshot=True)

    async def access_since(self, version: int) -> AccessChanges | None:
        """What has changed since that snapshot."""
        now = self._clock.now()
        return await self._read(lambda reader: _changes(reader, version, now), is_snapshot=True)

    async def access_version(self) -> int:
        """Which snapshot `access` would give now."""
        return await self._read(_version)


def _version(reader: Reader) -> int:
    return reader.value(VERSION, (VERSION_NAME,)) or 0


def _everything(reader: Reader, now: Millis) -> AccessSnapshot:
    # The version first: what changes while the rest is read makes the snapshot count as old.
    version = _version(reader)
    return AccessSnapshot(
        [user_of(row) for row in _walked(reader, USER_COLUMNS, USERS)],
        [membership_of(row) for row in _walked_memberships(reader)],
        [key_of(row) for row in _walked(reader, KEY_COLUMNS, KEYS)],
        [login_of(row) for row in _walked(reader, LOGIN_COLUMNS, LOGINS, now)],
        version,
    )


def _walked(reader: Reader, columns: tuple[str, ...], query: str, *before: object) -> Iterator[Row]:
    """All rows, by id."""
    after = 0
    while True:
        page = reader.rows(columns, query, (*before, after, PAGE))
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _walked_memberships(reader: Reader) -> Iterator[Row]:
    user_id = tenant_id = 0
    while True:
        page = reader.rows(MEMBERSHIP_COLUMNS, MEMBERSHIPS, (user_id, user_id, tenant_id, PAGE))
        yield from page
        if len(page) < PAGE:
            return
        user_id, tenant_id = page[-1][0], page[-1][1]


def _changes(reader: Reader, version: int, now: Millis) -> AccessChanges | None:
    newest = _version(reader)
    rows = reader.rows(CHANGE_COLUMNS, CHANGES, (version, MOST_CHANGES + 1))
    # A step that says nothing of itself may have changed anything; so may a record that went back in time.
    if newest < version or len(rows) > MOST_CHANGES or len({row[0] for row in rows}) != newest - version:
        return None
    touched: dict[str, set[int]] = {USER: set(), KEY: set(), LOGIN: set()}
    for _, kind, row_id in rows:
        touched[kind].add(row_id)
    users, keys, logins = (sorted(touched[kind]) for kind in (USER, KEY, LOGIN))
    found = AccessSnapshot(
        [user_of(row) for row in _these(reader, USER_COLUMNS, THESE_USERS, users)],
        [membership_of(row) for row in _these(reader, MEMBERSHIP_COLUMNS, THEIR_MEMBERSHIPS, users)],
        [key_of(row) for row in _these(reader, KEY_COLUMNS, THESE_KEYS, keys)],
        [login_of(row) for row in _these(reader, LOGIN_COLUMNS, THESE_LOGINS, logins, now)],
        newest,
    )
    return AccessChanges(
        frozenset(UserId(one) for one in users),
        frozenset(KeyId(one) for one in keys),
        frozenset(LoginId(one) for one in logins),
        found,
        now,
    )


def _these(reader: Reader, columns: tuple[str, ...], template: str, ids: Sequence[int], *before: Any) -> Iterator[Row]:
    for part in statements.padded(ids, statements.LIST_SIZES):
        yield from reader.rows(columns, statements.with_ids(template, len(part)), (*before, *part, ALL))
