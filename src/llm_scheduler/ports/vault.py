"""Sealing of secrets at rest."""

from __future__ import annotations

from typing import Protocol


class Vault(Protocol):
    """Authenticated encryption with the installation's key."""

    def seal(self, secret: str, context: str) -> str:
        """Encrypt; `context` (say `model:7:api_key`) is authenticated and must match at opening."""
        ...

    def open(self, sealed: str, context: str) -> str:
        """Decrypt.

        Raises:
            UnsealError: another key, another context, or a damaged text.
        """
        ...
