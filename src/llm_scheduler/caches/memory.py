"""The nearest level: a bounded dictionary of this process."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_scheduler.ports.clock import Clock

MAX_ENTRIES: Final = 10_000
MAX_BYTES: Final = 32 * 1024 * 1024


class _Entry(NamedTuple):
    value: bytes
    ends_at_s: float


class MemoryCache:
    """Least recently used goes first; bounded by entries and by bytes of keys and values.

    Args:
        clock: only its monotonic side is used, so that a change of the wall clock keeps nothing alive.
        note_evicted: told how many had to make room.
    """

    def __init__(
        self,
        clock: Clock,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        note_evicted: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._clock, self._max_entries, self._max_bytes = clock, max_entries, max_bytes
        self._note_evicted = note_evicted
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        """Entries held, lapsed ones among them."""
        return len(self._entries)

    def look(self, key: str) -> bytes | None:
        """As `get`, without waiting."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.ends_at_s <= self._clock.monotonic_s():
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    def keep(self, key: str, value: bytes, ttl_s: float) -> None:
        """As `put`, without waiting."""
        if _bytes_of(key, value) > self._max_bytes or self.look(key) is not None:
            return
        self._entries[key] = _Entry(value, self._clock.monotonic_s() + ttl_s)
        self.size_bytes += _bytes_of(key, value)
        evicted = 0
        while len(self._entries) > self._max_entries or self.size_bytes > self._max_bytes:
            self._forget(next(iter(self._entries)))
            evicted += 1
        if evicted:
            self._note_evicted(evicted)

    def forget(self, keys: Sequence[str]) -> None:
        """As `drop`, without waiting."""
        for key in keys:
            if key in self._entries:
                self._forget(key)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size_bytes = 0

    async def get(self, key: str) -> bytes | None:
        """See `ports.cache.Cache`."""
        return self.look(key)

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """See `ports.cache.Cache`."""
        self.keep(key, value, ttl_s)

    async def drop(self, keys: Sequence[str]) -> None:
        """See `ports.cache.Cache`."""
        self.forget(keys)

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key)
        self.size_bytes -= _bytes_of(key, entry.value)


def _bytes_of(key: str, value: bytes) -> int:
    return len(key) + len(value)
