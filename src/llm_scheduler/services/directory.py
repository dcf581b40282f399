"""Users, memberships, keys and sign-ins as they stand, in memory: letting a caller in asks no database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llm_scheduler.domain.access import ApiKey, Login, Membership, User
    from llm_scheduler.domain.ids import KeyId, LoginId, TenantId, UserId
    from llm_scheduler.ports.access import AccessRecord, AccessSnapshot


class Directory:
    """What the record says, taken over whole. After a change here call `load`; others see the version grow."""

    def __init__(self, store: AccessRecord) -> None:
        self._store = store
        self._loading = asyncio.Lock()
        self.version = -1
        self._users: dict[UserId, User] = {}
        self._by_name: dict[str, User] = {}
        self._by_subject: dict[str, User] = {}
        self._memberships: dict[tuple[UserId, TenantId], Membership] = {}
        self._of_user: dict[UserId, list[Membership]] = {}
        self._keys: dict[str, ApiKey] = {}
        self._keys_by_id: dict[KeyId, ApiKey] = {}
        self._logins: dict[LoginId, Login] = {}
        self.also: list[Callable[[], Awaitable[None]]] = []
        """What else is taken over whenever something has changed."""

    async def load(self) -> None:
        """Take over what the record says."""
        async with self._loading:
            self._take(await self._store.access())
            for load in self.also:
                await load()

    async def refresh(self) -> bool:
        """Take it over if it has changed; whether it had."""
        if await self._store.access_version() == self.version:
            return False
        await self.load()
        return True

    def _take(self, found: AccessSnapshot) -> None:
        of_user: defaultdict[UserId, list[Membership]] = defaultdict(list)
        for one in found.memberships:
            of_user[one.user_id].append(one)
        self._users = {user.id: user for user in found.users}
        self._by_name = {user.username: user for user in found.users}
        self._by_subject = {user.subject: user for user in found.users if user.subject}
        self._memberships = {(one.user_id, one.tenant_id): one for one in found.memberships}
        self._of_user = dict(of_user)
        self._keys = {key.hash: key for key in found.keys}
        self._keys_by_id = {key.id: key for key in found.keys}
        self._logins = {login.id: login for login in found.logins}
        self.version = found.version

    def user(self, user_id: UserId) -> User | None:
        """The account, if there is one."""
        return self._users.get(user_id)

    def user_named(self, username: str) -> User | None:
        """By name, in lower case."""
        return self._by_name.get(username)

    def user_of_subject(self, subject: str) -> User | None:
        """By `issuer|subject`."""
        return self._by_subject.get(subject)

    def users(self) -> Sequence[User]:
        """All, by id."""
        return list(self._users.values())

    def membership(self, user_id: UserId, tenant_id: TenantId) -> Membership | None:
        """The user's in the tenant."""
        return self._memberships.get((user_id, tenant_id))

    def memberships(self, user_id: UserId) -> Sequence[Membership]:
        """The user's, by tenant."""
        return self._of_user.get(user_id, [])

    def members(self, tenant_id: TenantId) -> Sequence[Membership]:
        """The tenant's, by user."""
        return [one for one in self._memberships.values() if one.tenant_id == tenant_id]

    def key_hashed(self, hashed: str) -> ApiKey | None:
        """By the SHA-256 of the key; revoked ones are not here."""
        return self._keys.get(hashed)

    def key(self, key_id: KeyId) -> ApiKey | None:
        """By id."""
        return self._keys_by_id.get(key_id)

    def keys(self, tenant_id: TenantId) -> Sequence[ApiKey]:
        """The tenant's, by id."""
        return [key for key in self._keys_by_id.values() if key.tenant_id == tenant_id]

    def login(self, login_id: LoginId) -> Login | None:
        """One that is alive, as far as is known here."""
        return self._logins.get(login_id)

    def add_login(self, login: Login) -> None:
        """One that was opened or renewed here, so that it counts before everything is taken over again."""
        self._logins[login.id] = login

    def logins(self, user_id: UserId) -> Sequence[Login]:
        """The user's that are alive, oldest first."""
        return [login for login in self._logins.values() if login.user_id == user_id]
