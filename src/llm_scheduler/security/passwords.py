"""Passwords as hashes: Argon2id."""

from __future__ import annotations

import asyncio

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher


class Passwords:
    """Implements `ports.passwords.Passwords`."""

    def __init__(self) -> None:
        self._hashing = PasswordHash((Argon2Hasher(),))

    async def hash(self, password: str) -> str:
        """The hash's own text."""
        return await asyncio.to_thread(self._hashing.hash, password)
