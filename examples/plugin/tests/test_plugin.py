"""The plugin keeps to the contracts, and does what it says."""

from __future__ import annotations

import pytest
from llm_scheduler.domain.ids import Millis, ModelId, TaskId, TenantId
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.ports.provider import Answer, ProviderError
from llm_scheduler.ports.strategy import PlacementContext
from llm_scheduler.testkit import check_strategy, check_task_type

from llms_night_owl.classify import Classify
from llms_night_owl.night_owl import NightOwl

HOUR_MS = 3_600_000
MIDNIGHT_MS = 20_000 * 24 * HOUR_MS
GOOD = {"text": "Two goals in extra time", "labels": ["politics", "sports", "sport"]}


def test_the_strategy_keeps_to_the_contract() -> None:
    check_strategy(NightOwl())


def test_the_task_type_keeps_to_the_contract() -> None:
    bad = ["some text", {}, {"text": "x"}, {"text": "x", "labels": ["a", "A"]}, {**GOOD, "label": "a"}]
    check_task_type(Classify(), good=[GOOD], bad=bad, answers=["sports"])


@pytest.mark.parametrize(
    ("hour", "priority", "goes_at"), [(12, 9, 20), (12, 5, 12), (23, 9, 23), (3, 9, 3), (6, 9, 20), (19.5, 7, 20)]
)
def test_low_priority_waits_for_the_night(hour: float, priority: int, goes_at: float) -> None:
    queued_at = Millis(MIDNIGHT_MS + round(hour * HOUR_MS))
    task = WaitingTask(TaskId(1), ModelId(1), TenantId(1), "chat", priority, 0, 100, queued_at, None)

    assert NightOwl().place(task, PlacementContext(1.0)).order == MIDNIGHT_MS + round(goes_at * HOUR_MS)


@pytest.mark.parametrize("said", ["sports", "It is SPORTS.", "**sports**"])
def test_the_label_is_found_in_what_the_model_says(said: str) -> None:
    assert Classify().finish(Answer(said, {}), GOOD).text == "sports"


@pytest.mark.parametrize("said", ["", "music", "politics or sports"])
def test_an_answer_without_one_label_is_none(said: str) -> None:
    with pytest.raises(ProviderError) as caught:
        Classify().finish(Answer(said, {}), GOOD)

    assert caught.value.is_retryable
