"""Live news between processes, over a line that a test cuts and mends."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from tests.inside import until
from tests.stubs.hub import Hub

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.feed import Missed, TaskChanged, TaskDelta
from llm_scheduler.relay.live import LocalFeed
from llm_scheduler.relay.packing import VERSION, changes, deltas, packed_change, packed_delta
from llm_scheduler.relay.readership import LAPSE_AFTER_S, Kind, packed, unpacked
from llm_scheduler.relay.shared_feed import CHANGES, WATCHED, SharedFeed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.stubs.hub import HubChannel

    from llm_scheduler.ports.feed import News

ONE = TaskId(1)
_IDS = st.integers(0, 2**53 - 1)


def changed(task_id: int = 1, attempt: int = 1, status: Status = Status.RUNNING) -> TaskChanged:
    return TaskChanged(TaskId(task_id), DEFAULT_TENANT, ModelId(1), status, attempt, Millis(1))


def delta(text: str, task_id: int = 1) -> TaskDelta:
    return TaskDelta(TaskId(task_id), DEFAULT_TENANT, 1, text)


class HandClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now(self) -> Millis:
        return Millis(int(self.at_s * 1000))

    def monotonic_s(self) -> float:
        return self.at_s


class Process:
    """A feed and its channel."""

    def __init__(self, hub: Hub, clock: HandClock) -> None:
        self.channel: HubChannel = hub.channel()
        self.feed = SharedFeed(LocalFeed(), self.channel, clock)


@asynccontextmanager
async def processes(hub: Hub, clock: HandClock | None = None, count: int = 2) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        made = [Process(hub, clock or HandClock()) for _ in range(count)]
        for process in made:
            await process.feed.open()
            stack.push_async_callback(process.feed.close)
        yield made


def kinds(hub: Hub) -> set[Kind]:
    """Of the announcements that were sent."""
    said = [unpacked(payload) for topic, payload in hub.sent if topic == WATCHED]
    return {one.kind for one in said if one is not None}


async def first(news: AsyncIterator[News], count: int) -> list[News]:
    async with asyncio.timeout(5):
        return [await anext(news) for _ in range(count)]


async def test_a_change_elsewhere_reaches_who_watches_here() -> None:
    """Whoever watches that task or all tasks; the publisher's own watchers get it once."""
    async with (
        processes(Hub()) as (here, there),
        here.feed.watch(ONE) as mine,
        here.feed.watch() as every,
        there.feed.watch(ONE) as own,
    ):
        there.feed.publish(changed(2))
        there.feed.publish(changed(1))

        assert await first(mine, 1) == [changed(1)]
        assert await first(every, 2) == [changed(2), changed(1)]
        there.feed.publish(changed(1, 2))
        assert await first(own, 2) == [changed(1), changed(1, 2)]


async def test_text_goes_only_to_the_process_that_reads_it() -> None:
    """A worker whose tasks nobody reads sends no text at all, and no third process gets it."""
    hub = Hub()
    async with processes(hub, count=3) as (here, worker, third):
        worker.feed.publish(delta("nobody hears"))
        async with here.feed.watch(ONE) as mine, third.feed.watch(ONE, with_text=False) as other:
            await until(lambda: worker.feed.has_watchers(ONE), "the reader is announced")
            hub.sent.clear()
            worker.feed.publish(delta("Hel"))
            worker.feed.publish(delta("lo"))
            worker.feed.publish(changed(status=Status.COMPLETED))

            assert await first(mine, 3) == [delta("Hel"), delta("lo"), changed(status=Status.COMPLETED)]
            assert await first(other, 1) == [changed(status=Status.COMPLETED)]
            assert [topic.partition(":")[0] for topic, _ in hub.sent] == ["deltas", CHANGES]


async def test_a_reader_that_goes_is_told_of_with_the_next_announcement_and_one_that_dies_lapses() -> None:
    """So that no worker sends text for ever to a process that is gone."""
    clock = HandClock()
    hub = Hub()
    async with processes(hub, clock) as (here, worker):
        async with here.feed.watch(ONE):
            await until(lambda: worker.feed.has_watchers(ONE), "the reader is announced")
        here.feed._has_to_tell_all = True
        here.feed._flush()
        await until(lambda: not worker.feed.has_watchers(ONE), "and its end")

        async with here.feed.watch(ONE):
            await until(lambda: worker.feed.has_watchers(ONE), "announced again")
            hub.is_cut = True
            clock.at_s += LAPSE_AFTER_S + 0.1
            await until(lambda: not worker.feed.has_watchers(ONE), "silent for too long", 5)
            hub.mend()
            await until(lambda: worker.feed.has_watchers(ONE), "asked after the gap")


async def test_a_worker_that_comes_later_learns_what_is_read() -> None:
    """It asks, and does not wait for the next repetition."""
    hub = Hub()
    async with processes(hub, count=1) as (here,), here.feed.watch(ONE):
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        late = Process(hub, HandClock())
        await late.feed.open()
        await until(lambda: late.feed.has_watchers(ONE), "it was told")
        took_s = loop.time() - began_s
        await late.feed.close()

        assert took_s < 1.0


async def test_a_gap_tells_every_watcher_to_read_again() -> None:
    """Messages that are lost are not lost silently."""
    hub = Hub()
    async with processes(hub) as (here, there), here.feed.watch(ONE) as mine, here.feed.watch() as every:
        hub.is_cut = True
        there.feed.publish(changed())
        await until(lambda: hub.sent[-1][0] == CHANGES, "it was sent, in vain")
        hub.sent.clear()
        hub.mend()

        assert await first(mine, 1) == await first(every, 1) == [Missed(0)]
        await until(lambda: {Kind.ASK, Kind.ALL} <= kinds(hub), "readers are asked for, and told of")


async def test_a_slow_watcher_of_another_process_is_told_what_it_missed() -> None:
    """The same bound as inside one process."""
    async with processes(Hub()) as (here, there), here.feed.watch() as every:
        for attempt in range(2_500):
            there.feed.publish(changed(attempt=attempt))
        there.feed.publish(changed(attempt=9_999))
        await until(lambda: here.feed._local._all and next(iter(here.feed._local._all))._missed == 1_501, "all came")

        assert await first(every, 2) == [Missed(1_501), changed(attempt=1_501)]


async def test_changes_of_a_burst_share_messages() -> None:
    """One message for what comes within five milliseconds, not one each."""
    hub = Hub()
    async with processes(hub) as (here, there), here.feed.watch() as every:
        hub.sent.clear()
        for attempt in range(500):
            there.feed.publish(changed(attempt=attempt))

        assert await first(every, 500) == [changed(attempt=attempt) for attempt in range(500)]
        assert len([topic for topic, _ in hub.sent if topic == CHANGES]) == 1


async def test_a_process_that_watches_nothing_is_not_sent_everything() -> None:
    """It subscribes with its first watcher."""
    async with processes(Hub()) as (here, _):
        assert CHANGES not in here.channel.topics
        async with here.feed.watch(ONE):
            assert CHANGES in here.channel.topics


async def test_nothing_is_left_listening_after_the_end() -> None:
    """Closed means gone."""
    hub = Hub()
    async with processes(hub) as (here, there):
        async with here.feed.watch(ONE):
            await until(lambda: there.feed.has_watchers(ONE), "announced")
        await here.feed.close()

        assert not here.channel.topics
        await until(lambda: not there.feed.has_watchers(ONE), "it said goodbye")


def test_every_status_has_its_code() -> None:
    """A new one must be given a place at the end of the list."""
    for status in Status:
        news = changed(status=status)
        assert list(changes(VERSION + packed_change(news), lambda _: True)) == [news]


@given(st.lists(st.builds(changed, task_id=_IDS, attempt=st.integers(0, 2**31)), max_size=20))
def test_changes_come_out_as_they_went_in(news: list[TaskChanged]) -> None:
    """And only those that are wanted."""
    payload = VERSION + b"".join(map(packed_change, news))

    assert list(changes(payload, lambda _: True)) == news
    assert list(changes(payload, lambda _: False)) == []


@given(st.lists(st.text(), max_size=20))
def test_text_comes_out_as_it_went_in(texts: list[str]) -> None:
    """Also when it is empty; a half character pair, which no text may have, does no harm."""
    news = [delta(text) for text in texts]
    payload = VERSION + b"".join(map(packed_delta, [*news, delta("\ud800")]))

    assert list(deltas(payload)) == [*news, delta("?")]


@given(st.binary(max_size=200))
def test_bytes_of_a_stranger_do_no_harm(payload: bytes) -> None:
    """Whatever is published on the topics by mistake."""
    for made in (payload, VERSION + payload):
        list(changes(made, lambda _: True))
        list(deltas(made))
        unpacked(made)


@given(st.sampled_from(Kind), st.lists(st.builds(TaskId, _IDS)))
def test_announcements_come_out_as_they_went_in(kind: Kind, task_ids: list[TaskId]) -> None:
    """Name, kind and tasks."""
    assert unpacked(packed(b"12345678", kind, task_ids)) == (b"12345678", kind, task_ids)
