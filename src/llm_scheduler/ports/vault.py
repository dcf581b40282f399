"""Sealing of secrets at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Vault(Protocol):
    """Authenticated encryption with the installation's keys: one seals, that one and older ones open."""

    @property
    def key_ids(self) -> Sequence[str]:
        """Ids of the keys that open, that of the one in force first. An id tells nothing of its key."""
        ...

    def seal(self, secret: str, context: str) -> str:
        """Encrypt with the key in force.

        `context` (made by `domain.secrecy`, say `model:7:api_key`) is authenticated and must match at opening.
        """
        ...

    def open(self, sealed: str, context: str) -> str:
        """Decrypt.

        Raises:
            UnsealError: another key, another context, or a damaged text.
        """
        ...
