"""Room for a tenant's unfinished tasks: never one too many here, and of other processes' no more than is said."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from llm_scheduler.domain.errors import TenantQueueFullError
from llm_scheduler.domain.ids import TenantId
from llm_scheduler.domain.tenant import Quotas, Tenant
from llm_scheduler.services.catalogue import Catalogue
from llm_scheduler.services.tenant_queues import FRESH_S, RECOUNT_S, TenantQueues

if TYPE_CHECKING:
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.people import PeopleMoves

ACME = TenantId(2)


class Record:
    """How many tasks are unfinished; it may be asked slowly."""

    def __init__(self) -> None:
        self.unfinished_tasks = self.asked = 0
        self.gate: asyncio.Event | None = None

    async def unfinished(self, tenant_id: TenantId) -> int:
        assert tenant_id == ACME
        self.asked += 1
        found = self.unfinished_tasks
        if self.gate is not None:
            await self.gate.wait()
        return found


class StillClock:
    def __init__(self) -> None:
        self.at_s = 100.0

    def monotonic_s(self) -> float:
        return self.at_s


class Site:
    """One process."""

    def __init__(self, record: Record, clock: StillClock, most: int | None) -> None:
        self.record = record
        catalogue = Catalogue({}, "fair")
        catalogue.replace([], [Tenant(ACME, "acme", quotas=Quotas(max_queued=most))])
        self.queues = TenantQueues(cast("PeopleMoves", record), catalogue, cast("Clock", clock))

    async def submit(self, count: int = 1) -> bool:
        """Whether they were taken, and recorded."""
        try:
            if not await self.queues.take(ACME, count):
                return True
        except TenantQueueFullError:
            return False
        self.record.unfinished_tasks += count
        self.queues.settle(ACME, count, count)
        return True


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


async def test_without_a_quota_nobody_counts(clock: StillClock) -> None:
    record = Record()

    assert await Site(record, clock, None).submit(10**6)
    assert record.asked == 0


async def test_what_fits_is_taken_and_not_one_more(clock: StillClock) -> None:
    site = Site(Record(), clock, 5)

    assert [await site.submit() for _ in range(7)] == [True] * 5 + [False] * 2
    assert site.record.asked == 1


async def test_the_refusal_says_how_many_there_are(clock: StillClock) -> None:
    site = Site(Record(), clock, 5)
    await site.submit(3)

    with pytest.raises(TenantQueueFullError, match="3 tasks that are not over, and may have 5; 4 more"):
        await site.queues.take(ACME, 4)


async def test_room_that_was_not_used_is_given_back(clock: StillClock) -> None:
    """Repeated keys, answers from the cache, a record that is away."""
    site = Site(Record(), clock, 5)
    await site.queues.take(ACME, 5)
    site.queues.settle(ACME, 5, 2)
    site.record.unfinished_tasks = 2

    assert [await site.submit() for _ in range(4)] == [True, True, True, False]


async def test_a_task_that_ended_makes_room_soon(clock: StillClock) -> None:
    site = Site(Record(), clock, 2)
    await site.submit(2)
    site.record.unfinished_tasks = 1
    assert not await site.submit()

    clock.at_s += RECOUNT_S
    assert await site.submit()
    assert not await site.submit()


async def test_a_full_tenant_that_tries_again_and_again_is_counted_rarely(clock: StillClock) -> None:
    site = Site(Record(), clock, 1)
    await site.submit()

    for _ in range(1_000):
        assert not await site.submit()
        clock.at_s += 0.001

    assert site.record.asked <= 2 + 1 / RECOUNT_S


@pytest.mark.parametrize("sites", [2, 3])
async def test_several_processes_take_at_most_what_the_others_took_lately_too_many(
    clock: StillClock, sites: int
) -> None:
    """Each knows of the others what there was at its last count, which is at most `FRESH_S` old."""
    record, most = Record(), 100
    fleet = [Site(record, clock, most) for _ in range(sites)]
    taken = [0] * sites
    for _ in range(400):
        for number, site in enumerate(fleet):
            taken[number] += await site.submit()
        clock.at_s += FRESH_S / 50

    within = 50 * (sites - 1)  # so many the others take within FRESH_S at this pace
    assert most <= sum(taken) <= most + within
    assert not any([await site.submit() for site in fleet])


async def test_who_comes_while_it_is_counted_is_not_forgotten(clock: StillClock) -> None:
    """The count may have been taken before these were recorded: they count beside it."""
    site = Site(Record(), clock, 10)
    await site.queues.take(ACME, 4)  # under way: recorded only later
    clock.at_s += FRESH_S
    site.record.gate = asyncio.Event()
    counting = asyncio.create_task(site.queues.take(ACME, 1))
    await asyncio.sleep(0)
    site.record.unfinished_tasks = 4
    site.queues.settle(ACME, 4, 4)

    site.record.gate.set()
    site.record.gate = None
    await counting
    site.record.unfinished_tasks += 1
    site.queues.settle(ACME, 1, 1)

    assert [await site.submit() for _ in range(6)] == [True] * 5 + [False]


async def test_many_at_once_take_no_more_than_fits(clock: StillClock) -> None:
    record = Record()
    site = Site(record, clock, 30)

    async def submit() -> Any:
        await asyncio.sleep(0)
        return await site.submit()

    taken = await asyncio.gather(*(submit() for _ in range(100)))

    assert sum(taken) == 30
    assert record.asked <= 2
