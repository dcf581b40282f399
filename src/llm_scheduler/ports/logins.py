"""Sign-ins, failed attempts, and the keys that sign tokens in the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from llm_scheduler.domain.access import Login
    from llm_scheduler.domain.ids import LoginId, Millis, TenantId, UserId


class Renewal(NamedTuple):
    """What a sign-in becomes when its refresh token is used."""

    token_hash: str
    tenant_id: TenantId
    expires_at: Millis
    address: str
    agent: str


class SigningKey(NamedTuple):
    """What access tokens are signed with; `secret` is sealed. One that is retired still checks what it signed."""

    kid: str
    secret: str
    created_at: Millis
    retired_at: Millis | None = None


class LoginsMoves(Protocol):
    """What is written and asked of them."""

    async def open_login(self, login: Login) -> Login:
        """Add a sign-in; the answer has its id."""
        ...

    async def login(self, login_id: LoginId) -> Login | None:
        """One sign-in, also one that is over."""
        ...

    async def logins(self, user_id: UserId) -> Sequence[Login]:
        """Those of a user that are alive, the one that was used last first."""
        ...

    async def renew_login(self, login_id: LoginId, generation: int, token_hash: str, renewal: Renewal) -> bool:
        """Let the next generation follow on this one; False if this one is not the newest, or the sign-in is over.

        Of several at once one succeeds.
        """
        ...

    async def end_logins(self, user_id: UserId, *, only: LoginId | None = None, but: LoginId | None = None) -> int:
        """End the sign-ins of a user (`only` that one, all `but` that one); how many were alive."""
        ...

    async def end_everything(self, user_id: UserId) -> int:
        """End all sign-ins of a user and let their epoch grow: no token of before holds. How many were alive."""
        ...

    async def forget_logins(self, before: Millis) -> int:
        """Delete sign-ins that were over before then; how many."""
        ...

    async def take_try(self, names: Collection[str]) -> int:
        """Count one attempt for each of these names, unless one of them has to wait; milliseconds to wait, 0 = go on.

        Counted before it is known how the attempt ends, so that many at once are no more than one after the other.
        """
        ...

    async def forgive_tries(self, names: Collection[str], failures: float) -> None:
        """The attempt was none to worry about: take back that many failures of each name."""
        ...

    async def forget_tries(self, before: Millis) -> int:
        """Delete counts that were not touched since; how many."""
        ...

    async def signing_keys(self) -> Sequence[SigningKey]:
        """All, oldest first."""
        ...

    async def add_signing_key(self, key: SigningKey, *, is_first: bool = False) -> None:
        """Add a key and retire the others now. `is_first`: only if there is none yet that is not retired."""
        ...

    async def drop_signing_keys(self, retired_before: Millis) -> int:
        """Delete keys that were retired by then; how many."""
        ...
