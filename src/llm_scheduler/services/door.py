"""Who is calling: a key or an access token becomes a principal, or nobody gets in. Asks nothing but memory."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.access import (
    PERMISSIONS,
    ApiKey,
    Permission,
    Principal,
    PrincipalKind,
    Role,
    User,
    UserState,
    administrator,
)
from llm_scheduler.domain.access_errors import ForbiddenError, TenantNotFoundError, UnauthorizedError
from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis
from llm_scheduler.domain.tenant import Tenant, TenantState

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import KeyId, TenantId
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.tokens import TokenReader
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.directory import Directory

WRONG_KEY: Final = (
    "That API key is not known here, or it is revoked or over. "
    "The data folder's file 'api-key' has the installation's own; llms keys create makes others."
)
_SELF: Final = frozenset({Permission.SELF})
_WRONG_TOKEN: Final = "That access token does not hold (any more); sign in again."  # noqa: S105 - words, no secret


MOST_KEPT: Final = 10_000
TOKEN_KEPT_MS: Final = 5_000
"""So long a token is not checked again: a key that signed it and is withdrawn counts that much later at most."""
_NEVER: Final = Millis(2**62)


class Knock(NamedTuple):
    """What a request brings. `tenant` is the name in X-Tenant."""

    credential: str
    address: str
    tenant: str | None = None


class _Kept(NamedTuple):
    """Whom a credential let in, and until when that holds if nothing changes."""

    principal: Principal
    until: Millis


class Door:
    """Lets callers in.

    Whom it let in it knows again by the SHA-256 of what they sent, until users, keys or tenants change: what is
    concluded from them is concluded once. Who was not let in is not remembered, so that nobody can fill the memory.

    Args:
        bootstrap_key: the installation's own; it may do everything, in the tenant that it names.
        directory: users and keys.
        catalogue: tenants.
        clock: for what ends by itself.
        tokens: reads access tokens.
    """

    def __init__(
        self,
        bootstrap_key: str,
        directory: Directory,
        catalogue: Catalogue,
        clock: Clock,
        tokens: TokenReader,
    ) -> None:
        self._bootstrap = hashlib.sha256(bootstrap_key.encode()).digest()
        self._directory, self._catalogue, self._clock, self._tokens = directory, catalogue, clock, tokens
        self._kept: dict[tuple[bytes, str | None], _Kept] = {}
        self._taken, self._tenants_then = directory.taken, catalogue.tenants_by_id
        self._used: dict[KeyId, Millis] = {}

    def admit(self, knock: Knock) -> Principal:
        """Who that is, in the tenant that is asked for.

        Raises:
            UnauthorizedError: nobody that is known.
            TenantNotFoundError: there is no such tenant, or it is none of theirs.
            ForbiddenError: the tenant is suspended.
            StoreUnavailableError: whether the key still holds is not known, for the record is away for too long.
        """
        digest = hashlib.sha256(knock.credential.encode("utf-8", "surrogatepass")).digest()
        if self._taken != self._directory.taken or self._tenants_then is not self._catalogue.tenants_by_id:
            self._forget()
        kept = self._kept.get((digest, knock.tenant))
        now = self._clock.now()
        if kept is None or kept.until <= now or self._directory.is_stale:
            kept = self._looked_up(knock, digest, now)
            if kept.until > now:
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
                self._kept[digest, knock.tenant] = kept
        key_id = kept.principal.key_id
        if key_id is not None:
            self._used[key_id] = now
        return kept.principal

    def take_used(self) -> dict[KeyId, Millis]:
        """Which keys let somebody in since the last call, and when last."""
        used, self._used = self._used, {}
        return used

    def _forget(self) -> None:
        self._kept.clear()
        self._taken, self._tenants_then = self._directory.taken, self._catalogue.tenants_by_id

    def _looked_up(self, knock: Knock, digest: bytes, now: Millis) -> _Kept:
        if knock.credential.count(".") == 2:  # three parts, as a token has and no key of ours
            self._check_freshness()
            return self._by_token(knock, now)
        # Both are looked at whatever comes of the first: a wrong key takes as long as a right one. So does one whose
        # check characters tell that it was mistyped: they are for its owner and for scanners, not for this door.
        is_bootstrap = hmac.compare_digest(digest, self._bootstrap)
        key = self._directory.key_hashed(digest.hex())
        if is_bootstrap:
            return _Kept(administrator(self._tenant(knock.tenant).id), _NEVER)
        self._check_freshness()
        if key is None:
            raise UnauthorizedError(WRONG_KEY)
        return _Kept(self._by_key(key, knock, now), _NEVER if key.expires_at is None else key.expires_at)

    def _check_freshness(self) -> None:
        if self._directory.is_stale:
            raise StoreUnavailableError("whether keys and sign-ins still hold could not be asked for too long.")

    def _by_key(self, key: ApiKey, knock: Knock, now: Millis) -> Principal:
        user = self._directory.user(key.user_id)
        is_over = key.expires_at is not None and key.expires_at <= now
        if user is None or user.state is not UserState.ACTIVE or is_over:
            raise UnauthorizedError(WRONG_KEY)
        tenant = self._tenants().get(key.tenant_id)
        is_member = user.is_admin or self._directory.membership(user.id, key.tenant_id) is not None
        if tenant is None or not is_member:
            raise UnauthorizedError(WRONG_KEY)
        if knock.tenant is not None and knock.tenant != tenant.name:
            raise TenantNotFoundError(knock.tenant)
        role = self._role(user, tenant)
        permissions = PERMISSIONS[role]
        if key.scopes is not None:
            permissions &= key.scopes | {Permission.SELF}
        models = key.limits.allowed_models
        return Principal(
            PrincipalKind.KEY,
            tenant.id,
            role,
            permissions,
            user.id,
            user.username,
            key.id,
            key.name,
            is_admin=user.is_admin,
            allowed_models=_both(tenant.quotas.allowed_models, models),
        )

    def _by_token(self, knock: Knock, now: Millis) -> _Kept:
        claims = self._tokens.read(knock.credential)
        if claims is None:
            raise UnauthorizedError(_WRONG_TOKEN)
        user = self._directory.user(claims.user_id)
        login = self._directory.login(claims.login_id)
        is_known = user is not None and user.state is UserState.ACTIVE and user.epoch == claims.epoch
        if not is_known or user is None or login is None or login.user_id != user.id:
            raise UnauthorizedError(_WRONG_TOKEN)
        tenant = self._tenants().get(claims.tenant_id)
        if knock.tenant is not None:
            tenant = self._tenant(knock.tenant)
        if tenant is None:
            raise TenantNotFoundError(knock.tenant or "")
        role = self._role(user, tenant)
        principal = Principal(
            PrincipalKind.USER,
            tenant.id,
            role,
            # With a password that somebody else chose they may only choose their own.
            _SELF if user.must_change_password else PERMISSIONS[role],
            user.id,
            user.username,
            login_id=claims.login_id,
            is_admin=user.is_admin,
            allowed_models=_both(tenant.quotas.allowed_models, None),
        )
        # Without its end it is checked each time.
        until = now if claims.expires_at is None else min(claims.expires_at, Millis(now + TOKEN_KEPT_MS))
        return _Kept(principal, until)

    def _role(self, user: User, tenant: Tenant) -> Role:
        if user.is_admin:
            return Role.ADMIN
        membership = self._directory.membership(user.id, tenant.id)
        if membership is None:
            raise TenantNotFoundError(tenant.name)
        if tenant.state is TenantState.SUSPENDED:
            raise ForbiddenError(f"The tenant '{tenant.name}' is suspended; an administrator can resume it.")
        return membership.role

    def _tenant(self, name: str | None) -> Tenant:
        tenants = self._tenants()
        if name is None:
            return tenants[DEFAULT_TENANT]
        found = self._catalogue.tenant_named(name)
        if found is None:
            raise TenantNotFoundError(name)
        return found

    def _tenants(self) -> dict[TenantId, Tenant]:
        return self._catalogue.tenants_by_id


def _both(first: tuple[str, ...] | None, second: tuple[str, ...] | None) -> frozenset[str] | None:
    """What both allow; None = everything."""
    if first is None or second is None:
        given = first if second is None else second
        return None if given is None else frozenset(given)
    return frozenset(first) & frozenset(second)
