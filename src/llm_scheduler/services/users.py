"""Users, what they are in which tenant, and service accounts."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llm_scheduler.domain.access import Membership, Role, User, UserKind, UserState
from llm_scheduler.domain.access_errors import MemberNotFoundError, UserNotFoundError
from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import UserId
from llm_scheduler.domain.people import is_service_username, service_username

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.ports.passwords import Passwords
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.directory import Directory
    from llm_scheduler.services.models import Models

_PASSWORD_BYTES: Final = 15


class Member(NamedTuple):
    """A user, and what the user is in a tenant."""

    user: User
    membership: Membership


class Users:
    """The one place that adds, changes and removes accounts; keeps record and directory in step, here and elsewhere."""

    def __init__(self, store: Store, directory: Directory, models: Models, passwords: Passwords) -> None:
        self._store, self._directory, self._models, self._passwords = store, directory, models, passwords

    def list(self, search: str | None = None) -> list[User]:
        """All, by name; or those whose name, display name or address has this text in it."""
        wanted = (search or "").casefold()
        found = [user for user in self._directory.users() if not wanted or wanted in _text(user)]
        return sorted(found, key=lambda user: user.username)

    def get(self, username: str) -> User:
        """One.

        Raises:
            UserNotFoundError: there is none of that name.
        """
        user = self._directory.user_named(username)
        if user is None:
            raise UserNotFoundError(username)
        return user

    async def add(self, user: User, password: str | None, *, is_external: bool = False) -> tuple[User, str | None]:
        """Record a new person: the account, and the one-time password that was made if none was given.

        `is_external`: no password at all, the person signs in elsewhere.

        Raises:
            UsernameTakenError: as its name says.
            InvalidInputError: the name is kept for service accounts.
            WeakPasswordError: says what is wanted.
        """
        _check_person(user.username)
        if password is not None:
            self._passwords.check(password, user.username)
        made = secrets.token_urlsafe(_PASSWORD_BYTES) if password is None and not is_external else None
        text = password or made
        hashed = None if text is None else await self._passwords.hash(text)
        user = replace(user, password_hash=hashed, must_change_password=made is not None)
        added = await self._store.add_user(user)
        await self._changed()
        return added, made

    async def change(self, username: str, changes: Mapping[str, Any]) -> User:
        """Set some fields. Who is disabled is signed out everywhere.

        Raises:
            UserNotFoundError, UsernameTakenError, LastAdminError: as their names say.
            InvalidInputError: a service account cannot be that.
        """
        user = self.get(username)
        if user.kind is UserKind.SERVICE and changes.keys() & {"username", "is_admin", "email"}:
            raise InvalidInputError("A service account keeps its name, has no address and is no administrator.")
        if "username" in changes and user.kind is UserKind.PERSON:
            _check_person(changes["username"])
        is_disabled = changes.get("state") is UserState.DISABLED and user.state is not UserState.DISABLED
        changed = await self._store.change_user(user.id, changes, ends_logins=is_disabled)
        await self._changed()
        return changed

    async def reset_password(self, username: str) -> tuple[User, str]:
        """Another password, good until the first sign-in changes it; everything that was signed in ends.

        Raises:
            UserNotFoundError: there is none of that name.
            InvalidInputError: it is a service account.
        """
        user = self.get(username)
        if user.kind is UserKind.SERVICE:
            raise InvalidInputError("A service account has no password; it has API keys.")
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        changes = {"password_hash": await self._passwords.hash(password), "must_change_password": True}
        changed = await self._store.change_user(user.id, changes, ends_logins=True)
        await self._changed()
        return changed, password

    async def remove(self, username: str) -> None:
        """Delete an account with its API keys.

        Raises:
            UserNotFoundError, LastAdminError: as their names say.
        """
        await self._store.remove_user(self.get(username).id)
        await self._changed()

    def members(self, tenant_id: TenantId) -> list[Member]:
        """Who belongs to the tenant, by name."""
        found = [
            Member(user, one)
            for one in self._directory.members(tenant_id)
            if (user := self._directory.user(one.user_id)) is not None
        ]
        return sorted(found, key=lambda member: member.user.username)

    def member(self, username: str, tenant_id: TenantId) -> Member:
        """One of them.

        Raises:
            MemberNotFoundError: the user does not belong to the tenant, or there is none of that name.
        """
        found = self.found_member(username, tenant_id)
        if found is None:
            raise MemberNotFoundError(username)
        return found

    def found_member(self, username: str, tenant_id: TenantId) -> Member | None:
        """One of them, if there is one of that name."""
        user = self._directory.user_named(username)
        membership = None if user is None else self._directory.membership(user.id, tenant_id)
        return None if user is None or membership is None else Member(user, membership)

    async def set_member(self, username: str, tenant_id: TenantId, role: Role) -> tuple[Member, bool]:
        """Add a user to the tenant, or give another role there; whether it is new.

        Raises:
            UserNotFoundError: there is no such person. Service accounts belong where they were made.
        """
        user = self.get(username)
        is_theirs = self._directory.membership(user.id, tenant_id) is not None
        if user.kind is UserKind.SERVICE and not is_theirs:
            raise UserNotFoundError(username)
        is_new = await self._store.set_member(tenant_id, user.id, role)
        await self._changed()
        return self.member(username, tenant_id), is_new

    async def remove_member(self, username: str, tenant_id: TenantId) -> None:
        """Take a user out of the tenant; a service account is deleted with it.

        Raises:
            MemberNotFoundError: the user does not belong to it.
        """
        user = self.member(username, tenant_id).user
        if user.kind is UserKind.SERVICE:
            await self._store.remove_user(user.id)
        else:
            await self._store.remove_member(tenant_id, user.id)
        await self._changed()

    def services(self, tenant_id: TenantId) -> list[Member]:
        """The tenant's service accounts, by name."""
        return [member for member in self.members(tenant_id) if member.user.kind is UserKind.SERVICE]

    def service(self, name: str, tenant_id: TenantId) -> Member:
        """One of them.

        Raises:
            MemberNotFoundError: the tenant has none of that name.
        """
        found = self.found_member(service_username(tenant_id, name), tenant_id)
        if found is None:
            raise MemberNotFoundError(name)
        return found

    async def add_service(self, name: str, tenant_id: TenantId, role: Role) -> Member:
        """An account for a program: it has API keys and no password.

        Raises:
            UsernameTakenError: the tenant has one of that name.
        """
        username = service_username(tenant_id, name)
        account = new_user(username=username, kind=UserKind.SERVICE, display_name=name)
        await self._store.add_user(account, Membership(UserId(0), tenant_id, role))
        await self._changed()
        return self.member(username, tenant_id)

    async def remove_service(self, name: str, tenant_id: TenantId) -> None:
        """Delete one with its API keys.

        Raises:
            MemberNotFoundError: the tenant has none of that name.
        """
        await self._store.remove_user(self.service(name, tenant_id).user.id)
        await self._changed()

    async def _changed(self) -> None:
        await self._directory.load()
        # Other processes take everything over when they hear that what is configured changed.
        await self._models.changed()


def new_user(**fields: Any) -> User:
    """An account that is not stored yet."""
    return User(id=UserId(0), **fields)


def _text(user: User) -> str:
    return "\n".join(part for part in (user.username, user.display_name, user.email) if part).casefold()


def _check_person(username: str) -> None:
    if is_service_username(username):
        raise InvalidInputError("Names that begin with 'svc.' are kept for service accounts.", "username")
