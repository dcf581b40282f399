"""What a reader has of a text, and what is missing at its end."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.api.telling import Told
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import Task
from llm_scheduler.ports.feed import TaskDelta


def completed(text: str, **fields: Any) -> Task:
    values: dict[str, Any] = dict.fromkeys(
        ("priority", "failures", "crashes", "retry_count", "max_retries", "est_tokens", "generation"), 0
    )
    values |= {"status": Status.COMPLETED, "attempt": 1, "output": text, "queued_at": None, "type": "chat", "input": ""}
    values |= {"is_cancel_requested": False} | dict.fromkeys(("created_at", "updated_at", "eligible_at"), Millis(0))
    return Task(id=TaskId(1), tenant_id=DEFAULT_TENANT, model_id=ModelId(1), **values | fields)


def told(pieces: list[str], attempt: int = 1) -> Told:
    made = Told()
    for piece in pieces:
        made.takes(TaskDelta(TaskId(1), DEFAULT_TENANT, attempt, piece))
    return made


@given(st.lists(st.text(min_size=1), min_size=1), st.integers(1, 50))
def test_what_was_told_and_the_rest_make_the_whole(pieces: list[str], kept: int) -> None:
    """However many of the last pieces were lost."""
    text = "".join(pieces)

    assert "".join(pieces[:kept]) + told(pieces[:kept]).rest(completed(text)) == text


def test_a_hole_in_the_middle_or_a_late_beginning_is_not_made_worse() -> None:
    """Text in the wrong place would be worse than none."""
    assert told(["one ", "three"]).rest(completed("one two three four")) == ""
    assert told(["two"]).rest(completed("one two three")) == ""


def test_nothing_is_made_up_for_another_attempt_another_end_or_who_got_no_text() -> None:
    """A new attempt begins anew; a failure has no text; whoever comes when it is over reads it in `done`."""
    assert told(["one"]).rest(completed("one two", attempt=2)) == ""
    assert told(["one"]).rest(completed("one two", status=Status.FAILED)) == ""
    assert told([]).rest(completed("one two")) == ""


def test_a_new_attempt_begins_anew() -> None:
    """What the first one wrote does not count."""
    made = told(["something", " else"])
    made.takes(TaskDelta(TaskId(1), DEFAULT_TENANT, 2, "one"))

    assert made.rest(completed("one two", attempt=2)) == " two"
