"""Passwords: which are taken, how they are kept, whether one is right."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Verdict(NamedTuple):
    """Whether a password was right; `renewed` is a new hash to keep, where the old one is too weak by now."""

    is_right: bool
    renewed: str | None = None


class Passwords(Protocol):
    """Hashing takes a while and runs beside the event loop."""

    def check(self, password: str, username: str) -> None:
        """Refuse what is guessed first.

        Raises:
            WeakPasswordError: says what is wanted.
        """
        ...

    async def warm(self) -> None:
        """Prepare what the first answer about a stranger needs, so that it takes no longer than later ones."""
        ...

    def close(self) -> None:
        """Let the threads end."""
        ...

    async def hash(self, password: str) -> str:
        """The text to keep, at most 255 characters.

        Raises:
            SignInBusyError: too many are waiting.
        """
        ...

    async def verify(self, password: str, hashed: str | None) -> Verdict:
        """Whether it is the one; without a hash the answer is no, and takes as long.

        Raises:
            SignInBusyError: too many are waiting.
        """
        ...
