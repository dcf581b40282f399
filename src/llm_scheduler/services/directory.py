"""Users, memberships, keys and sign-ins as they stand, in memory: letting a caller in asks no database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.ids import EPOCH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llm_scheduler.domain.access import ApiKey, Login, Membership, User
    from llm_scheduler.domain.ids import KeyId, LoginId, Millis, TenantId, UserId
    from llm_scheduler.ports.access import AccessChanges, AccessRecord, AccessSnapshot


_PURGE_EVERY_MS: Final = 60_000


class Directory:
    """What the record says: read whole once, then what has changed. After a change here call `load`."""

    def __init__(self, store: AccessRecord) -> None:
        self._store = store
        self._loading = asyncio.Lock()
        self.version = -1
        self.taken = 0
        """Grows whenever something was taken over: what was concluded before may be wrong now."""
        self.is_stale = False
        """The record could not be asked for too long (`relay.following_access`): nobody but the installation's own
        key is let in."""
        self.tell: Callable[[], None] = _nobody
        """Hints to the other processes that something has changed here."""
        self._hearers: dict[object, Callable[[], None]] = {}
        self._purged_at = EPOCH
        self._users: dict[UserId, User] = {}
        self._by_name: dict[str, User] = {}
        self._by_subject: dict[str, User] = {}
        self._of_user: dict[UserId, dict[TenantId, Membership]] = {}
        self._keys: dict[str, ApiKey] = {}
        self._keys_by_id: dict[KeyId, ApiKey] = {}
        self._logins: dict[LoginId, Login] = {}
        self.also: list[Callable[[], Awaitable[None]]] = []
        """What else is taken over whenever something has changed."""

    async def load(self) -> None:
        """Take over what the record says now, and let the other processes know that there is something."""
        async with self._loading:
            await self._catch_up()
        self.tell()

    async def refresh(self) -> bool:
        """Take it over if it has changed; whether it had. Tells nobody."""
        async with self._loading:
            if await self._store.access_version() == self.version:
                return False
            await self._catch_up()
            return True

    def on_taken(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Be told whenever something was taken over; the answer ends it."""
        token = object()
        self._hearers[token] = hear
        return lambda: self._hearers.pop(token, None) and None

    async def _catch_up(self) -> None:
        changes = await self._store.access_since(self.version) if self.version >= 0 else None
        if changes is not None:
            self._change(changes)
        else:
            self._take(await self._store.access())
            for load in self.also:
                await load()
        self.taken += 1
        for hear in tuple(self._hearers.values()):
            hear()

    def _take(self, found: AccessSnapshot) -> None:
        for kept in (self._users, self._by_name, self._by_subject, self._of_user):
            kept.clear()
        for kept in (self._keys, self._keys_by_id, self._logins):
            kept.clear()
        self._add(found)

    def _change(self, changes: AccessChanges) -> None:
        for user_id in changes.user_ids:
            user = self._users.pop(user_id, None)
            self._of_user.pop(user_id, None)
            # By the name of before: two may have swapped theirs, and the other one stands there already.
            if user is not None and self._by_name.get(user.username) is user:
                del self._by_name[user.username]
            if user is not None and user.subject and self._by_subject.get(user.subject) is user:
                del self._by_subject[user.subject]
        for key_id in changes.key_ids:
            key = self._keys_by_id.pop(key_id, None)
            if key is not None:
                self._keys.pop(key.hash, None)
        for login_id in changes.login_ids:
            self._logins.pop(login_id, None)
        self._add(changes.now)
        self._purge(changes.at)

    def _add(self, found: AccessSnapshot) -> None:
        for user in found.users:
            self._users[user.id] = self._by_name[user.username] = user
            if user.subject:
                self._by_subject[user.subject] = user
        for one in found.memberships:
            self._of_user.setdefault(one.user_id, {})[one.tenant_id] = one
        for key in found.keys:
            self._keys[key.hash] = self._keys_by_id[key.id] = key
        for login in found.logins:
            self._logins[login.id] = login
        self.version = found.version

    def _purge(self, now: Millis) -> None:
        """Sign-ins end by themselves, and nobody tells."""
        if now - self._purged_at >= _PURGE_EVERY_MS:
            self._purged_at = now
            self._logins = {key: login for key, login in self._logins.items() if login.expires_at > now}

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
        return [self._users[user_id] for user_id in sorted(self._users)]

    def membership(self, user_id: UserId, tenant_id: TenantId) -> Membership | None:
        """The user's in the tenant."""
        return self._of_user.get(user_id, {}).get(tenant_id)

    def memberships(self, user_id: UserId) -> Sequence[Membership]:
        """The user's, by tenant."""
        found = self._of_user.get(user_id, {})
        return [found[tenant_id] for tenant_id in sorted(found)]

    def members(self, tenant_id: TenantId) -> Sequence[Membership]:
        """The tenant's, by user."""
        of_user = self._of_user
        return [of_user[user_id][tenant_id] for user_id in sorted(of_user) if tenant_id in of_user[user_id]]

    def key_hashed(self, hashed: str) -> ApiKey | None:
        """By the SHA-256 of the key; revoked ones are not here."""
        return self._keys.get(hashed)

    def key(self, key_id: KeyId) -> ApiKey | None:
        """By id."""
        return self._keys_by_id.get(key_id)

    def keys(self, tenant_id: TenantId) -> Sequence[ApiKey]:
        """The tenant's, by id."""
        return sorted((key for key in self._keys_by_id.values() if key.tenant_id == tenant_id), key=_id_of)

    def keys_of(self, user_id: UserId) -> Sequence[ApiKey]:
        """The user's in all tenants, by id."""
        return sorted((key for key in self._keys_by_id.values() if key.user_id == user_id), key=_id_of)

    def login(self, login_id: LoginId) -> Login | None:
        """One that is alive, as far as is known here."""
        return self._logins.get(login_id)

    def add_login(self, login: Login) -> None:
        """One that was opened or renewed here, so that it counts before everything is taken over again."""
        self._logins[login.id] = login

    def logins(self, user_id: UserId) -> Sequence[Login]:
        """The user's that are alive, oldest first."""
        return sorted((login for login in self._logins.values() if login.user_id == user_id), key=_id_of)


def _id_of(one: ApiKey | Login) -> int:
    return one.id


def _nobody() -> None:
    return
