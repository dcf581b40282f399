"""What follows from a task's end for those that waited for its answer: see `ports.answers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.status import Status
from llm_scheduler.ports.feed import TaskChanged

if TYPE_CHECKING:
    from llm_scheduler.ports.answers import Followers
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.feed import Feed
    from llm_scheduler.ports.store import Store
    from llm_scheduler.services.catalogue import Catalogue

SWEEP: Final = 500
_MOST_ROUNDS: Final = 2_000


class Following:
    """Takes what the record says of followers to the index and to those who watch."""

    def __init__(self, store: Store, broker: Broker, catalogue: Catalogue, feed: Feed, clock: Clock) -> None:
        self._store, self._broker, self._catalogue = store, broker, catalogue
        self._feed, self._clock = feed, clock

    async def settle(self, followers: Followers) -> int:
        """Queue those that lead now and tell of all, on to the last; how many."""
        total = await self._pass_on(followers)
        return total + await self.regroup() if followers.is_cut else total

    async def regroup(self) -> int:
        """Find followers of tasks that are over, by whatever hand, and see to them; how many."""
        total = 0
        for _ in range(_MOST_ROUNDS):
            followers = await self._store.regroup(SWEEP)
            total += await self._pass_on(followers)
            if not followers.is_cut:
                break
        return total

    async def _pass_on(self, followers: Followers) -> int:
        if followers.freed:
            await self._broker.enqueue(await self._catalogue.placed(followers.freed))
        if self._feed.is_watched:
            now = self._clock.now()
            for task in followers.freed:
                news = TaskChanged(task.task_id, task.tenant_id, task.model_id, Status.QUEUED, task.attempt, now)
                self._feed.publish(news)
            for done in followers.ended:
                self._feed.publish(
                    TaskChanged(done.task_id, done.tenant_id, done.model_id, done.status, done.attempt, now)
                )
        return len(followers.freed) + len(followers.ended)
