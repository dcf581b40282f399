"""Caches of every kind, a clock that stands still, and a channel inside one process."""

from __future__ import annotations

from collections.abc import Callable

from tests.contract.store_scene import StillClock

from llm_scheduler.caches.layered import LayeredCache, Ttl
from llm_scheduler.caches.memory import MemoryCache
from llm_scheduler.ports.cache import Cache


class Hub:
    """Joins the channels of several processes."""

    def __init__(self) -> None:
        self.members: list[HubChannel] = []

    def channel(self) -> HubChannel:
        self.members.append(HubChannel(self))
        return self.members[-1]


class HubChannel:
    """One process' end; deaf while `is_deaf`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.is_deaf = False
        self.listeners: list[tuple[str, Callable[[bytes], None]]] = []
        self.gaps: list[Callable[[], None]] = []

    def publish(self, topic: str, payload: bytes) -> None:
        for member in self._hub.members:
            if member is not self and not member.is_deaf:
                for heard, hear in member.listeners:
                    if heard == topic:
                        hear(payload)

    def listen(self, topic: str, hear: Callable[[bytes], None]) -> Callable[[], None]:
        self.listeners.append((topic, hear))
        return lambda: self.listeners.remove((topic, hear))

    def on_gap(self, hear: Callable[[], None]) -> Callable[[], None]:
        self.gaps.append(hear)
        return lambda: self.gaps.remove(hear)

    def reconnect(self) -> None:
        self.is_deaf = False
        for hear in self.gaps:
            hear()


class CacheMeter:
    """Keeps what was counted, as `level outcome`."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def cache_asked(self, cache: str, level: str, *, is_hit: bool) -> None:
        self.asked.append(f"{level} {'hit' if is_hit else 'miss'}")


class Source:
    """The truth, which counts how often it was read and can be held up."""

    def __init__(self, value: bytes | None = b"one") -> None:
        self.value, self.reads = value, 0

    async def read(self) -> bytes | None:
        self.reads += 1
        return self.value


class Process:
    """One process' layered cache over what they share."""

    def __init__(self, clock: StillClock, hub: Hub, far: Cache | None, ttl: Ttl | None = None) -> None:
        self.near, self.channel, self.meter = MemoryCache(clock), hub.channel(), CacheMeter()
        self.cache = LayeredCache("things", self.near, self.meter, ttl, far, self.channel)  # type: ignore[arg-type]
