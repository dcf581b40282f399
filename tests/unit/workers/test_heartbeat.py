"""The session's heartbeat: renew, obey, fence oneself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.inside import inside, until

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import Millis, SessionId, TaskId
from llm_scheduler.domain.session import FENCE_AFTER_S, BeatAnswer
from llm_scheduler.services.running import RunningCalls, Why
from llm_scheduler.workers.heartbeat import Heartbeat

if TYPE_CHECKING:
    from pathlib import Path

    from llm_scheduler.domain.session import Vitals


class StillClock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def now(self) -> Millis:
        return Millis(int(self.at_s * 1000))

    def monotonic_s(self) -> float:
        return self.at_s


class Sessions:
    """The record's side of a heartbeat."""

    def __init__(self) -> None:
        self.opened = self.beats = 0
        self.answer = BeatAnswer(is_alive=True)
        self.is_down = False

    async def open_session(self, host: str, pid: int, version: str, role: str = "all") -> SessionId:
        self.opened += 1
        return SessionId(self.opened)

    async def beat(self, session_id: SessionId, vitals: Vitals) -> BeatAnswer:
        self.beats += 1
        if self.is_down:
            raise StoreUnavailableError("the disk is away")
        return self.answer


class OneCall:
    """An open call that notes why it was aborted."""

    why: Why | None = None

    def abort(self, why: Why) -> None:
        self.why = self.why or why


def made() -> tuple[Heartbeat, Sessions, RunningCalls, StillClock]:
    sessions, running, clock = Sessions(), RunningCalls(), StillClock()
    return Heartbeat(sessions, running, clock, "1"), sessions, running, clock  # type: ignore[arg-type]


async def test_a_buried_session_stops_its_calls_and_opens_anew() -> None:
    """Others may own its tasks by now."""
    heartbeat, sessions, running, _ = made()
    call = OneCall()
    await heartbeat.open()
    running.add(TaskId(1), call)
    sessions.answer = BeatAnswer(is_alive=False)
    await heartbeat.beat()

    assert call.why is Why.FENCED
    assert heartbeat.session_id is None
    sessions.answer = BeatAnswer(is_alive=True)
    await heartbeat.beat()
    assert heartbeat.session_id == 2


async def test_a_task_that_was_cancelled_elsewhere_is_stopped_with_the_next_beat() -> None:
    """The cancel is a column; the hint is only quicker."""
    heartbeat, sessions, running, _ = made()
    call = OneCall()
    await heartbeat.open()
    running.add(TaskId(5), call)
    sessions.answer = BeatAnswer(is_alive=True, stop=(TaskId(5), TaskId(6)))
    await heartbeat.beat()

    assert call.why is Why.CANCEL


@pytest.mark.parametrize(("silent_s", "is_fenced"), [(FENCE_AFTER_S - 1, False), (FENCE_AFTER_S + 1, True)])
async def test_a_session_that_cannot_renew_fences_itself(silent_s: float, is_fenced: bool) -> None:
    """Before the others bury it, and without asking anyone."""
    heartbeat, sessions, _, clock = made()
    await heartbeat.open()
    sessions.is_down = True
    clock.at_s += silent_s
    beating = asyncio.create_task(heartbeat.run(every_s=0.001))
    beats_before = sessions.beats
    await until(lambda: sessions.beats >= beats_before + 3, "three beats failed")
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)

    # A fenced session is never used again: the process registered anew.
    assert (sessions.opened > 1) is is_fenced


async def test_the_process_shows_its_load(tmp_path: Path) -> None:
    """CPU and memory reach the record with a beat."""
    async with inside(tmp_path) as it:
        await it.installation.heartbeat.beat()
        [session] = await it.store.sessions()

        assert session.rss_bytes > 10_000_000
        assert session.is_alive
        await until(lambda: it.installation.worker.turned_at_s > 0, "the claim loop turns")
