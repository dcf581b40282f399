"""Access tokens: what a signed-in person's browser or command line sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
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
