"""Access tokens: what a signed-in person's browser or command line sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from llm_scheduler.domain.access import Role
    from llm_scheduler.domain.ids import LoginId, Millis, TenantId, UserId


class Claims(NamedTuple):
    """What a token that holds says. `epoch` is the user's when it was signed.

    With `expires_at` the token need not be checked anew for every request (see `services.door`).
    """

    user_id: UserId
    tenant_id: TenantId
    login_id: LoginId
    epoch: int
    expires_at: Millis | None = None


class Shown(NamedTuple):
    """What a token also says, for whoever holds it; the server does not go by it."""

    username: str
    role: Role
    tenant: str


class AccessToken(NamedTuple):
    """A signed token."""

    text: str
    expires_at: Millis


class NoTokens:
    """Where nobody signs in."""

    def read(self, token: str) -> Claims | None:
        """Nothing holds."""
        return None


class TokenReader(Protocol):
    """Checks signature, kind and time; nothing else."""

    def read(self, token: str) -> Claims | None:
        """The claims, None for anything that does not hold."""
        ...


class Tokens(TokenReader, Protocol):
    """Also makes them, and looks after the keys."""

    async def load(self) -> None:
        """Take over which keys there are."""
        ...

    async def learn(self, token: str) -> bool:
        """Whether it holds, also if another process signed it with a key that is not known here yet."""
        ...

    async def issue(self, claims: Claims, shown: Shown) -> AccessToken:
        """A token; the first one makes the key that signs it."""
        ...

    async def rotate(self, *, keeps_old: bool = True) -> str:
        """Sign with a new key from now on; its id. Without `keeps_old` no token of before holds any more."""
        ...
