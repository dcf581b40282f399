"""Access tokens: JSON Web Tokens signed with HMAC-SHA256 by a key of the record, named in the token (`kid`)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import jwt
import structlog

from llm_scheduler.domain.errors import UnsealError
from llm_scheduler.domain.ids import LoginId, Millis, TenantId, UserId
from llm_scheduler.ports.logins import SigningKey
from llm_scheduler.ports.tokens import AccessToken, Claims

if TYPE_CHECKING:
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.logins import LoginsMoves
    from llm_scheduler.ports.tokens import Shown
    from llm_scheduler.ports.vault import Vault

ALGORITHM: Final = "HS256"
"""The one that is taken; a token cannot choose."""
ISSUER: Final = "llm-scheduler"
AUDIENCE: Final = "llm-scheduler-api"
SETTLE_MS: Final = 5_000
"""A new key signs only when every process had the time to hear of it."""
LEEWAY_MS: Final = 10_000
"""Clocks of several machines differ: a token may seem to be from the future by this much."""
LOOK_EVERY_S: Final = 1.0
_MOST_CACHED: Final = 10_000
_MOST_CHARS: Final = 4_096
_NUMBERS: Final = ("user_id", "tid", "sid", "epoch", "iat", "nbf", "exp")
_REQUIRED: Final = ("iss", "aud", "sub", *_NUMBERS)
_log = structlog.get_logger(__name__)


class _Key(NamedTuple):
    secret: str
    created_at: int
    until: float
    """When the last token that it signed is over."""


class JwtTokens:
    """`ports.tokens.Tokens`.

    Args:
        store: keeps the keys, sealed.
        vault: seals them.
        clock: says when a token is over.
        life_s: how long a token holds.
    """

    def __init__(self, store: LoginsMoves, vault: Vault, clock: Clock, life_s: float = 900) -> None:
        self._store, self._vault, self._clock, self._life_ms = store, vault, clock, round(life_s * 1000)
        self._keys: dict[str, _Key] = {}
        self._checked: dict[str, tuple[Claims, float]] = {}
        self._looked_s = float("-inf")

    async def load(self) -> None:
        """Take over which keys there are. One that cannot be opened checks nothing."""
        found: dict[str, _Key] = {}
        for kept in await self._store.signing_keys():
            try:
                secret = self._vault.open(kept.secret, context_of(kept.kid))
            except UnsealError as error:
                _log.warning("signing_key_unreadable", kid=kept.kid, error=str(error))
                continue
            until = float("inf") if kept.retired_at is None else kept.retired_at + SETTLE_MS + self._life_ms
            found[kept.kid] = _Key(secret, kept.created_at, until)
        if found != self._keys:
            self._keys = found
            self._checked.clear()

    def read(self, token: str) -> Claims | None:
        """The claims, None for anything that does not hold."""
        now = self._clock.now()
        known = self._checked.get(token)
        if known is not None:
            if now < known[1]:
                return known[0]
            del self._checked[token]
            return None
        checked = self._check(token, now)
        if checked is None:
            return None
        if len(self._checked) >= _MOST_CACHED:
            del self._checked[next(iter(self._checked))]
        self._checked[token] = checked
        return checked[0]

    async def learn(self, token: str) -> bool:
        """Whether it holds; keys are looked up again if its own is not known, at most once a second."""
        if self.read(token) is not None:
            return True
        kid = _kid_of(token)
        now_s = self._clock.monotonic_s()
        if kid is None or kid in self._keys or now_s - self._looked_s < LOOK_EVERY_S:
            return False
        self._looked_s = now_s
        await self.load()
        return self.read(token) is not None

    async def issue(self, claims: Claims, shown: Shown) -> AccessToken:
        """A token; the first one makes the key that signs it."""
        kid, key = await self._signing()
        now = self._clock.now()
        issued_s = now // 1000
        expires_s = (now + self._life_ms) // 1000
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(claims.user_id),
            "iat": issued_s,
            "nbf": issued_s,
            "exp": expires_s,
            "user_id": claims.user_id,
            "username": shown.username,
            "role": shown.role.value,
            "tenant": shown.tenant,
            "tid": claims.tenant_id,
            "sid": claims.login_id,
            "epoch": claims.epoch,
        }
        text = jwt.encode(payload, key.secret, algorithm=ALGORITHM, headers={"kid": kid})
        return AccessToken(text, Millis(expires_s * 1000))

    async def rotate(self, *, keeps_old: bool = True) -> str:
        """Sign with a new key from now on."""
        kid = await self._add(is_first=False)
        now = self._clock.now()
        # Without the old ones the new key is the only one, and signs at once.
        longest_ms = SETTLE_MS + self._life_ms + LEEWAY_MS if keeps_old else -LEEWAY_MS
        await self._store.drop_signing_keys(Millis(now - longest_ms))
        await self.load()
        return kid

    async def _add(self, *, is_first: bool) -> str:
        kid = secrets.token_hex(8)
        sealed = self._vault.seal(secrets.token_urlsafe(48), context_of(kid))
        await self._store.add_signing_key(SigningKey(kid, sealed, self._clock.now()), is_first=is_first)
        return kid

    async def _signing(self) -> tuple[str, _Key]:
        """The newest key that everybody has heard of, else the oldest one."""
        now = self._clock.now()
        if not any(key.until > now for key in self._keys.values()):
            await self._add(is_first=True)
            await self.load()
            if not self._keys:
                # Those that are there were sealed with another key: they check nothing, so let them go.
                await self._add(is_first=False)
                await self.load()
        usable = {kid: key for kid, key in self._keys.items() if key.until > now}
        settled = [kid for kid, key in usable.items() if key.created_at + SETTLE_MS <= now]
        kid = settled[-1] if settled else next(iter(usable))
        return kid, usable[kid]

    def _check(self, token: str, now: int) -> tuple[Claims, float] | None:
        kid = _kid_of(token)
        key = None if kid is None else self._keys.get(kid)
        if key is None:
            return None
        try:
            payload: dict[str, Any] = jwt.decode(
                token,
                key.secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                # Times are looked at below, by our own clock.
                options={"require": [*_REQUIRED], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return None
        numbers = [payload[name] for name in _NUMBERS]
        if any(type(number) is not int for number in numbers):
            return None
        user_id, tenant_id, login_id, epoch, issued_s, begins_s, ends_s = numbers
        until = min(ends_s * 1000, key.until)
        if now >= until or max(issued_s, begins_s) * 1000 > now + LEEWAY_MS:
            return None
        return Claims(UserId(user_id), TenantId(tenant_id), LoginId(login_id), epoch), until


def context_of(kid: str) -> str:
    """Where a signing key may be opened."""
    return f"signing-key:{kid}"


def _kid_of(token: str) -> str | None:
    """Which key a token names; None if it cannot be one of ours."""
    if len(token) > _MOST_CHARS:
        return None
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError):
        return None
    kid = header.get("kid")
    return kid if isinstance(kid, str) and header.get("alg") == ALGORITHM else None
