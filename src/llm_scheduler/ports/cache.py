"""Copies of what the record says, held nearer. The record is the truth: a copy may be lost at any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


class Cache(Protocol):
    """One level. Nothing raises when the level is away: then every `get` is a miss, and a `drop` is owed.

    Keys are ours (short, printable); values are bytes.
    """

    async def get(self, key: str) -> bytes | None:
        """The value, None when it is not there (any more)."""
        ...

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value for so long, unless one is there already: what is there stays until it lapses or is dropped.

        A value over the level's bound is not kept.
        """
        ...

    async def drop(self, keys: Sequence[str]) -> None:
        """Forget these. A level that several processes share also refuses, for some seconds, what was read before."""
        ...


class ReadThrough(Protocol):
    """Levels over a source of truth, under one name in the metrics."""

    async def fetch(self, key: str, load: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """The value from the nearest level that has it, else from `load`, whose answer all levels keep.

        However many ask at once, `load` runs once in this process. None = the source has nothing;
        that is kept too, but not for long. What `load` raises goes to everyone who waits for it.
        """
        ...

    async def drop(self, keys: Sequence[str]) -> None:
        """The source has changed: forget these here, in the shared level, and in every process that listens."""
        ...

    def on_drop(self, hear: Callable[[Sequence[str] | None], None]) -> Callable[[], None]:
        """Be told of keys that other processes dropped; None = any may have been. The answer undoes it."""
        ...
