"""What the in-memory index keeps when things are gone. Looks inside, unlike the contract."""

from __future__ import annotations

import gc
import tracemalloc

from llm_scheduler.brokers.queue import LaneQueue
from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
from llm_scheduler.domain.placement import Placement
from llm_scheduler.ports.broker import Entry


def entry(number: int, *, tenant: int = 1, order: int | None = None) -> Entry:
    placement = Placement(0, tenant, 1.0, 10, number if order is None else order)
    return Entry(TaskId(number), ModelId(1), TenantId(tenant), 0, 10, Millis(number), placement)


def grown_bytes(queue: LaneQueue, rounds: int, *, backwards: bool) -> int:
    """What adding and removing 1 000 tasks leaves behind, the first one staying for good."""
    gc.collect()
    tracemalloc.start()
    for first in range(0, rounds * 1_000, 1_000):
        numbers = range(first + 1, first + 1_001)
        for number in reversed(numbers) if backwards else numbers:
            queue.add(entry(number), None)
        for number in numbers:
            queue.remove(TaskId(number))
    gc.collect()
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return grown


def test_removed_tasks_leave_no_graves() -> None:
    for backwards in (False, True):
        queue = LaneQueue()
        queue.add(entry(0), None)

        assert grown_bytes(queue, 20, backwards=backwards) < 200_000


def test_heads_that_come_ever_earlier_leave_no_stale_tickets() -> None:
    queue = LaneQueue()
    for number in range(10_000):
        queue.add(entry(number, order=-number), None)

    (band,) = queue._bands
    assert len(band._tickets) < 100


def test_tenants_that_are_gone_are_forgotten() -> None:
    """One tenant's tasks keep the band alive while five thousand others come and go."""
    queue = LaneQueue()
    for number in range(20_000):
        queue.add(entry(number, tenant=1), None)
    for number in range(20_000, 25_000):
        queue.add(entry(number, tenant=number), None)
        for _ in range(3):
            turn = queue.turn()
            assert turn is not None
            queue.pop(*turn)
            queue.slot_ended(turn[0].tenant.tenant_id)

    assert len(queue.waiting) == 10_000
    assert len(queue.tenants) < 200


def test_an_empty_queue_remembers_nothing() -> None:
    queue = LaneQueue()
    for number in range(100):
        queue.add(entry(number, tenant=number % 7), None)
    for number in range(100):
        queue.remove(TaskId(number))

    assert not queue.waiting
    assert not queue.tenants
    assert queue.by_band() == ()
    assert queue.turn() is None
