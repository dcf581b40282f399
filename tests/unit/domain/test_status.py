"""Which status may follow which."""

from __future__ import annotations

import pytest

from llm_scheduler.domain.status import MOVES, TERMINAL, WAITING, Status, may_move


def test_every_status_has_a_row() -> None:
    assert set(MOVES) == set(Status)


def test_every_status_is_waiting_running_or_terminal() -> None:
    assert WAITING | TERMINAL | {Status.RUNNING} == set(Status)
    assert not WAITING & TERMINAL


@pytest.mark.parametrize("status", Status)
def test_no_status_follows_itself(status: Status) -> None:
    assert not may_move(status, status)


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.EXPIRED])
def test_what_is_completed_or_expired_stays_so(status: Status) -> None:
    assert not MOVES[status]


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_a_person_may_only_queue_a_dead_letter_again(status: Status) -> None:
    assert MOVES[status] == {Status.QUEUED}


def test_only_a_queued_task_starts() -> None:
    assert {status for status in Status if may_move(status, Status.RUNNING)} == {Status.QUEUED}


def test_only_a_running_task_fails() -> None:
    assert {status for status in Status if may_move(status, Status.FAILED)} == {Status.RUNNING}


@pytest.mark.parametrize("status", sorted(WAITING))
def test_whatever_waits_can_be_cancelled_and_expires(status: Status) -> None:
    assert may_move(status, Status.CANCELLED)
    assert may_move(status, Status.EXPIRED)


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.HELD, Status.RUNNING])
def test_a_late_success_is_accepted_until_the_task_is_terminal(status: Status) -> None:
    assert may_move(status, Status.COMPLETED)


@pytest.mark.parametrize("status", Status)
def test_every_task_can_reach_an_end(status: Status) -> None:
    reached = {status}
    while more := {there for here in reached for there in MOVES[here]} - reached:
        reached |= more

    assert reached & TERMINAL
