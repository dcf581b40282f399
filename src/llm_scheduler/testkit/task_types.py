"""Whether a task type takes what it should, refuses what it must, and says so in the right way."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.task import Usage
from llm_scheduler.plugins import Kind, problem_of
from llm_scheduler.ports.provider import Answer, ProviderError
from llm_scheduler.ports.task_type import WIRE_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.ports.task_type import TaskType

Input = str | dict[str, object]
_MOST_TOKENS: Final = 100_000_000
_ODD: Final[tuple[Input, ...]] = ("", " ", {}, {"": None}, {"text": 1}, {"messages": "no"}, {"input": [[[]]]})


def check_task_type(
    task_type: TaskType,
    good: Sequence[Input],
    bad: Sequence[Input] = (),
    answers: Sequence[str] = (),
    wire_types: frozenset[str] = WIRE_TYPES,
) -> None:
    """Find the first way in which a task type breaks its contract.

    Args:
        task_type: an instance.
        good: inputs that it must take; at least one.
        bad: inputs that it must refuse with InvalidInputError. Odd inputs of the kit's own it may take or refuse.
        answers: texts of a model, to each of which it must give an answer or a ProviderError.
        wire_types: types of call that it may turn into; other ones only providers of plugins take.

    Raises:
        AssertionError: what is wrong, with the input.
    """
    problem = problem_of(Kind.TASK_TYPE, task_type)
    assert problem is None, problem
    assert good, "Give at least one good input."
    for value in good:
        body = _checked(task_type, value)
        assert body is not None, f"It refused a good input: {value!r}."
        _check_body(task_type, body, wire_types)
        for text in ("", "an answer", *answers):
            _check_finish(task_type, body, text)
    for value in bad:
        assert _checked(task_type, value) is None, f"It took a bad input: {value!r}."
    for value in _ODD:
        body = _checked(task_type, value)
        if body is not None:
            _check_body(task_type, body, wire_types)


def _checked(task_type: TaskType, value: Input) -> dict[str, object] | None:
    """The body; None = refused in the right way."""
    given = copy.deepcopy(value)
    try:
        body: Any = task_type.check(given)
    except InvalidInputError as error:
        assert str(error), f"It refused {value!r} without a word of what to do."
        return None
    except Exception as error:
        raise AssertionError(
            f"check({value!r}) raised {type(error).__name__}: {error}. Refuse an input with InvalidInputError."
        ) from error
    assert type(body) is dict, f"check({value!r}) gave {type(body).__name__}, not an object."
    assert _as_recorded(body) == body, f"check({value!r}) gave what JSON cannot hold as it is: {body!r}."
    assert task_type.check(copy.deepcopy(value)) == body, f"check({value!r}) gave something else the second time."
    return body


def _check_body(task_type: TaskType, body: dict[str, object], wire_types: frozenset[str]) -> None:
    counts: Any = _same_twice(task_type, "estimate", body)
    assert (
        type(counts) is tuple
        and len(counts) == 2
        and all(type(count) is int and 0 <= count <= _MOST_TOKENS for count in counts)
    ), f"estimate gave {counts!r}, not two counts of tokens, for {body!r}."
    call: Any = _same_twice(task_type, "to_call", body)
    assert type(call) is tuple and len(call) == 2, f"to_call gave {call!r}, not (wire type, body)."
    wire_type, wired = call
    assert wire_type in wire_types, f"to_call gave the type {wire_type!r}, not one of {', '.join(sorted(wire_types))}."
    assert type(wired) is dict, f"to_call gave {type(wired).__name__}, not an object."
    assert _as_recorded(wired) == wired, f"to_call gave what JSON cannot hold: {wired!r}."


def _check_finish(task_type: TaskType, body: dict[str, object], text: str) -> None:
    answer = Answer(text, {"text": text}, Usage(7, 5), "stop", 12)
    try:
        finished: Any = task_type.finish(answer, copy.deepcopy(body))
    except ProviderError:
        return
    except Exception as error:
        raise AssertionError(
            f"finish raised {type(error).__name__}: {error}, for the answer {text!r}. "
            "If that is no answer, raise ProviderError."
        ) from error
    assert type(finished) is Answer, f"finish gave {type(finished).__name__}, not an Answer."
    assert type(finished.text) is str, f"finish gave a text that is {type(finished.text).__name__}."
    assert finished.usage == answer.usage, "finish changed the usage: that is what was paid for."
    assert _as_recorded(dict(finished.raw)) == finished.raw, "finish gave a 'raw' that JSON cannot hold."


def _same_twice(task_type: TaskType, method: str, body: Mapping[str, object]) -> object:
    given = copy.deepcopy(body)
    try:
        first, second = getattr(task_type, method)(given), getattr(task_type, method)(copy.deepcopy(body))
    except Exception as error:
        raise AssertionError(
            f"{method} raised {type(error).__name__}: {error}, for {body!r}, which check gave."
        ) from error
    assert given == body, f"{method} changed the body that it was given: {given!r}."
    assert first == second, f"{method} gave {first!r}, then {second!r}, for the same body."
    return first


def _as_recorded(value: object) -> object:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        return error
