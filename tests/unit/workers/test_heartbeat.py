"""The session's heartbeat: renew, obey, fence oneself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.inside import inside, until

from llm_scheduler.domain.errors import BrokerUnavailableError, StoreUnavailableError
from llm_scheduler.domain.ids import Millis, SessionId, TaskId
from llm_scheduler.domain.session import FENCE_AFTER_S, BeatAnswer
from llm_scheduler.ports.broker import Witness
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
    attempt = 1

    def abort(self, why: Why) -> None:
        self.why = self.why or why


class Others:
    """What the other processes say; None = they cannot be asked."""

    def __init__(self) -> None:
        self.witness: Witness | None = Witness(False, 0.5)
        self.told: list[bool | None] = []

    async def confer(self, has_reached: bool | None) -> Witness:
        self.told.append(has_reached)
        if self.witness is None:
            raise BrokerUnavailableError("it is away")
        return self.witness


others = Others()


@pytest.fixture(autouse=True)
def fresh_others() -> None:
    others.__init__()


def made() -> tuple[Heartbeat, Sessions, RunningCalls, StillClock]:
    sessions, running, clock = Sessions(), RunningCalls(), StillClock()
    return Heartbeat(sessions, running, clock, "1", others.confer), sessions, running, clock  # type: ignore[arg-type]


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


async def test_a_call_that_began_while_the_record_was_asked_is_not_stopped() -> None:
    """The answer is about the attempt before it: aborting this one would cancel what nobody cancelled."""
    heartbeat, sessions, running, _ = made()
    old, new = OneCall(), OneCall()
    await heartbeat.open()
    running.add(TaskId(5), old)

    async def beat(session_id: SessionId, vitals: Vitals) -> BeatAnswer:
        running.remove(TaskId(5), old)
        running.add(TaskId(5), new)
        return BeatAnswer(is_alive=True, stop=(TaskId(5),))

    sessions.beat = beat
    await heartbeat.beat()

    assert new.why is None


async def test_a_hurried_beat_comes_at_once_and_a_storm_of_hurries_is_one_beat() -> None:
    """A hint about a cancelled call; the record must not be asked once for each."""
    heartbeat, sessions, _, _ = made()
    await heartbeat.open()
    loop = asyncio.get_running_loop()
    beating = asyncio.create_task(heartbeat.run(idle_every_s=30))
    began_s = loop.time()
    while sessions.beats < 3:
        assert loop.time() < began_s + 5
        heartbeat.hurry()
        await asyncio.sleep(0)
    took_s = loop.time() - began_s
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)

    assert took_s > 0.14


@pytest.mark.parametrize(
    ("reached_ago_s", "is_fenced"),
    [(0.5, True), (60.0, False), (None, False)],
    ids=["others-reach-it", "nobody-reaches-it", "nobody-ever-told"],
)
async def test_a_session_that_cannot_renew_is_fenced_only_if_others_can(
    reached_ago_s: float | None, is_fenced: bool
) -> None:
    """Who is alone in the dark must stop; when the record is away for all, nobody can take the tasks over."""
    heartbeat, sessions, running, clock = made()
    call = OneCall()
    await heartbeat.open()
    running.add(TaskId(1), call)
    sessions.is_down = True
    others.witness = Witness(False, reached_ago_s)
    beating = asyncio.create_task(heartbeat.run(every_s=0.001))
    await until(lambda: heartbeat.claimant is None, "a beat failed")
    for _ in range(3):
        clock.at_s += FENCE_AFTER_S / 2 + 0.1
        await heartbeat.confer()
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)

    assert (call.why is Why.FENCED) is is_fenced
    assert (heartbeat.session_id is None) is is_fenced


async def test_a_session_that_can_ask_nobody_fences_itself() -> None:
    """Index and record away: it might be this host that is cut off."""
    heartbeat, sessions, _, clock = made()
    await heartbeat.open()
    sessions.is_down = True
    others.witness = None
    clock.at_s += FENCE_AFTER_S - 1
    await heartbeat.confer()
    assert heartbeat.session_id is not None
    clock.at_s += 2
    await heartbeat.confer()

    assert heartbeat.session_id is None


async def test_a_doubt_of_another_is_answered_by_a_beat_at_once() -> None:
    """However long the idle pause would have been."""
    heartbeat, sessions, _, _ = made()
    await heartbeat.open()
    beating = asyncio.create_task(heartbeat.run(idle_every_s=60))
    await asyncio.sleep(0)
    others.witness = Witness(True, 1.0)
    await heartbeat.confer()
    await until(lambda: sessions.beats == 1, "it beat")
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)

    others.witness = Witness(False, 0.0)
    await heartbeat.confer()
    assert others.told[-1] is True


async def test_only_who_watched_for_long_enough_may_judge() -> None:
    """After an outage everybody's heartbeat is old."""
    heartbeat, sessions, _, clock = made()
    await heartbeat.open()
    assert not heartbeat.has_watched(10)
    clock.at_s += 11
    await heartbeat.beat()
    assert heartbeat.has_watched(10)
    sessions.is_down = True
    beating = asyncio.create_task(heartbeat.run(every_s=0.001, idle_every_s=0.001))
    await until(lambda: not heartbeat.has_watched(0), "a beat failed")
    sessions.is_down = False
    await until(lambda: heartbeat.has_watched(0), "it got through again")
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)

    assert not heartbeat.has_watched(10)


async def test_the_process_shows_its_load(tmp_path: Path) -> None:
    """CPU and memory reach the record with a beat."""
    async with inside(tmp_path) as it:
        await it.installation.heartbeat.beat()
        [session] = await it.store.sessions()

        assert session.rss_bytes > 10_000_000
        assert session.is_alive
        await until(lambda: it.installation.worker.turned_at_s > 0, "the claim loop turns")
