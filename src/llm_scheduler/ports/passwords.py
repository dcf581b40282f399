"""Hashing passwords."""

from __future__ import annotations

from typing import Protocol


class Passwords(Protocol):
    """Makes of a password what may be kept."""

    async def hash(self, password: str) -> str:
        """Its hash, with salt and parameters in it. Slow on purpose, off the event loop."""
        ...
