"""Who may do what: roles, permissions, and the nouns of users, keys and sign-ins."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.ids import DEFAULT_TENANT, EPOCH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.ids import KeyId, LoginId, Millis, TenantId, UserId


class Role(StrEnum):
    """What someone is. `admin` is of the installation, the others are of a tenant."""

    ADMIN = "admin"
    """Runs the installation: everything, in every tenant."""
    OWNER = "owner"
    """Runs a tenant: its models, budgets, keys and members."""
    DEVELOPER = "developer"
    """Works with it: submits and manages tasks, sees requests and answers."""
    VIEWER = "viewer"
    """Looks on: states and figures, no requests and answers."""


class Permission(StrEnum):
    """What can be allowed. Routes name one each (`api/permissions.py`); API keys take them as scopes."""

    SELF = "self"
    """Own profile, password, sign-ins."""
    TASKS_READ = "tasks:read"
    PAYLOADS_READ = "payloads:read"
    """Inputs, outputs and log lines of tasks."""
    TASKS_SUBMIT = "tasks:submit"
    TASKS_MANAGE = "tasks:manage"
    """Cancel, retry, delete, requeue, discard, change priorities."""
    MODELS_READ = "models:read"
    MODELS_MANAGE = "models:manage"
    """Of the own tenant."""
    STATS_READ = "stats:read"
    WORKERS_READ = "workers:read"
    BUDGETS_READ = "budgets:read"
    BUDGETS_MANAGE = "budgets:manage"
    PRICES_READ = "prices:read"
    PRICES_MANAGE = "prices:manage"
    KEYS_OWN = "keys:own"
    """API keys of one's own."""
    KEYS_MANAGE = "keys:manage"
    """API keys of everybody in the tenant, and service accounts."""
    MEMBERS_READ = "members:read"
    MEMBERS_MANAGE = "members:manage"
    """Who belongs to the tenant, and as what."""
    TENANT_READ = "tenant:read"
    TENANT_MANAGE = "tenant:manage"
    """Export the tenant's data."""
    AUDIT_READ = "audit:read"
    TENANTS_MANAGE = "tenants:manage"
    """All tenants: add, change quotas, suspend, delete."""
    USERS_MANAGE = "users:manage"
    """All users: add, change, disable, delete."""
    SYSTEM_READ = "system:read"
    """Figures and settings of the whole installation."""
    SYSTEM_MANAGE = "system:manage"


_VIEWER: Final = frozenset(
    {
        Permission.SELF,
        Permission.TASKS_READ,
        Permission.MODELS_READ,
        Permission.STATS_READ,
        Permission.WORKERS_READ,
        Permission.BUDGETS_READ,
        Permission.PRICES_READ,
        Permission.KEYS_OWN,
        Permission.TENANT_READ,
    }
)
_DEVELOPER: Final = _VIEWER | {Permission.PAYLOADS_READ, Permission.TASKS_SUBMIT, Permission.TASKS_MANAGE}
_OWNER: Final = _DEVELOPER | {
    Permission.MODELS_MANAGE,
    Permission.BUDGETS_MANAGE,
    Permission.KEYS_MANAGE,
    Permission.MEMBERS_READ,
    Permission.MEMBERS_MANAGE,
    Permission.TENANT_MANAGE,
    Permission.AUDIT_READ,
}
PERMISSIONS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.VIEWER: _VIEWER,
    Role.DEVELOPER: _DEVELOPER,
    Role.OWNER: _OWNER,
    Role.ADMIN: frozenset(Permission),
}
"""What each role may do."""


class UserKind(StrEnum):
    """Whose account it is."""

    PERSON = "person"
    SERVICE = "service"
    """A program's: it has API keys and no password."""


class UserState(StrEnum):
    """Whether an account may be used."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class User:
    """An account. What it may do in a tenant says its membership there; an admin needs none.

    `password_hash` is Argon2id's text, None for one that signs in elsewhere or never. `totp` is the sealed secret of
    the second factor, `recovery` hashes of its one-time codes. `epoch` grows when every token and sign-in of before
    is to end. `subject` is `issuer|subject` of an OpenID Connect provider.
    """

    id: UserId
    username: str
    kind: UserKind = UserKind.PERSON
    is_admin: bool = False
    state: UserState = UserState.ACTIVE
    email: str | None = None
    display_name: str | None = None
    password_hash: str | None = None
    totp: str | None = None
    recovery: tuple[str, ...] = ()
    subject: str | None = None
    epoch: int = 0
    must_change_password: bool = False
    created_at: Millis = EPOCH
    updated_at: Millis = EPOCH
    last_seen_at: Millis | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """A user in a tenant."""

    user_id: UserId
    tenant_id: TenantId
    role: Role
    created_at: Millis = EPOCH


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What an API key is bound by beyond its scopes.

    `rpm`: requests a minute. `allowed_models`: names, None = every one. `networks`: CIDRs that it may come from,
    empty = anywhere.
    """

    rpm: int | None = None
    allowed_models: tuple[str, ...] | None = None
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of a user in a tenant. The key itself is not kept: `hash` is its SHA-256 (hex), `prefix` its beginning.

    It may do what its user may there, and of that only the `scopes` (None = all of it).
    """

    id: KeyId
    tenant_id: TenantId
    user_id: UserId
    name: str
    prefix: str
    hash: str
    scopes: frozenset[Permission] | None = None
    limits: KeyLimits = field(default_factory=KeyLimits)
    created_at: Millis = EPOCH
    expires_at: Millis | None = None
    revoked_at: Millis | None = None
    last_used_at: Millis | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """A sign-in of a person, renewed by a refresh token that changes with every use.

    `generation` counts those uses; `token_hash` (SHA-256, hex) is that of the token that is good now.
    """

    id: LoginId
    user_id: UserId
    tenant_id: TenantId
    token_hash: str
    generation: int
    created_at: Millis
    used_at: Millis
    expires_at: Millis
    address: str
    agent: str
    revoked_at: Millis | None = None


class PrincipalKind(StrEnum):
    """How someone came in."""

    BOOTSTRAP = "bootstrap"
    """By the installation's own key."""
    KEY = "key"
    USER = "user"
    NOBODY = "nobody"
    """On a path that asks for nothing."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, in which tenant, and what that allows.

    `allowed_models` None = every model. `role` is the one in `tenant_id`.
    """

    kind: PrincipalKind
    tenant_id: TenantId
    role: Role
    permissions: frozenset[Permission]
    user_id: UserId | None = None
    username: str = ""
    key_id: KeyId | None = None
    key_name: str = ""
    login_id: LoginId | None = None
    is_admin: bool = False
    allowed_models: frozenset[str] | None = None

    def may(self, permission: Permission) -> bool:
        """Whether that is allowed."""
        return permission in self.permissions


NOBODY: Final = Principal(PrincipalKind.NOBODY, DEFAULT_TENANT, Role.VIEWER, frozenset())
"""Whoever asks for what is open to all."""


def administrator(tenant_id: TenantId = DEFAULT_TENANT) -> Principal:
    """The holder of the installation's own key."""
    return Principal(
        PrincipalKind.BOOTSTRAP, tenant_id, Role.ADMIN, PERMISSIONS[Role.ADMIN], username="bootstrap", is_admin=True
    )
