"""A process learns of changed access when told, by looking, and knows when it has not been able to look."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.inside import until

from llm_scheduler.domain.access import User
from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import UserId
from llm_scheduler.ports.access import AccessSnapshot
from llm_scheduler.relay.following_access import TOPIC, FollowingAccess
from llm_scheduler.services.directory import Directory
from llm_scheduler.telemetry.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

NEVER_S = 3_600.0


class Record:
    """Knows one user; can be away, and counts how often it is asked."""

    def __init__(self) -> None:
        self.version = self.asked = 0
        self.is_away = False

    async def access_version(self) -> int:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailableError("no answer.")
        return self.version

    async def access_since(self, version: int) -> None:
        return None

    async def access(self) -> AccessSnapshot:
        return AccessSnapshot([User(UserId(1), f"user{self.version}")], [], [], [], self.version)


class Messages:
    """A channel whose other end is the test."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.hear: dict[str, Callable[[bytes], None]] = {}
        self.gap: Callable[[], None] = lambda: None

    def publish(self, topic: str, payload: bytes) -> None:
        self.sent.append(topic)

    def listen(self, topic: str, hear: Callable[[bytes], None]) -> Callable[[], None]:
        self.hear[topic] = hear
        return lambda: self.hear.pop(topic) and None

    def on_gap(self, hear: Callable[[], None]) -> Callable[[], None]:
        self.gap = hear
        return lambda: None


class Scene:
    """One process, its record and its messages."""

    def __init__(self, poll_s: float | None, trusted_s: float) -> None:
        self.record, self.messages = Record(), Messages()
        self.directory = Directory(self.record)  # type: ignore[arg-type]
        self.following = FollowingAccess(self.directory, self.messages, SystemClock(), trusted_s, poll_s)  # type: ignore[arg-type]

    def knows(self, name: str) -> bool:
        return self.directory.user_named(name) is not None


@asynccontextmanager
async def following(poll_s: float | None = NEVER_S, trusted_s: float = NEVER_S) -> AsyncIterator[Scene]:
    scene = Scene(poll_s, trusted_s)
    await scene.directory.load()
    loop = asyncio.create_task(scene.following.run())
    await until(lambda: TOPIC in scene.messages.hear, "it listens")
    try:
        yield scene
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        assert not scene.messages.hear


async def test_a_message_has_it_looked_at_once() -> None:
    async with following() as scene:
        scene.record.version = 7

        scene.messages.hear[TOPIC](b"")

        await until(lambda: scene.knows("user7"), "the change is there")


async def test_messages_that_may_be_lost_have_it_looked() -> None:
    async with following(poll_s=None) as scene:
        scene.record.version = 7

        scene.messages.gap()

        await until(lambda: scene.knows("user7"), "the change is there")


async def test_it_looks_without_being_told() -> None:
    """One statement each time; nothing is read while nothing has changed."""
    async with following(poll_s=0.01) as scene:
        taken = scene.directory.taken
        await until(lambda: scene.record.asked > 5, "it looks")
        assert scene.directory.taken == taken

        scene.record.version = 7

        await until(lambda: scene.knows("user7"), "the change is there")


async def test_a_change_made_here_is_told_to_the_others_one_taken_over_is_not() -> None:
    """Or two processes would answer each other for ever."""
    async with following() as scene:
        scene.messages.sent.clear()
        scene.record.version = 7
        assert await scene.directory.refresh()
        assert scene.messages.sent == []

        await scene.directory.load()

        assert scene.messages.sent == [TOPIC]


async def test_what_could_not_be_asked_for_too_long_is_not_trusted_until_it_can_be() -> None:
    async with following(poll_s=0.01, trusted_s=0.2) as scene:
        scene.record.is_away = True
        asked = scene.record.asked
        await until(lambda: scene.record.asked > asked + 2, "it looks all the same")

        await until(lambda: scene.directory.is_stale, "it is not trusted")
        scene.record.is_away = False

        await until(lambda: not scene.directory.is_stale, "it is trusted")


async def test_a_short_outage_changes_nothing() -> None:
    async with following(poll_s=0.01) as scene:
        scene.record.is_away = True
        asked = scene.record.asked
        await until(lambda: scene.record.asked > asked + 20, "it looks")

        assert not scene.directory.is_stale


async def test_a_fault_ends_no_loop() -> None:
    async with following(poll_s=0.01) as scene:
        broken: Any = None
        scene.record.access_version, kept = broken, scene.record.access_version
        await asyncio.sleep(0.05)
        scene.record.access_version = kept
        scene.record.version = 7

        await until(lambda: scene.knows("user7"), "the change is there")
