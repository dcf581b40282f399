"""What every channel between processes promises; the tests' own one is held to it as well."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import pytest
from tests.inside import until
from tests.rig.redis import Redis
from tests.stubs.hub import Hub

from llm_scheduler.brokers.redis.channel import RedisChannel
from llm_scheduler.brokers.redis.connection import open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from llm_scheduler.ports.channel import Channel


class Meeting(Protocol):
    """Gives the channel of one more process."""

    async def __call__(self, prefix: str = "t:") -> Channel: ...


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    running = Redis(tmp_path_factory.mktemp("redis"))
    running.start()
    yield running
    running.close()


@asynccontextmanager
async def redis_channel(url: str, prefix: str) -> AsyncIterator[RedisChannel]:
    """An open one that hears."""
    client = open_client(url)
    channel = RedisChannel(client, prefix)
    await channel.open()
    try:
        await until(lambda: channel.is_hearing and channel.is_sending, "both lines stand")
        yield channel
    finally:
        await channel.close()
        await client.aclose()


@pytest.fixture(params=["hub", "redis"])
async def meet(request: pytest.FixtureRequest) -> AsyncIterator[Meeting]:
    hub = Hub()
    async with AsyncExitStack() as stack:

        async def join(prefix: str = "t:") -> Channel:
            if request.param == "hub":
                return hub.channel()
            url = request.getfixturevalue("server").url
            return await stack.enter_async_context(redis_channel(url, prefix))

        yield join


async def hearing(speaker: Channel, *heard: list[bytes], topic: str = "t") -> None:
    """Return once all of these hear what `speaker` says; take what was said for that out again."""

    def is_heard() -> bool:
        speaker.publish(topic, b"?")
        return all(b"?" in one for one in heard)

    await until(is_heard, "the subscription is in force")
    speaker.publish(topic, b"!")
    await until(lambda: all(b"!" in one for one in heard), "the last of the questions is in")
    for one in heard:
        one.clear()


async def test_the_others_hear_a_message_and_the_sender_does_not(meet: Meeting) -> None:
    """Nobody has to sort out his own."""
    one, two, three = await meet(), await meet(), await meet()
    heard: dict[int, list[bytes]] = {1: [], 2: [], 3: []}
    for number, channel in enumerate((one, two, three), 1):
        channel.listen("t", heard[number].append)
    await hearing(one, heard[2], heard[3])
    await hearing(two, heard[1])
    await until(lambda: b"!" in heard[3], "and so does the third")
    heard[3].clear()
    one.publish("t", b"hello")
    two.publish("t", b"answer")

    await until(lambda: len(heard[3]) == 2 and heard[1] and heard[2], "all arrived")
    assert heard[1] == [b"answer"]
    assert heard[2] == [b"hello"]


async def test_messages_of_a_sender_keep_their_order_over_all_topics(meet: Meeting) -> None:
    """A change that follows a delta arrives after it."""
    one, two = await meet(), await meet()
    heard: list[bytes] = []
    for topic in ("a", "b", "c"):
        two.listen(topic, heard.append)
        await hearing(one, heard, topic=topic)
    said = [b"%d" % number for number in range(3_000)]
    for number, message in enumerate(said):
        one.publish("abc"[number % 3], message)

    await until(lambda: len(heard) >= len(said), "all arrived")
    assert heard == said


async def test_who_listens_no_more_hears_nothing_and_others_go_on(meet: Meeting) -> None:
    """The undo is for one listener, not for the topic."""
    one, two = await meet(), await meet()
    first: list[bytes] = []
    second: list[bytes] = []
    undo = two.listen("t", first.append)
    two.listen("t", second.append)
    await hearing(one, second)
    undo()
    undo()
    first.clear()
    one.publish("t", b"more")

    await until(lambda: second == [b"more"], "the other hears it")
    assert first == []


async def test_bytes_of_every_kind_and_size_arrive_as_they_are(meet: Meeting) -> None:
    """Nothing on the way reads them."""
    one, two = await meet(), await meet()
    heard: list[bytes] = []
    two.listen("t", heard.append)
    await hearing(one, heard)
    said = [b"", bytes(range(256)), b"\r\n$5\r\n", b"x" * 1_000_000]
    for message in said:
        one.publish("t", message)

    await until(lambda: len(heard) == len(said), "all arrived")
    assert heard == said
