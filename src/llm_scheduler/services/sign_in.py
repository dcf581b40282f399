"""Signing in, staying signed in, signing out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.access import Login, Role, User, UserKind, UserState
from llm_scheduler.domain.access_errors import ForbiddenError, TenantNotFoundError, UnauthorizedError
from llm_scheduler.domain.ids import DEFAULT_TENANT, LoginId, Millis
from llm_scheduler.domain.refresh import RefreshToken, first_half, kept_of, parsed
from llm_scheduler.domain.sign_in_errors import (
    NoTenantError,
    RefreshedElsewhereError,
    RefreshReusedError,
    SessionOverError,
    SignInBusyError,
    TotpRequiredError,
    WrongCredentialsError,
)
from llm_scheduler.domain.tenant import Tenant, TenantState
from llm_scheduler.ports.logins import Renewal
from llm_scheduler.ports.tokens import Claims, Shown
from llm_scheduler.services.happenings import REUSED, Device, Happening, logged

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.domain.ids import TenantId, UserId
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.passwords import Passwords
    from llm_scheduler.ports.store import Store
    from llm_scheduler.ports.tokens import AccessToken, Tokens
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.directory import Directory
    from llm_scheduler.services.second_factor import SecondFactor
    from llm_scheduler.services.throttle import Throttle

GRACE_MS: Final = 10_000
"""A refresh token that was used so short a time ago is another tab's, or a process' that ran at the same time."""
KEPT_OVER_MS: Final = 7 * 86_400_000
_DAY_MS: Final = 86_400_000
_LONGEST: Final = {"address": 64, "agent": 255}


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a sign-in lasts: `idle_days` without a use, `most_days` in all."""

    idle_days: float = 14
    most_days: float = 90


class SignedIn(NamedTuple):
    """Somebody who is in, in a tenant, with what to come in again."""

    user: User
    tenant: Tenant
    role: Role
    access: AccessToken
    refresh: RefreshToken
    expires_at: Millis
    """Of the refresh token."""


class SignIn:
    """Opens, renews and ends sign-ins."""

    def __init__(  # noqa: PLR0913 - the parts of a sign-in
        self,
        store: Store,
        directory: Directory,
        catalogue: Catalogue,
        clock: Clock,
        passwords: Passwords,
        tokens: Tokens,
        throttle: Throttle,
        factor: SecondFactor,
        lifetimes: Lifetimes | None = None,
    ) -> None:
        self._store, self._directory, self._catalogue, self._clock = store, directory, catalogue, clock
        self._passwords, self._tokens, self._throttle, self._factor = passwords, tokens, throttle, factor
        self._lifetimes = lifetimes or Lifetimes()
        self.tell: Callable[[Happening], None] = logged
        self.check_administration: Callable[[str], None] = _anywhere
        """Raises for an address from which nobody may run the installation."""

    async def login(
        self, username: str, password: str, totp: str | None, tenant: str | None, device: Device
    ) -> SignedIn:
        """By name and password, and the second factor where there is one.

        Raises:
            TooManyAttemptsError, SignInBusyError: later.
            WrongCredentialsError, TotpRequiredError, WrongTotpError: no.
            NoTenantError, TenantNotFoundError, ForbiddenError: not there.
        """
        name = username.strip().lower()
        try:
            user = await self._proved(name, password, device)
            if user.totp is not None:
                await self._second(name, user, totp, device)
            await self._throttle.succeed(name, device.address)
            signed = await self.open(user, tenant, device)
        except (UnauthorizedError, ForbiddenError) as error:
            known = await self._store.account_named(name)
            user_id, shown = (None, "") if known is None else (known.id, known.username)
            self.tell(Happening("login.opened", False, device, user_id, shown, facts={"code": error.code}))
            raise
        return signed

    async def _proved(self, name: str, password: str, device: Device) -> User:
        """Whose password that is. What is done is the same for whom there is not, who is disabled, who has none."""
        await self._throttle.begin(name, device.address)
        user = await self._store.account_named(name)
        is_able = user is not None and user.state is UserState.ACTIVE and user.kind is UserKind.PERSON
        try:
            verdict = await self._passwords.verify(password, user.password_hash if user and is_able else None)
        except SignInBusyError:
            await self._throttle.excuse(name, device.address)
            raise
        if user is None or not is_able or not verdict.is_right:
            raise WrongCredentialsError
        if verdict.renewed is not None:
            kept = {"password_hash": user.password_hash}
            await self._store.change_account(user.id, {"password_hash": verdict.renewed}, kept)
        return user

    async def _second(self, name: str, user: User, totp: str | None, device: Device) -> None:
        if not totp:
            await self._throttle.excuse(name, device.address)
            raise TotpRequiredError
        await self._factor.check(user, totp)

    async def prove(self, user: User, password: str, device: Device) -> None:
        """Let somebody who is signed in show that it is still them; throttled as a sign-in is.

        Raises:
            TooManyAttemptsError, SignInBusyError, WrongCredentialsError: no.
        """
        try:
            await self._proved(user.username, password, device)
        except WrongCredentialsError:
            raise WrongCredentialsError("That is not your current password.") from None
        await self._throttle.succeed(user.username, device.address)

    async def open(self, user: User, tenant: str | None, device: Device) -> SignedIn:
        """Open a sign-in for somebody who has proved who they are.

        Raises:
            AddressNotAllowedError: they run the installation, and may not from there.
        """
        if user.is_admin:
            self.check_administration(device.address)
        # They may have been made a member elsewhere, just now.
        await self._directory.refresh()
        place, role = self._place(user, tenant)
        now = self._clock.now()
        family, turn = first_half()
        address, agent = _cut(device)
        login = await self._store.open_login(
            Login(
                LoginId(0),
                user.id,
                place.id,
                kept_of(family, turn),
                generation=1,
                created_at=now,
                used_at=now,
                expires_at=self._until(now, now),
                address=address,
                agent=agent,
            )
        )
        self._directory.add_login(login)
        self.tell(Happening("login.opened", True, device, user.id, user.username, place.id, {"login_id": login.id}))
        return await self._signed(user, place, role, login, RefreshToken(login.id, 1, family, turn))

    async def refresh(self, text: str, tenant: str | None, device: Device) -> SignedIn:
        """A new access token and a new refresh token for this one, which is used up; perhaps in another tenant.

        Raises:
            SessionOverError: it is none, or the sign-in is over.
            RefreshedElsewhereError: it was used a moment ago: look for the new one.
            RefreshReusedError: it was used before; the sign-in is ended.
            NoTenantError, TenantNotFoundError, ForbiddenError: not there, or not from there; the token is not used up.
        """
        token = parsed(text)
        login = None if token is None else await self._store.login(token.login_id)
        if token is None or login is None or not token.is_of(login.token_hash):
            raise SessionOverError
        now = self._clock.now()
        user = await self._store.account(login.user_id)
        is_over = login.revoked_at is not None or login.expires_at <= now
        if is_over or user is None or user.state is not UserState.ACTIVE:
            raise SessionOverError
        if user.is_admin:
            self.check_administration(device.address)
        await self._directory.refresh()
        place, role = self._place(user, tenant, login.tenant_id)
        following = token.next()
        address, agent = _cut(device)
        expires_at = self._until(login.created_at, now)
        renewal = Renewal(following.kept, place.id, expires_at, address, agent)
        if not await self._store.renew_login(login.id, token.generation, token.kept, renewal):
            await self._judge(token, following, device)
        renewed = await self._store.login(login.id) or login
        self._directory.add_login(renewed)
        return await self._signed(user, place, role, renewed, following)

    async def _judge(self, token: RefreshToken, following: RefreshToken, device: Device) -> None:
        """Why a token of a sign-in that is alive was not the newest."""
        login = await self._store.login(token.login_id)
        if login is None or login.revoked_at is not None:
            raise SessionOverError
        if login.token_hash == following.kept:
            return  # it was: the answer of the first commit was lost, and it was played again
        is_previous = token.generation == login.generation - 1
        if is_previous and self._clock.now() - login.used_at < GRACE_MS:
            raise RefreshedElsewhereError
        await self._store.end_logins(login.user_id, only=login.id)
        await self._directory.load()
        facts = {"login_id": login.id, "generation": token.generation, "newest": login.generation}
        self.tell(Happening(REUSED, False, device, login.user_id, facts=facts))
        raise RefreshReusedError

    async def login_of(self, text: str) -> Login | None:
        """The sign-in that a refresh token is of, if it is alive; the token is not used up."""
        token = parsed(text)
        login = None if token is None else await self._store.login(token.login_id)
        is_alive = login is not None and login.revoked_at is None and login.expires_at > self._clock.now()
        if token is None or login is None or not is_alive or not token.is_of(login.token_hash):
            return None
        return login

    async def logout(self, text: str, device: Device) -> Login | None:
        """End the sign-in of this refresh token, whichever use it is of; None for one that is over."""
        login = await self.login_of(text)
        if login is not None:
            await self.end(login.user_id, login.id, device)
        return login

    async def end(self, user_id: UserId, login_id: LoginId, device: Device) -> bool:
        """End one sign-in of a user; whether it was alive."""
        ended = await self._store.end_logins(user_id, only=login_id)
        await self._directory.load()
        self.tell(Happening("login.ended", True, device, user_id, facts={"login_id": login_id, "ended": ended}))
        return ended > 0

    async def logout_everywhere(self, user_id: UserId, device: Device) -> int:
        """End every sign-in and every token of a user; how many sign-ins were alive."""
        ended = await self._store.end_everything(user_id)
        await self._directory.load()
        self.tell(Happening("login.ended_everywhere", True, device, user_id, facts={"ended": ended}))
        return ended

    async def sweep(self) -> None:
        """Forget sign-ins that are long over, and failures that have faded."""
        await self._throttle.sweep()
        await self._store.forget_logins(Millis(self._clock.now() - KEPT_OVER_MS))

    def _place(self, user: User, wanted: str | None, before: TenantId | None = None) -> tuple[Tenant, Role]:
        """Where they are, and as what: the tenant that is asked for, else that of before, else the first."""
        memberships = self._directory.memberships(user.id)
        roles = {one.tenant_id: one.role for one in memberships}
        tenants = self._catalogue.tenants_by_id
        if wanted is not None:
            named = self._catalogue.tenant_named(wanted)
            if named is None or not (user.is_admin or named.id in roles):
                raise TenantNotFoundError(wanted)
            if named.state is TenantState.SUSPENDED and not user.is_admin:
                raise ForbiddenError(f"The tenant '{named.name}' is suspended; an administrator can resume it.")
            return named, Role.ADMIN if user.is_admin else roles[named.id]
        if user.is_admin:
            return tenants.get(before or DEFAULT_TENANT) or tenants[DEFAULT_TENANT], Role.ADMIN
        able = [one for one in roles if one in tenants and tenants[one].state is TenantState.ACTIVE]
        if not able:
            raise NoTenantError
        # Where they were first: else an owner elsewhere could add them, and have what they send from then on.
        since = {one.tenant_id: (one.created_at, one.tenant_id) for one in memberships}
        chosen = before if before is not None and before in able else min(able, key=since.__getitem__)
        return tenants[chosen], roles[chosen]

    def _until(self, created_at: Millis, now: Millis) -> Millis:
        idle_ms, most_ms = self._lifetimes.idle_days * _DAY_MS, self._lifetimes.most_days * _DAY_MS
        return Millis(round(min(now + idle_ms, created_at + most_ms)))

    async def _signed(self, user: User, place: Tenant, role: Role, login: Login, refresh: RefreshToken) -> SignedIn:
        claims = Claims(user.id, place.id, login.id, user.epoch)
        access = await self._tokens.issue(claims, Shown(user.username, role, place.name))
        return SignedIn(user, place, role, access, refresh, login.expires_at)


def _anywhere(address: str) -> None:
    return


def _cut(device: Device) -> tuple[str, str]:
    """As long as the record has room for."""
    return device.address[: _LONGEST["address"]], device.agent[: _LONGEST["agent"]]
