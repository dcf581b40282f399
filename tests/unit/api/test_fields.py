from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llm_scheduler.api.answers import stamp
from llm_scheduler.api.fields import instant, millis, priority_number
from llm_scheduler.api.reading import BadJsonError, checked, loads
from llm_scheduler.api.schemas.tasks import TaskBody, TaskShown
from llm_scheduler.api.showing import task_json
from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import Task

if TYPE_CHECKING:
    from llm_scheduler.services.submit import TaskDraft


@given(at=st.integers(0, 200_000_000_000_000))
def test_an_instant_survives_being_written_and_read(at: int) -> None:
    assert millis(instant(stamp(Millis(at)))) == at


@pytest.mark.parametrize(
    "text",
    ["2030-01-31T09:00:00Z", "2030-01-31T10:00:00+01:00", "2030-01-31t09:00:00.000z", "2030-01-31T10:00:00 01:00"],
)
def test_an_instant_may_be_written_in_several_ways(text: str) -> None:
    assert instant(text) == datetime(2030, 1, 31, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    ["2030-01-31", "2030-01-31T09:00:00", "2030-02-30T09:00:00Z", "soon", 1893456000, None, "9999-12-31T23:59:59Z",
     "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "٢030-01-31T09:00:00Z"],
)  # fmt: skip
def test_what_is_no_instant_with_an_offset_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|year|moment"):
        instant(value)


def test_the_names_of_priorities_are_numbers() -> None:
    assert [priority_number(name) for name in ("high", "medium", "low", 0, 9)] == [0, 5, 9, 0, 9]


@pytest.mark.parametrize("value", [True, False, -1, 10, 5.0, "High", "5", "", None, [1]])
def test_other_priorities_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="whole number from 0"):
        priority_number(value)


def test_a_body_is_a_draft_for_the_service() -> None:
    draft: TaskDraft = checked(
        {"model": "m", "input": "Hi", "retry": {"max_retries": 2}, "metadata": {"n": 1, "x": 1.5}}, TaskBody
    )

    assert draft.policy is not None
    assert draft.policy.max_retries == 2
    assert draft.metadata == {"n": "1", "x": "1.5"}


def test_metadata_values_are_text_or_numbers() -> None:
    with pytest.raises(ValidationError):
        TaskBody.model_validate({"model": "m", "input": "Hi", "metadata": {"n": True}})


def test_a_task_is_shown_with_exactly_the_fields_of_the_document() -> None:
    now = Millis(1_000)
    task = Task(
        TaskId(1), TenantId(1), ModelId(1), "chat", Status.QUEUED, 5, "{}", 0, 0, 0, 0, 3, 10, 0,
        is_cancel_requested=False, created_at=now, updated_at=now, queued_at=now, eligible_at=now,
    )  # fmt: skip

    assert task_json(task, str).keys() == TaskShown.model_fields.keys()


@pytest.mark.parametrize(
    "text",
    [b"", b"  ", b"{", b'{"a": NaN}', b'{"a": 1e999}', b'"\\ud800"', b'"\xff"', b'"\\u0000"', b'{"\\u0000": 1}',
     b"[" * 300 + b"]" * 300, b"[" * 5_000, b'"' + b"\x01" + b'"', b"{'a': 1}", b"[1,]"],
)  # fmt: skip
def test_json_with_surprises_is_refused(text: bytes) -> None:
    with pytest.raises(BadJsonError):
        loads(text)


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert loads(b'"\\\\u0000"') == "\\u0000"


def test_deep_but_bearable_json_passes() -> None:
    assert loads(b"[" * 100 + b"]" * 100)


def test_a_year_has_a_stamp_with_milliseconds() -> None:
    assert stamp(Millis(int(timedelta(days=365).total_seconds() * 1000) + 7)) == "1971-01-01T00:00:00.007Z"
