"""Where people prove elsewhere who they are: an OpenID Connect provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Errand(NamedTuple):
    """Somebody is on the way to the provider: `url` is where to, the rest is what must come back."""

    url: str
    state: str
    nonce: str
    verifier: str


class Identity(NamedTuple):
    """Who the provider says that is. `subject` is `issuer|subject`; `groups` None = it says nothing of groups."""

    subject: str
    username: str
    email: str | None
    display_name: str | None
    groups: tuple[str, ...] | None


class IdentityProvider(Protocol):
    """Code flow with PKCE."""

    async def close(self) -> None:
        """Let the connections go."""
        ...

    async def begin(self, redirect_uri: str) -> Errand:
        """Where to send somebody.

        Raises:
            ProviderUnavailableError: the provider does not answer.
        """
        ...

    async def finish(self, errand: Errand, redirect_uri: str, returned: Mapping[str, str]) -> Identity:
        """Who came back.

        Raises:
            ProviderRefusedError: it was another errand, the provider said no, or its token does not hold.
            ProviderUnavailableError: the provider does not answer.
        """
        ...
