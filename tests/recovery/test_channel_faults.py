"""Redis goes away under the channel: nobody waits, nobody fails, and everyone learns of the gap."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from tests.inside import until
from tests.rig.redis import Redis, SentinelTrio
from tests.rig.redis import RedisCluster as SixNodes

from llm_scheduler.brokers.redis.channel import RedisChannel
from llm_scheduler.brokers.redis.connection import open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from llm_scheduler.brokers.redis.connection import Client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    running = Redis(tmp_path)
    running.start()
    yield running
    running.close()


class Pair:
    """Two processes: one speaks, one listens."""

    def __init__(self, speaker: RedisChannel, listener: RedisChannel) -> None:
        self.speaker, self.listener = speaker, listener
        self.heard: list[bytes] = []
        self.gaps = 0
        listener.listen("t", self.heard.append)
        listener.on_gap(self._gap)
        self.spoken = 0

    def _gap(self) -> None:
        self.gaps += 1

    def say(self) -> bytes:
        self.spoken += 1
        self.speaker.publish("t", b"%d" % self.spoken)
        return b"%d" % self.spoken

    async def understood(self, within_s: float = 20) -> None:
        """Return once something is heard that is said from now on."""
        before = self.spoken

        def is_heard() -> bool:
            self.say()
            return bool(self.heard) and int(self.heard[-1]) > before

        await until(is_heard, "what is said is heard", within_s)


@asynccontextmanager
async def pair(make: Callable[[], Client]) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        channels: list[RedisChannel] = []
        for _ in range(2):
            client = make()
            stack.push_async_callback(client.aclose)
            channels.append(RedisChannel(client, "t:"))
            await channels[-1].open()
            stack.push_async_callback(channels[-1].close)
        made = Pair(*channels)
        await until(lambda: all(one.is_hearing and one.is_sending for one in channels), "all lines stand")
        await until(lambda: made.gaps > 0, "the first connection counts as a gap")
        await made.understood()
        yield made


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_a_redis_that_comes_back_is_heard_again_and_the_gap_is_told(server: Redis, fault: str) -> None:
    """Killed and restarted, or stopped in its tracks and let go on."""
    async with pair(lambda: open_client(server.url)) as two:
        gaps = two.gaps
        if fault == "kill":
            server.kill()
        else:
            server.process.freeze()
        await until(lambda: not two.listener.is_hearing and not two.speaker.is_sending, "both notice", 6)
        for _ in range(20_000):
            two.say()
        assert two.speaker.lost > 9_000
        assert len(two.speaker._waiting) <= 10_000
        if fault == "kill":
            server.start()
        else:
            server.process.thaw()
        await two.understood()

        await until(lambda: two.gaps > gaps, "the listener learns that it missed something")


async def test_messages_lost_by_the_sender_alone_are_noticed_by_the_listener(server: Redis) -> None:
    """The listener's own line never broke, and nothing more is said on that topic."""
    async with pair(lambda: open_client(server.url)) as two:
        await until(lambda: not two.speaker._waiting, "all is sent")
        await asyncio.sleep(0.3)
        gaps = two.gaps
        for _ in range(15_000):
            two.say()

        await until(lambda: two.gaps > gaps, "the jump is seen")
        assert two.listener.is_hearing


async def test_a_last_message_that_was_lost_is_noticed_although_nothing_follows_it(server: Redis) -> None:
    """The sender's idle line had died; what it wrote into it reached nobody, and it says nothing more."""
    async with pair(lambda: open_client(server.url)) as two:
        await until(lambda: not two.speaker._waiting, "all is sent")
        await asyncio.sleep(0.3)
        gaps, lost = two.gaps, two.speaker.lost
        server.command("CLIENT", "KILL", "TYPE", "normal")
        two.say()

        await until(lambda: two.gaps > gaps, "the listener is told")
        assert two.speaker.lost == lost + 1
        assert two.listener.is_hearing


async def test_a_flush_of_redis_changes_nothing(server: Redis) -> None:
    """Channels are not data."""
    async with pair(lambda: open_client(server.url)) as two:
        gaps = two.gaps
        server.command("FLUSHALL")
        await two.understood()

        assert two.gaps == gaps


@pytest.mark.parametrize("fault", ["away", "frozen"])
async def test_closing_takes_no_second_while_redis_is_gone(server: Redis, fault: str) -> None:
    """A process that stops does not wait for a server that does not answer."""
    loop = asyncio.get_running_loop()
    client = open_client(server.url)
    channel = RedisChannel(client, "t:")
    await channel.open()
    await until(lambda: channel.is_sending and channel.is_hearing, "both lines stand")
    if fault == "away":
        server.kill()
    else:
        server.process.freeze()
    channel.publish("t", b"last words")
    began_s = loop.time()
    await channel.close()
    took_s = loop.time() - began_s
    server.process.thaw()
    await client.aclose()

    assert took_s < 1.0


async def test_what_was_published_just_before_closing_still_goes_out(server: Redis) -> None:
    """The last change of a worker that drains."""
    async with pair(lambda: open_client(server.url)) as two:
        said = [two.say() for _ in range(500)]
        await two.speaker.close()

        await until(lambda: two.heard[-500:] == said, "all of it arrived")


@pytest.mark.slow
async def test_any_node_of_a_cluster_carries_messages_and_another_takes_over(tmp_path: Path) -> None:
    """Plain pub/sub: the cluster's bus tells every node."""
    nodes = SixNodes(tmp_path)
    try:
        nodes.start()
        async with pair(lambda: open_client(nodes.url)) as two:
            for node in nodes.masters()[:1]:
                node.kill()
            await two.understood(30)
    finally:
        nodes.close()


@pytest.mark.slow
async def test_messages_go_on_after_a_failover_by_sentinels(tmp_path: Path) -> None:
    """The master is asked for anew with each connection."""
    trio = SentinelTrio(tmp_path)
    try:
        trio.start()
        async with pair(lambda: open_client(trio.url)) as two:
            trio.master().kill()
            await until(lambda: not two.listener.is_hearing, "the loss is noticed")
            await two.understood(30)
    finally:
        trio.close()
