"""Processes that hear one another without a server between them; a test cuts the line and mends it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Hub:
    """Where channels meet. While `is_cut`, messages vanish; `drops` decides about single ones."""

    def __init__(self) -> None:
        self.channels: list[HubChannel] = []
        self.is_cut = False
        self.drops: Callable[[str, bytes], bool] = lambda _topic, _payload: False
        self.sent: list[tuple[str, bytes]] = []

    def channel(self) -> HubChannel:
        """One process's."""
        self.channels.append(HubChannel(self))
        return self.channels[-1]

    def mend(self) -> None:
        """Messages pass again, and everyone is told of the gap."""
        self.is_cut = False
        for channel in self.channels:
            channel.tell_gap()


class HubChannel:
    """See `ports.channel.Channel`."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._hearers: dict[str, list[Callable[[bytes], None]]] = {}
        self._gap_hearers: list[Callable[[], None]] = []

    @property
    def topics(self) -> set[str]:
        """What is listened to."""
        return {topic for topic, hearers in self._hearers.items() if hearers}

    async def open(self) -> None:
        self.tell_gap()

    async def close(self) -> None:
        self._hearers.clear()

    def publish(self, topic: str, payload: bytes) -> None:
        self._hub.sent.append((topic, payload))
        if self._hub.is_cut or self._hub.drops(topic, payload):
            return
        for channel in self._hub.channels:
            if channel is not self:
                asyncio.get_running_loop().call_soon(channel.take, topic, payload)

    def take(self, topic: str, payload: bytes) -> None:
        for hear in tuple(self._hearers.get(topic, ())):
            hear(payload)

    def tell_gap(self) -> None:
        for hear in tuple(self._gap_hearers):
            hear()

    def listen(self, topic: str, hear: Callable[[bytes], None]) -> Callable[[], None]:
        hearers = self._hearers.setdefault(topic, [])
        hearers.append(hear)
        return lambda: hearers.remove(hear) if hear in hearers else None

    def on_gap(self, hear: Callable[[], None]) -> Callable[[], None]:
        self._gap_hearers.append(hear)
        return lambda: self._gap_hearers.remove(hear) if hear in self._gap_hearers else None
