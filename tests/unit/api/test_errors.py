from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from llm_scheduler.api.errors import STATUS, Problem, problem_of, status_of
from llm_scheduler.domain import errors, sign_in_errors
from llm_scheduler.domain.errors import InvalidInputError, QueueFullError, SchedulerError

if TYPE_CHECKING:
    from collections.abc import Iterator


def _tree(root: type[SchedulerError]) -> Iterator[type[SchedulerError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _tree(kind)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in _tree(SchedulerError) if kind.__module__.startswith("llm_scheduler.domain.")],
    ids=lambda kind: kind.__name__,
)
def test_every_error_of_the_domain_has_a_row_of_its_own(kind: type[SchedulerError]) -> None:
    assert kind in STATUS


def test_an_error_from_elsewhere_takes_the_row_of_its_nearest_kin() -> None:
    class OddNameError(errors.NameTakenError):
        """Not in the table."""

    assert status_of(OddNameError("x")) == 409


def test_who_failed_often_to_sign_in_is_told_the_whole_wait() -> None:
    problem = problem_of(sign_in_errors.TooManyAttemptsError(256))

    assert (problem.status, problem.headers["Retry-After"]) == (429, "256")


@pytest.mark.parametrize(("asked", "given"), [(0, "1"), (7.4, "7"), (3600, "60"), (None, "5")])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_stays_between_1_and_60_seconds(status: int, asked: float | None, given: str) -> None:
    assert Problem(status, "x", "y", retry_after_s=asked).headers["Retry-After"] == given


def test_other_problems_do_not_ask_to_wait() -> None:
    assert Problem(404, "x", "y").headers == {}


def test_a_full_queue_says_when_to_come_back() -> None:
    problem = problem_of(QueueFullError("all models", 10, 7))

    assert (problem.status, problem.code, problem.headers["Retry-After"]) == (429, "queue_full", "7")


def test_an_invalid_input_says_where() -> None:
    document = orjson.loads(problem_of(InvalidInputError("Too small.", "config", "timeout_s"), "body").body("r1"))

    assert document["errors"] == [{"loc": ["body", "config", "timeout_s"], "msg": "Too small."}]
    assert document["request_id"] == "r1"


def test_an_error_without_a_reaction_tells_nothing_of_the_inside() -> None:
    problem = problem_of(SchedulerError("secret sk-123 in /home/x"))

    assert problem.status == 500
    assert "sk-123" not in problem.detail
