"""`ports.access.AccessRecord`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.ports.access import AccessSnapshot
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
from llm_scheduler.stores.portable.access_version import VERSION_NAME
from llm_scheduler.stores.portable.api_keys import KeysCalls
from llm_scheduler.stores.portable.audit import AuditCalls
from llm_scheduler.stores.portable.logins import LoginsCalls
from llm_scheduler.stores.portable.people import PeopleCalls
from llm_scheduler.stores.rows import named

if TYPE_CHECKING:
    from llm_scheduler.stores.portable.access import Reader

ALL: Final = 2**31
USERS: Final = f"SELECT {named(USER_COLUMNS)} FROM users ORDER BY id LIMIT ?"  # noqa: S608 - names of our own, values are bound  # nosec B608
MEMBERSHIPS: Final = f"SELECT {named(MEMBERSHIP_COLUMNS)} FROM memberships ORDER BY user_id, tenant_id LIMIT ?"  # noqa: S608 - names of our own, values are bound  # nosec B608
KEYS: Final = f"SELECT {named(KEY_COLUMNS)} FROM api_keys WHERE revoked_at IS NULL ORDER BY id LIMIT ?"  # noqa: S608 - names of our own, values are bound  # nosec B608
LOGINS: Final = (
    f"SELECT {named(LOGIN_COLUMNS)} FROM logins WHERE revoked_at IS NULL AND expires_at > ? ORDER BY id LIMIT ?"  # noqa: S608 - names of our own, values are bound  # nosec B608
)
VERSION: Final = "SELECT version FROM states WHERE name = ?"


class AccessCalls(PeopleCalls, KeysCalls, LoginsCalls, AuditCalls):
    """Reading who may do what; see the port."""

    async def access(self) -> AccessSnapshot:
        """Users, memberships, keys that are not revoked, sign-ins that are alive."""
        now = self._clock.now()

        def read(reader: Reader) -> AccessSnapshot:
            # The version first: what changes while the rest is read makes the snapshot count as old.
            version = reader.value(VERSION, (VERSION_NAME,)) or 0
            return AccessSnapshot(
                [user_of(row) for row in reader.rows(USER_COLUMNS, USERS, (ALL,))],
                [membership_of(row) for row in reader.rows(MEMBERSHIP_COLUMNS, MEMBERSHIPS, (ALL,))],
                [key_of(row) for row in reader.rows(KEY_COLUMNS, KEYS, (ALL,))],
                [login_of(row) for row in reader.rows(LOGIN_COLUMNS, LOGINS, (now, ALL))],
                version,
            )

        return await self._read(read, is_snapshot=True)

    async def access_version(self) -> int:
        """Which snapshot `access` would give now."""
        return await self._read(lambda reader: reader.value(VERSION, (VERSION_NAME,))) or 0
