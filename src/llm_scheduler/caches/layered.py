"""Levels over a source: memory, then a shared one, then whoever knows.

The guards against keeping what is out of date: a drop ends the loads under way (who asks afterwards
loads anew), the shared level refuses for some seconds what was read before a drop, and nothing is
kept longer than its time to live.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from llm_scheduler.caches.memory import MemoryCache
    from llm_scheduler.ports.cache import Cache
    from llm_scheduler.ports.channel import Channel
    from llm_scheduler.ports.meter import CacheMeter

_SOMETHING: Final = b"+"
_NOTHING: Final = b"-"


@dataclass(frozen=True, slots=True)
class Ttl:
    """Seconds that a value is kept: in memory, in the shared level, and when the source has nothing."""

    near_s: float = 60.0
    far_s: float = 300.0
    nothing_s: float = 2.0


class LayeredCache:
    """A `ports.cache.ReadThrough`.

    Args:
        name: in metrics, and of the channel's topic.
        near: this process' level; its own, for `on_gap` clears it.
        meter: counts hits and misses by level.
        ttl: how long what is kept.
        far: the level that processes share, if there is one.
        channel: how other processes hear of drops, if there are others.
    """

    def __init__(
        self,
        name: str,
        near: MemoryCache,
        meter: CacheMeter,
        ttl: Ttl | None = None,
        far: Cache | None = None,
        channel: Channel | None = None,
    ) -> None:
        self._name, self._near, self._far, self._meter = name, near, far, meter
        self._ttl = ttl or Ttl()
        self._topic = f"cache:{name}"
        self._channel = channel
        self._flights: dict[str, asyncio.Task[bytes | None]] = {}
        """Loads that newcomers may join."""
        self._loading: set[asyncio.Task[bytes | None]] = set()
        """Those and the ones that a drop has overtaken."""
        self._listeners: dict[object, Callable[[Sequence[str] | None], None]] = {}
        self._undo: list[Callable[[], None]] = []
        if channel is not None:
            self._undo = [channel.listen(self._topic, self._hear), channel.on_gap(self._gap)]

    async def fetch(self, key: str, load: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        """See `ports.cache.ReadThrough`."""
        kept = self._near.look(key)
        self._count("memory", is_hit=kept is not None)
        if kept is not None:
            return _opened(kept)
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._loaded(key, load), name=f"cache-{self._name}")
            self._flights[key] = flight
            self._loading.add(flight)
            flight.add_done_callback(lambda done: self._landed(key, done))
        # Shielded: one caller who gives up must not take the answer from the others.
        return await asyncio.shield(flight)

    async def drop(self, keys: Sequence[str]) -> None:
        """See `ports.cache.ReadThrough`."""
        self._forget(keys)
        if self._far is not None:
            await self._far.drop(keys)
            # Once more: what was read from the shared level while it was being dropped.
            self._forget(keys)
        if self._channel is not None:
            self._channel.publish(self._topic, orjson.dumps(list(keys)))

    def on_drop(self, hear: Callable[[Sequence[str] | None], None]) -> Callable[[], None]:
        """See `ports.cache.ReadThrough`."""
        token = object()
        self._listeners[token] = hear
        return lambda: self._listeners.pop(token, None) and None

    async def close(self) -> None:
        """Hear no more; give up the loads under way."""
        for undo in self._undo:
            undo()
        for flight in self._loading:
            flight.cancel()
        await asyncio.gather(*self._loading, return_exceptions=True)

    async def _loaded(self, key: str, load: Callable[[], Awaitable[bytes | None]]) -> bytes | None:
        me = asyncio.current_task()
        if self._far is not None:
            kept = await self._far.get(key)
            self._count("shared", is_hit=kept is not None)
            if kept is not None:
                if self._flights.get(key) is me:
                    self._near.keep(key, kept, self._near_s(kept))
                return _opened(kept)
        value = await load()
        kept = _NOTHING if value is None else _SOMETHING + value
        if self._flights.get(key) is me:
            self._near.keep(key, kept, self._near_s(kept))
            if self._far is not None:
                await self._far.put(key, kept, self._ttl.nothing_s if value is None else self._ttl.far_s)
        return value

    def _near_s(self, kept: bytes) -> float:
        return self._ttl.nothing_s if kept == _NOTHING else self._ttl.near_s

    def _landed(self, key: str, flight: asyncio.Task[bytes | None]) -> None:
        self._loading.discard(flight)
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.cancelled():
            # Looked at here: perhaps nobody waits any more.
            flight.exception()

    def _forget(self, keys: Sequence[str]) -> None:
        self._near.forget(keys)
        for key in keys:
            self._flights.pop(key, None)

    def _hear(self, payload: bytes) -> None:
        keys = [str(key) for key in orjson.loads(payload)]
        self._forget(keys)
        self._tell(keys)

    def _gap(self) -> None:
        self._near.clear()
        self._flights.clear()
        self._tell(None)

    def _tell(self, keys: Sequence[str] | None) -> None:
        for hear in list(self._listeners.values()):
            hear(keys)

    def _count(self, level: str, *, is_hit: bool) -> None:
        self._meter.cache_asked(self._name, level, is_hit=is_hit)


def _opened(kept: bytes) -> bytes | None:
    return None if kept == _NOTHING else kept[1:]
