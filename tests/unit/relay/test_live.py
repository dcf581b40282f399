"""Live news inside one process."""

from __future__ import annotations

from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.feed import Missed, TaskChanged, TaskDelta
from llm_scheduler.relay.live import LocalFeed


def changed(task_id: int, attempt: int = 1) -> TaskChanged:
    return TaskChanged(TaskId(task_id), DEFAULT_TENANT, ModelId(1), Status.RUNNING, attempt, Millis(1))


async def test_a_watcher_of_one_task_sees_its_news_only() -> None:
    """Deltas and changes of that task."""
    feed = LocalFeed()
    async with feed.watch(TaskId(1)) as news:
        feed.publish(changed(2))
        feed.publish(changed(1))
        feed.publish(TaskDelta(TaskId(1), DEFAULT_TENANT, 1, "hi"))

        assert await anext(news) == changed(1)
        assert (await anext(news)).text == "hi"  # type: ignore[union-attr]


async def test_a_watcher_of_all_sees_no_deltas() -> None:
    """Text would be too much for it."""
    feed = LocalFeed()
    async with feed.watch() as news:
        feed.publish(TaskDelta(TaskId(1), DEFAULT_TENANT, 1, "hi"))
        feed.publish(changed(2))

        assert await anext(news) == changed(2)


async def test_a_slow_watcher_is_told_what_it_missed() -> None:
    """Memory stays bounded, and the gap is not silent."""
    feed = LocalFeed()
    async with feed.watch() as news:
        for attempt in range(1_500):
            feed.publish(changed(1, attempt))

        assert await anext(news) == Missed(500)
        assert await anext(news) == changed(1, 500)


async def test_nothing_is_kept_when_nobody_watches() -> None:
    """Watchers that are gone leave nothing behind."""
    feed = LocalFeed()
    async with feed.watch(TaskId(1)), feed.watch():
        assert feed.is_watched
        assert feed.has_watchers(TaskId(1))

    assert not feed.is_watched
    assert not feed.has_watchers(TaskId(1))
