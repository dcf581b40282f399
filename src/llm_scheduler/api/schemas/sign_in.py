"""Signing in: what is sent, and what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from llm_scheduler.api.answers import maybe_stamp, stamp
from llm_scheduler.api.fields import Body, Shown

if TYPE_CHECKING:
    from llm_scheduler.domain.access import Login
    from llm_scheduler.domain.ids import LoginId, Millis
    from llm_scheduler.services.sign_in import SignedIn

Username = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$")]
Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
TenantName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
TotpCode = Annotated[str, StringConstraints(min_length=6, max_length=40)]
TokenText = Annotated[str, StringConstraints(min_length=1, max_length=256)]
RoleName = Literal["admin", "owner", "developer", "viewer"]

_LOGIN: JsonDict = {"username": "ann", "password": "correct horse battery staple", "totp": "123456"}
_SETUP: JsonDict = {"token": "of the printed link", "username": "ann", "password": "correct horse battery staple"}
_NEW_PASSWORD: JsonDict = {
    "current_password": "correct horse battery staple",
    "new_password": "four other words of mine",
}


class LoginBody(Body):
    """Who signs in."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LOGIN]})

    username: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    password: Password
    totp: TotpCode | None = None
    """Six digits of the second factor, or a recovery code; where the account has one."""
    tenant: TenantName | None = None
    """Where to act; null: the first one of one's own."""
    cookie: bool = Field(default=True, strict=True)
    """Whether the refresh token goes into a cookie; false: into the answer, for clients that are no browser."""


class RefreshBody(Body):
    """How to go on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"tenant": "research"}]})

    refresh_token: TokenText | None = None
    """Of an earlier answer; null: the cookie has it."""
    tenant: TenantName | None = None
    """Another tenant to act in from now on."""


class LogoutBody(Body):
    """Which sign-in to end."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    refresh_token: TokenText | None = None
    """Of an earlier answer; null: the cookie has it."""


class SetupBody(Body):
    """The first user."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SETUP]})

    token: TokenText
    """Of the link that the server's start printed."""
    username: Username
    password: Password
    cookie: bool = Field(default=True, strict=True)


class RotateBody(Body):
    """How to change the key that signs access tokens."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}, {"keep_old": False}]})

    keep_old: bool = Field(default=True, strict=True)
    """False: it was stolen; every access token of before stops to hold at once, refresh tokens go on."""


class SignedInShown(Shown):
    """Somebody is in. The access token goes into `Authorization: Bearer …`."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    """Seconds."""
    expires_at: str
    session_id: int
    user_id: int
    username: str
    tenant: str
    role: RoleName
    must_change_password: bool
    """True: nothing else is allowed before `POST /api/v1/me/password`."""
    refresh_expires_at: str
    refresh_token: str | None
    """Good for one use; null when it is in the cookie."""
    csrf_token: str | None
    """To be sent as X-CSRF-Token with the cookie; null without a cookie."""


class ElsewhereShown(Shown):
    """A provider, and where a browser begins."""

    start: str


class ProvidersShown(Shown):
    """Which ways of signing in there are."""

    password: bool
    oidc: ElsewhereShown | None
    needs_setup: bool
    """There is no user yet: `POST /api/v1/auth/setup`, or `llms setup`."""


class RotatedShown(Shown):
    """The key that signs from now on."""

    kid: str


class EndedShown(Shown):
    """How many sign-ins were ended."""

    ended_sessions: int


def signed_in_json(signed: SignedIn, now: Millis, *, in_cookie: bool) -> dict[str, object]:
    """For an answer."""
    return {
        "access_token": signed.access.text,
        "token_type": "Bearer",
        "expires_in": max(0, (signed.access.expires_at - now) // 1000),
        "expires_at": stamp(signed.access.expires_at),
        "session_id": signed.refresh.login_id,
        "user_id": signed.user.id,
        "username": signed.user.username,
        "tenant": signed.tenant.name,
        "role": signed.role.value,
        "must_change_password": signed.user.must_change_password,
        "refresh_expires_at": stamp(signed.expires_at),
        "refresh_token": None if in_cookie else signed.refresh.text,
        "csrf_token": signed.refresh.csrf if in_cookie else None,
    }


class ProfilePatch(Body):
    """What to change of one's account; what is absent stays, null empties."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"display_name": "Ann Example"}]})

    display_name: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)] | None = None


class OwnPasswordBody(Body):
    """A new password."""

    model_config = ConfigDict(json_schema_extra={"examples": [_NEW_PASSWORD]})

    current_password: Password
    new_password: Password


class ProofBody(Body):
    """Shows that it is still them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"password": "correct horse battery staple"}]})

    password: Password


class ConfirmBody(Body):
    """The first code of a new second factor."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ticket": "v1.…", "code": "123456"}]})

    ticket: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    """Of `POST /api/v1/me/totp`."""
    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]


class OwnUserShown(Shown):
    """An account, as its owner sees it."""

    id: int
    username: str
    display_name: str | None
    email: str | None
    is_admin: bool
    has_password: bool
    """False: it signs in at a provider only."""
    has_totp: bool
    recovery_codes_left: int
    must_change_password: bool
    created_at: str
    last_seen_at: str | None
    """Exact to a minute."""


class OwnKeyShown(Shown):
    """The API key that this request came with."""

    id: int
    name: str


class OwnPlaceShown(Shown):
    """A tenant that one may act in (`X-Tenant`)."""

    name: str
    role: RoleName
    state: Literal["active", "suspended"]


class MeShown(Shown):
    """Who is calling, where, and what that allows."""

    kind: Literal["bootstrap", "key", "user"]
    user: OwnUserShown | None
    """Null for the installation's own key."""
    key: OwnKeyShown | None
    session_id: int | None
    tenant: str
    role: RoleName
    permissions: list[str]
    tenants: list[OwnPlaceShown]


class SignInShown(Shown):
    """A sign-in that is alive."""

    id: int
    is_current: bool
    tenant: str | None
    address: str
    agent: str
    created_at: str
    used_at: str | None
    expires_at: str


class SignInList(Shown):
    """One's sign-ins, the one that was used last first."""

    items: list[SignInShown]
    next_cursor: str | None


class TotpBegun(Shown):
    """A second factor that is not in force yet: `uri` as a picture for the app, then the code to /confirm."""

    secret: str
    uri: str
    ticket: str
    """Good for ten minutes."""


class TotpConfirmed(Shown):
    """It is in force. The codes are shown this once; each is good for one sign-in without the telephone."""

    recovery_codes: list[str]


def session_json(login: Login, current: LoginId, tenant: str | None) -> dict[str, object]:
    """For an answer."""
    return {
        "id": login.id,
        "is_current": login.id == current,
        "tenant": tenant,
        "address": login.address,
        "agent": login.agent,
        "created_at": stamp(login.created_at),
        "used_at": maybe_stamp(login.used_at),
        "expires_at": stamp(login.expires_at),
    }
