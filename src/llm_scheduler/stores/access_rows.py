"""Rows of the access tables as values of the domain, and back."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_scheduler.domain.access import (
    ApiKey,
    KeyLimits,
    Login,
    Membership,
    Permission,
    Role,
    User,
    UserKind,
    UserState,
)
from llm_scheduler.domain.ids import KeyId, LoginId, Millis, TenantId, UserId

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = list[Any]

USER_COLUMNS: Final = (
    "id",
    "username",
    "kind",
    "is_admin",
    "state",
    "email",
    "display_name",
    "password_hash",
    "totp",
    "recovery",
    "subject",
    "epoch",
    "must_change_password",
    "created_at",
    "updated_at",
    "last_seen_at",
)
MEMBERSHIP_COLUMNS: Final = ("user_id", "tenant_id", "role", "created_at")
KEY_COLUMNS: Final = (
    "id",
    "tenant_id",
    "user_id",
    "name",
    "prefix",
    "hash",
    "scopes",
    "limits",
    "created_at",
    "expires_at",
    "revoked_at",
    "last_used_at",
)
LOGIN_COLUMNS: Final = (
    "id",
    "user_id",
    "tenant_id",
    "token_hash",
    "generation",
    "created_at",
    "used_at",
    "expires_at",
    "address",
    "agent",
    "revoked_at",
)


def user_row(user: User) -> tuple[object, ...]:
    """For `USER_COLUMNS`."""
    recovery = orjson.dumps(user.recovery).decode() if user.recovery else None
    return (
        user.id,
        user.username,
        user.kind.value,
        int(user.is_admin),
        user.state.value,
        user.email,
        user.display_name,
        user.password_hash,
        user.totp,
        recovery,
        user.subject,
        user.epoch,
        int(user.must_change_password),
        user.created_at,
        user.updated_at,
        user.last_seen_at,
    )


def user_of(row: Row) -> User:
    """From `USER_COLUMNS`."""
    return User(
        id=UserId(row[0]),
        username=row[1],
        kind=UserKind(row[2]),
        is_admin=bool(row[3]),
        state=UserState(row[4]),
        email=row[5],
        display_name=row[6],
        password_hash=row[7],
        totp=row[8],
        recovery=tuple(orjson.loads(row[9])) if row[9] else (),
        subject=row[10],
        epoch=row[11],
        must_change_password=bool(row[12]),
        created_at=Millis(row[13]),
        updated_at=Millis(row[14]),
        last_seen_at=None if row[15] is None else Millis(row[15]),
    )


def membership_row(membership: Membership) -> tuple[object, ...]:
    """For `MEMBERSHIP_COLUMNS`."""
    return (membership.user_id, membership.tenant_id, membership.role.value, membership.created_at)


def membership_of(row: Row) -> Membership:
    """From `MEMBERSHIP_COLUMNS`."""
    return Membership(UserId(row[0]), TenantId(row[1]), Role(row[2]), Millis(row[3]))


def key_row(key: ApiKey) -> tuple[object, ...]:
    """For `KEY_COLUMNS`."""
    scopes = None if key.scopes is None else orjson.dumps(sorted(key.scopes)).decode()
    return (
        key.id,
        key.tenant_id,
        key.user_id,
        key.name,
        key.prefix,
        key.hash,
        scopes,
        orjson.dumps(asdict(key.limits)).decode(),
        key.created_at,
        key.expires_at,
        key.revoked_at,
        key.last_used_at,
    )


def key_of(row: Row) -> ApiKey:
    """From `KEY_COLUMNS`. A scope that this program does not know allows nothing."""
    return ApiKey(
        id=KeyId(row[0]),
        tenant_id=TenantId(row[1]),
        user_id=UserId(row[2]),
        name=row[3],
        prefix=row[4],
        hash=row[5],
        scopes=None if row[6] is None else _scopes_of(row[6]),
        limits=_limits_of(row[7] or "{}"),
        created_at=Millis(row[8]),
        expires_at=row[9],
        revoked_at=row[10],
        last_used_at=row[11],
    )


@lru_cache(maxsize=1024)
def _scopes_of(text: str) -> frozenset[Permission]:
    """Kept: many keys have the same, and share it in memory."""
    known = frozenset(Permission)
    return frozenset(Permission(one) for one in orjson.loads(text) if one in known)


@lru_cache(maxsize=1024)
def _limits_of(text: str) -> KeyLimits:
    return limits_of(orjson.loads(text))


def limits_of(fields: dict[str, Any]) -> KeyLimits:
    """From the plain values that JSON has."""
    models = fields.get("allowed_models")
    return KeyLimits(fields.get("rpm"), None if models is None else tuple(models), tuple(fields.get("networks") or ()))


def login_row(login: Login) -> tuple[object, ...]:
    """For `LOGIN_COLUMNS`."""
    values: Sequence[object] = [getattr(login, name) for name in LOGIN_COLUMNS]
    return tuple(values)


def login_of(row: Row) -> Login:
    """From `LOGIN_COLUMNS`."""
    return Login(LoginId(row[0]), UserId(row[1]), TenantId(row[2]), *row[3:])
