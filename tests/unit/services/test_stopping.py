"""Cancels that reach a call in another process."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

import pytest
from tests.inside import inside, until
from tests.stubs.hub import Hub

from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import Moved
from llm_scheduler.services.running import RunningCalls, Why
from llm_scheduler.services.stopping import STOP, Stopping
from llm_scheduler.services.tasks import Tasks

if TYPE_CHECKING:
    from pathlib import Path


class OneCall:
    """An open call that notes why it was aborted."""

    why: Why | None = None

    def __init__(self, attempt: int) -> None:
        self.attempt = attempt

    def abort(self, why: Why) -> None:
        self.why = self.why or why


def cancelled(task_id: int, attempt: int) -> Moved:
    return Moved(TaskId(task_id), DEFAULT_TENANT, ModelId(1), Status.RUNNING, attempt)


async def test_a_call_that_runs_here_is_aborted_at_once_and_nobody_else_is_asked() -> None:
    """The process that cancels may be the one that runs it."""
    hub, running, call = Hub(), RunningCalls(), OneCall(2)
    running.add(TaskId(1), call)
    Stopping(running, hub.channel()).stop([cancelled(1, 2)])

    assert call.why is Why.CANCEL
    assert hub.sent == []


async def test_the_process_that_runs_the_attempt_looks_and_the_others_do_not() -> None:
    """A hint makes the worker ask the record; it aborts nothing by itself."""
    hub = Hub()
    looks: list[str] = []
    calls = [OneCall(2), OneCall(3)]
    for name, call in zip(("runs it", "runs a newer attempt"), calls, strict=True):
        running = RunningCalls()
        running.add(TaskId(1), call)
        Stopping(running, hub.channel()).listen(lambda name=name: looks.append(name))
    Stopping(RunningCalls(), hub.channel()).listen(lambda: looks.append("runs nothing"))
    Stopping(RunningCalls(), hub.channel()).stop([cancelled(7, 1), cancelled(1, 2)])

    await until(lambda: bool(looks), "somebody looks")
    await asyncio.sleep(0)
    assert looks == ["runs it"]
    assert all(call.why is None for call in calls)


async def test_after_a_gap_the_record_is_asked() -> None:
    """Hints may have been lost."""
    hub = Hub()
    looks: list[str] = []
    Stopping(RunningCalls(), hub.channel()).listen(lambda: looks.append("look"))
    hub.mend()

    assert looks == ["look"]


@pytest.mark.parametrize("payload", [b"", b"x", struct.pack(">QI", 1, 9), b"\xff" * 25])
async def test_what_is_no_hint_for_us_is_let_go(payload: bytes) -> None:
    """A stranger on the topic, another attempt, half a message."""
    hub, running = Hub(), RunningCalls()
    running.add(TaskId(1), OneCall(2))
    looks: list[str] = []
    channel = hub.channel()
    Stopping(running, channel).listen(lambda: looks.append("look"))
    channel.take(STOP, payload)

    assert looks == []


async def test_who_listens_no_more_is_not_asked() -> None:
    """The worker has stopped."""
    hub = Hub()
    looks: list[str] = []
    Stopping(RunningCalls(), hub.channel()).listen(lambda: looks.append("look"))()
    hub.mend()

    assert looks == []


async def test_a_cancel_in_one_process_aborts_the_call_in_another_long_before_its_heartbeat(tmp_path: Path) -> None:
    """And a hint that nobody's cancel stands behind aborts nothing, though task and attempt are right."""
    hub = Hub()
    async with inside(tmp_path) as it:
        worker = it.installation
        end = Stopping(worker.running, hub.channel()).listen(worker.heartbeat.hurry)
        elsewhere = Stopping(RunningCalls(), hub.channel())
        tasks = Tasks(it.store, it.broker, worker.catalogue, elsewhere, worker.feed, worker.clock, worker.learning)
        model = await it.add_model(config={"delay_ms": 20_000})
        victim, other = await it.submit(model, 2)
        for task_id in (victim, other):
            await it.wait_for(task_id, "running")
        await until(lambda: len(worker.running) == 2, "both are called")
        elsewhere.stop([cancelled(other, 1)])
        began_s = worker.clock.monotonic_s()
        await tasks.cancel(TaskId(victim), DEFAULT_TENANT)
        task = await it.wait_for(victim, "cancelled", within_s=1.5)
        took_s = worker.clock.monotonic_s() - began_s
        end()

        assert took_s < 1.0
        assert task.attempt == 1
        assert (await it.task(other)).status is Status.RUNNING
