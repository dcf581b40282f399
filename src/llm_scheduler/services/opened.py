"""Open providers: one for each way to a model, kept from call to call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.ports.provider import Answer, Call, Provider

Way = tuple["ModelId", "str | None"]
"""A model and the name of one of its endpoints."""


class _Counted:
    """A `ports.provider.Provider` that knows how many calls run on it, and is closed after the last."""

    def __init__(self, inner: Provider) -> None:
        self._inner = inner
        self._running = 0
        self._is_retired = False

    async def call(self, call: Call, on_delta: Callable[[str], None] | None = None) -> Answer:
        """Run to the end."""
        self._running += 1
        try:
            return await self._inner.call(call, on_delta)
        finally:
            self._running -= 1
            if self._is_retired and not self._running:
                await self._inner.close()

    async def close(self) -> None:
        """Close now; calls that still run fail."""
        await self._inner.close()

    async def retire(self) -> None:
        """Close as soon as nothing runs on it."""
        self._is_retired = True
        if not self._running:
            await self._inner.close()


class _Opened(NamedTuple):
    version: int
    config: Mapping[str, object]
    provider: _Counted


class OpenProviders:
    """By way. A new version of a model opens anew only those whose config has changed."""

    def __init__(self) -> None:
        self._by_way: dict[Way, _Opened] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    def current(self, way: Way, version: int) -> Provider | None:
        """The open provider, if it was opened, or confirmed, for this version of the model."""
        known = self._by_way.get(way)
        return known.provider if known is not None and known.version == version else None

    def renewed(
        self, way: Way, version: int, config: Mapping[str, object], make: Callable[[Mapping[str, object]], Provider]
    ) -> Provider:
        """The provider for a new version: the same one if its config is the same, else a new one."""
        known = self._by_way.get(way)
        if known is not None and known.config == config:
            provider = known.provider
        else:
            provider = _Counted(make(config))
            if known is not None:
                self._retire(known.provider)
        self._by_way[way] = _Opened(version, config, provider)
        return provider

    def keep(self, ways: set[Way]) -> None:
        """Let go of all others."""
        for way in self._by_way.keys() - ways:
            self._retire(self._by_way.pop(way).provider)

    def _retire(self, provider: _Counted) -> None:
        retiring = asyncio.ensure_future(provider.retire())
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Close all."""
        providers = [one.provider for one in self._by_way.values()]
        self._by_way.clear()
        for provider in providers:
            await provider.close()
        if self._retiring:
            await asyncio.gather(*self._retiring)
