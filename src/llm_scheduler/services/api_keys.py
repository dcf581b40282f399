"""API keys: made, looked at, changed, revoked, renewed; by their users, and by owners for all of the tenant.

Nobody gets a key that may do more than they may now: of permissions nor, where they came with a key themselves, of
its limits. What a key's user may not do any more the key may not either: the door sees to that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llm_scheduler.domain.access import PERMISSIONS, ApiKey, KeyLimits, Permission, Role, UserKind, UserState
from llm_scheduler.domain.access_errors import (
    ApiKeyNotFoundError,
    ApiKeyRevokedError,
    ForbiddenError,
    TooManyApiKeysError,
)
from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import KeyId, Millis
from llm_scheduler.domain.key_text import PREFIX_CHARS, SECRET_CHARS, key_text, shown_prefix
from llm_scheduler.domain.networks import checked_network, is_within
from llm_scheduler.domain.scopes import ALL, exceeding, expanded
from llm_scheduler.ports.api_keys import KeyFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_scheduler.domain.access import Principal, User
    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.directory import Directory

MOST_KEYS: Final = 200
"""Of one user that are neither revoked nor over."""
KEPT_MS: Final = 90 * 86_400_000
"""So long keys that were revoked or are over stay to be seen."""
FORGET_EVERY_S: Final = 3_600.0
_FORGOTTEN_AT_ONCE: Final = 500
_BEYOND_LIMITS: Final = "A key's limits may not go beyond those of the key that you came with."


@dataclass(frozen=True, slots=True)
class KeyDraft:
    """A key as a caller words it. `user` None: their own. `limits.networks` may still be written loosely."""

    name: str
    user: str | None = None
    scopes: Sequence[str] = (ALL,)
    limits: KeyLimits = field(default_factory=KeyLimits)
    expires_at: Millis | None = None


class Made(NamedTuple):
    """A new key, and its text: what is not written down now is lost."""

    key: ApiKey
    text: str


class ApiKeys:
    """The one place that changes API keys; keeps record and directory in step.

    Args:
        store: the record.
        directory: users, and what keys their makers came with.
        clock: for what ends by itself.
        draw: so many characters of `key_text.ALPHABET` that nobody can guess.
    """

    def __init__(self, store: Store, directory: Directory, clock: Clock, draw: Callable[[int], str]) -> None:
        self._store, self._directory, self._clock, self._draw = store, directory, clock, draw

    async def list(
        self, caller: Principal, where: KeyFilter, limit: int, *, user: str | None = None, is_all: bool = False
    ) -> Sequence[ApiKey]:
        """A page of the caller's own keys, of those of `user`, or of the whole tenant.

        Raises:
            ForbiddenError: they are of others.
            InvalidInputError: there is no such user in the tenant.
        """
        if user is not None:
            where = where._replace(user_id=self._member(caller, user).id)
        elif not is_all and caller.user_id is not None:
            where = where._replace(user_id=caller.user_id)
        if where.user_id is None or where.user_id != caller.user_id:
            _check_manager(caller)
        return await self._store.api_keys(where, limit)

    async def get(self, caller: Principal, key_id: KeyId) -> ApiKey:
        """One.

        Raises:
            ApiKeyNotFoundError: there is none, or it is somebody else's.
        """
        key = await self._store.api_key(key_id)
        if key is None or key.tenant_id != caller.tenant_id:
            raise ApiKeyNotFoundError(key_id)
        if key.user_id != caller.user_id and not caller.may(Permission.KEYS_MANAGE):
            raise ApiKeyNotFoundError(key_id)
        return key

    async def add(self, caller: Principal, draft: KeyDraft) -> Made:
        """Make one.

        Raises:
            InvalidInputError: with where and what to do.
            ForbiddenError: for somebody else, or for more than the caller may.
            TooManyApiKeysError: the user has enough.
        """
        await self._check_unbudgeted(caller)
        user = self._holder(caller, draft.user)
        scopes = expanded(draft.scopes, self._held(caller, user))
        limits = self._bounded(caller, _checked(draft.limits))
        expires_at = self._ending(caller, draft.expires_at)
        self._check_room(user)
        text = self._text()
        key = ApiKey(
            KeyId(0),
            caller.tenant_id,
            user.id,
            draft.name,
            shown_prefix(text),
            _hash(text),
            scopes,
            limits,
            expires_at=expires_at,
        )
        added = await self._store.add_api_key(key)
        await self._directory.load()
        return Made(added, text)

    async def change(self, caller: Principal, key_id: KeyId, changes: Mapping[str, Any]) -> ApiKey:
        """Set some of: name, scopes (as they are worded), rpm, allowed_models, networks, expires_at.

        Raises:
            ApiKeyNotFoundError, ApiKeyRevokedError, InvalidInputError, ForbiddenError: as their names say.
        """
        key = await self.get(caller, key_id)
        found = {name: changes[name] for name in ("name",) if name in changes}
        if "scopes" in changes:
            found["scopes"] = expanded(changes["scopes"], self._held(caller, self._user_of(key)))
        limits = {name: changes[name] for name in ("rpm", "allowed_models", "networks") if name in changes}
        if limits:
            found["limits"] = self._bounded(caller, _checked(replace(key.limits, **limits)))
        if "expires_at" in changes:
            found["expires_at"] = self._ending(caller, changes["expires_at"])
        changed = await self._store.change_api_key(key_id, found)
        if changed is None:
            raise ApiKeyNotFoundError(key_id)
        await self._directory.load()
        return changed

    async def revoke(self, caller: Principal, key_id: KeyId) -> ApiKey:
        """From now on it lets nobody in, here at once, elsewhere within a second. Twice is as good as once.

        Raises:
            ApiKeyNotFoundError: there is none, or it is somebody else's.
        """
        await self.get(caller, key_id)
        revoked = await self._store.revoke_api_key(key_id)
        if revoked is None:
            raise ApiKeyNotFoundError(key_id)
        await self._directory.load()
        return revoked

    async def renew(
        self, caller: Principal, key_id: KeyId, overlap_ms: int, expires_at: Millis | None = None
    ) -> tuple[Made, ApiKey]:
        """A key with the same name, scopes and limits; the old one ends `overlap_ms` from now at the latest.

        Without `expires_at` it holds as long as the old one was to hold when it was made.

        Raises:
            ApiKeyNotFoundError, ApiKeyRevokedError, InvalidInputError, ForbiddenError: as their names say.
        """
        await self._check_unbudgeted(caller)
        key = await self.get(caller, key_id)
        user = self._user_of(key)
        if key.revoked_at is not None:
            raise ApiKeyRevokedError(key_id)
        self._check_holding(caller, user)
        beyond = exceeding(self._role_of(user, key.tenant_id) if key.scopes is None else key.scopes, caller.permissions)
        if beyond:
            raise ForbiddenError(f"The key may do what you may not here ({', '.join(beyond[:3])}).")
        longest = None
        if key.expires_at is not None:
            longest = Millis(self._clock.now() + key.expires_at - key.created_at)
        # A key that renews itself goes on, for no longer than it was made for; one that renews another does not reach
        # beyond itself by it.
        if key.id == caller.key_id:
            self._check_future(expires_at)
            if longest is not None and expires_at is not None and expires_at > longest:
                raise ForbiddenError("A key that renews itself lasts no longer than it was made for.")
        expires_at = expires_at or longest
        if key.id != caller.key_id:
            expires_at = self._ending(caller, expires_at)
            if self._bounded(caller, key.limits) != key.limits:
                raise ForbiddenError(_BEYOND_LIMITS)
        self._check_room(user)
        text = self._text()
        fresh = replace(key, prefix=shown_prefix(text), hash=_hash(text), expires_at=expires_at, last_used_at=None)
        renewed = await self._store.renew_api_key(key_id, fresh, overlap_ms)
        if renewed is None:
            raise ApiKeyNotFoundError(key_id)
        await self._directory.load()
        return Made(renewed[0], text), renewed[1]

    async def forget(self) -> None:
        """Delete what was revoked or over long ago. The leader's sweep."""
        before = Millis(self._clock.now() - KEPT_MS)
        gone = _FORGOTTEN_AT_ONCE
        while gone == _FORGOTTEN_AT_ONCE:
            gone = await self._store.forget_api_keys(before, _FORGOTTEN_AT_ONCE)

    def username(self, key: ApiKey) -> str:
        """Whose it is, also when that user is gone."""
        user = self._directory.user(key.user_id)
        return f"#{key.user_id}" if user is None else user.username

    def _text(self) -> str:
        return key_text(self._draw(PREFIX_CHARS), self._draw(SECRET_CHARS))

    def _check_room(self, user: User) -> None:
        now = self._clock.now()
        living = [one for one in self._directory.keys_of(user.id) if one.expires_at is None or one.expires_at > now]
        if len(living) >= MOST_KEYS:
            raise TooManyApiKeysError(user.username, MOST_KEYS)

    def _holder(self, caller: Principal, username: str | None) -> User:
        own = None if caller.user_id is None else self._directory.user(caller.user_id)
        if username is None or (own is not None and username == own.username):
            if own is None:
                raise InvalidInputError("Say whose key it is to be: the installation's own key is nobody's.", "user")
            return own
        user = self._member(caller, username)
        self._check_holding(caller, user)
        if user.state is not UserState.ACTIVE:
            raise InvalidInputError(f"'{user.username}' is disabled; no key of theirs would let anybody in.", "user")
        return user

    def _check_holding(self, caller: Principal, user: User) -> None:
        """Whether the caller may have the text of a key of that user: whoever has it is that user for us."""
        if user.id == caller.user_id or caller.is_admin:
            return
        _check_manager(caller)
        if user.kind is not UserKind.SERVICE or user.is_admin:
            raise ForbiddenError(
                f"Only '{user.username}' makes keys of '{user.username}'. For a program use a service account."
            )

    def _member(self, caller: Principal, username: str) -> User:
        """One of the caller's tenant."""
        if username != caller.username:
            _check_manager(caller)
        user = self._directory.user_named(username.lower())
        if user is not None and (user.is_admin or self._directory.membership(user.id, caller.tenant_id) is not None):
            return user
        raise InvalidInputError(f"There is no user '{username[:100]}' in this tenant.", "user")

    def _user_of(self, key: ApiKey) -> User:
        user = self._directory.user(key.user_id)
        if user is None:
            raise ApiKeyNotFoundError(key.id)
        return user

    async def _check_unbudgeted(self, caller: Principal) -> None:
        """A key under a budget begets none, for that would not be under it."""
        if caller.key_id is not None and any(one.key_id == caller.key_id for one in await self._store.budgets()):
            raise ForbiddenError("Your key has a budget, so it makes and renews none: those would not have it.")

    def _held(self, caller: Principal, user: User) -> frozenset[Permission]:
        """What both of them may do there."""
        return caller.permissions & self._role_of(user, caller.tenant_id)

    def _role_of(self, user: User, tenant_id: TenantId) -> frozenset[Permission]:
        if user.is_admin:
            return PERMISSIONS[Role.ADMIN]
        membership = self._directory.membership(user.id, tenant_id)
        return frozenset() if membership is None else PERMISSIONS[membership.role]

    def _bounded(self, caller: Principal, limits: KeyLimits) -> KeyLimits:
        """Within those of the key that the caller came with; where nothing is said, the same.

        Raises:
            ForbiddenError: they go beyond.
        """
        came_with = None if caller.key_id is None else self._directory.key(caller.key_id)
        if came_with is None:
            return limits
        own = came_with.limits
        found = KeyLimits(
            own.rpm if limits.rpm is None else limits.rpm,
            own.allowed_models if limits.allowed_models is None else limits.allowed_models,
            limits.networks or own.networks,
        )
        is_within_models = own.allowed_models is None or set(found.allowed_models or ()) <= set(own.allowed_models)
        is_within_networks = not own.networks or all(is_within(one, own.networks) for one in found.networks)
        if (own.rpm is not None and (found.rpm or 0) > own.rpm) or not is_within_models or not is_within_networks:
            raise ForbiddenError(_BEYOND_LIMITS)
        return found

    def _check_future(self, expires_at: Millis | None) -> None:
        if expires_at is not None and expires_at <= self._clock.now():
            raise InvalidInputError("expires_at is in the past; to end a key now, revoke it.", "expires_at")

    def _ending(self, caller: Principal, expires_at: Millis | None) -> Millis | None:
        """Not after the key that the caller came with.

        Raises:
            InvalidInputError: it is past.
            ForbiddenError: it goes beyond.
        """
        self._check_future(expires_at)
        came_with = None if caller.key_id is None else self._directory.key(caller.key_id)
        if came_with is None or came_with.expires_at is None:
            return expires_at
        if expires_at is not None and expires_at > came_with.expires_at:
            raise ForbiddenError("A key may not outlive the key that you came with.")
        return expires_at or came_with.expires_at


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _check_manager(caller: Principal) -> None:
    if not caller.may(Permission.KEYS_MANAGE):
        raise ForbiddenError("The API keys of others are for owners of the tenant and administrators (keys:manage).")


def _checked(limits: KeyLimits) -> KeyLimits:
    return replace(limits, networks=tuple(dict.fromkeys(checked_network(one) for one in limits.networks)))
