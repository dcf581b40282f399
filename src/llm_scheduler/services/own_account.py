"""What people do with their own account: name, password, sign-ins, second factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from llm_scheduler.domain.access import PrincipalKind, UserState
from llm_scheduler.domain.access_errors import UnauthorizedError
from llm_scheduler.domain.errors import ConflictError
from llm_scheduler.domain.sign_in_errors import (
    OtherSignInError,
    SessionNotFoundError,
    SignInNeededError,
    WeakPasswordError,
)
from llm_scheduler.services.happenings import Happening

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.access import Login, Principal, User
    from llm_scheduler.domain.ids import LoginId
    from llm_scheduler.ports.passwords import Passwords
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.directory import Directory
    from llm_scheduler.services.happenings import Device
    from llm_scheduler.services.second_factor import Begun, SecondFactor
    from llm_scheduler.services.sign_in import SignIn


class Me(NamedTuple):
    """A person who is signed in: the account as it is this moment, and by which sign-in."""

    user: User
    login_id: LoginId


class OwnAccount:
    """Each call begins with who is calling: keys, even a person's own, change no account."""

    def __init__(
        self, store: Store, directory: Directory, passwords: Passwords, sign_in: SignIn, factor: SecondFactor
    ) -> None:
        self._store, self._directory = store, directory
        self._passwords, self._sign_in, self._factor = passwords, sign_in, factor

    async def me(self, principal: Principal) -> Me:
        """Who that is.

        Raises:
            SignInNeededError: no person who is signed in.
            UnauthorizedError: the account is gone.
        """
        if principal.kind is not PrincipalKind.USER or principal.user_id is None or principal.login_id is None:
            raise SignInNeededError
        user = await self._store.account(principal.user_id)
        if user is None or user.state is not UserState.ACTIVE:
            raise UnauthorizedError("This account is gone or disabled.")
        return Me(user, principal.login_id)

    async def change(self, principal: Principal, changes: Mapping[str, object], device: Device) -> User:
        """Set display name and address."""
        user = (await self.me(principal)).user
        if changes:
            await self._changed(user, changes, "account.changed", device)
        return await self._store.account(user.id) or user

    async def change_password(self, principal: Principal, current: str, new: str, device: Device) -> int:
        """Take a new password; every other sign-in ends. How many did.

        Raises:
            OtherSignInError: they have none here.
            WrongCredentialsError, TooManyAttemptsError: the current one is not right.
            WeakPasswordError: says what is wanted.
        """
        me = await self.me(principal)
        if me.user.password_hash is None:
            raise OtherSignInError
        await self._sign_in.prove(me.user, current, device)
        if new == current:
            raise WeakPasswordError("Choose another password than the one that you have.", "new_password")
        self._passwords.check(new, me.user.username)
        changes = {"password_hash": await self._passwords.hash(new), "must_change_password": 0}
        await self._changed(me.user, changes, "account.password_changed", device)
        ended = await self._store.end_logins(me.user.id, but=me.login_id)
        await self._directory.load()
        return ended

    async def sessions(self, principal: Principal) -> tuple[Me, Sequence[Login]]:
        """Their sign-ins that are alive."""
        me = await self.me(principal)
        return me, await self._store.logins(me.user.id)

    async def end_session(self, principal: Principal, login_id: LoginId, device: Device) -> None:
        """End one of them.

        Raises:
            SessionNotFoundError: none of theirs, or it is over.
        """
        me = await self.me(principal)
        if not await self._sign_in.end(me.user.id, login_id, device):
            raise SessionNotFoundError(login_id)

    async def begin_totp(self, principal: Principal, password: str, device: Device) -> Begun:
        """A secret for a second factor; asks for the password, so that a stolen token cannot lock its owner out.

        Raises:
            OtherSignInError: the second factor is at their provider.
            ConflictError: there is one in force.
            WrongCredentialsError, TooManyAttemptsError: the password is not right.
        """
        user = (await self.me(principal)).user
        if user.password_hash is None:
            raise OtherSignInError
        if user.totp is not None:
            raise ConflictError("A second factor is in force; remove it first: DELETE /api/v1/me/totp.")
        await self._sign_in.prove(user, password, device)
        return self._factor.begin(user)

    async def confirm_totp(self, principal: Principal, ticket: str, code: str, device: Device) -> Sequence[str]:
        """Put it in force; recovery codes, shown this once."""
        user = (await self.me(principal)).user
        if user.totp is not None:
            raise ConflictError("A second factor is in force; remove it first: DELETE /api/v1/me/totp.")
        recovery = await self._factor.confirm(user, ticket, code)
        await self._directory.load()
        self._sign_in.tell(Happening("account.totp_added", True, device, user.id, user.username))
        return recovery

    async def remove_totp(self, principal: Principal, password: str, device: Device) -> None:
        """The password alone is enough from now on; asks for it."""
        user = (await self.me(principal)).user
        await self._sign_in.prove(user, password, device)
        await self._factor.remove(user)
        await self._directory.load()
        self._sign_in.tell(Happening("account.totp_removed", True, device, user.id, user.username))

    async def _changed(self, user: User, changes: Mapping[str, object], action: str, device: Device) -> None:
        await self._store.change_account(user.id, changes)
        await self._directory.load()
        facts = {"fields": sorted(name for name in changes if name != "password_hash")}
        self._sign_in.tell(Happening(action, True, device, user.id, user.username, facts=facts))
