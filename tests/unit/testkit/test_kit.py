"""The kit finds what the server would hold against a plugin, and lets good ones pass."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.placement import Placement, ShareRule
from llm_scheduler.domain.task import Usage, WaitingTask
from llm_scheduler.ports.provider import Answer, Fault, ProviderError
from llm_scheduler.ports.strategy import NO_OPTIONS, Option, PlacementContext
from llm_scheduler.providers.kinds import KINDS
from llm_scheduler.scheduling.strategies.registry import STRATEGIES
from llm_scheduler.testkit import check_provider_kind, check_strategy, check_task_type

COUNTER = itertools.count()


class Good:
    """The simplest strategy there is."""

    name = "good"
    share_rule = ShareRule.HEAD_ORDER
    options = NO_OPTIONS
    reads_backlog = False

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        return Placement(0, task.tenant_id, context.weight, 1, task.queued_at)


class ReadsTheClock(Good):
    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        return super().place(task, context)._replace(order=time.time_ns() // 1_000_000)


class ThrowsDice(Good):
    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        return super().place(task, context)._replace(order=random.getrandbits(40))


class Counts(Good):
    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        return super().place(task, context)._replace(order=next(COUNTER))


class Remembers(Good):
    """Gives every task what the first of its priority had."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        order, self.seen[task.priority] = self.seen.get(task.priority, 0), task.queued_at
        return super().place(task, context)._replace(order=order)


class Raises(Good):
    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        return super().place(task, context)._replace(order=60 // (task.priority - 3))


class Unbounded(Good):
    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        return super().place(task, context)._replace(order=task.queued_at * task.est_tokens)


class Fractions(Good):
    def place(self, task: WaitingTask, context: PlacementContext) -> Any:
        return super().place(task, context)._replace(order=task.queued_at / 1000)


class ChangesOptions(Good):
    options = MappingProxyType({"a": Option(1.0, 0.0, 2.0)})

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        context.options.setdefault("a", 1.0)  # type: ignore[attr-defined]
        return super().place(task, context)


class DividesByALimit(Good):
    """A lane may have the limit 0."""

    def place(self, task: WaitingTask, context: PlacementContext) -> Placement:
        cost = 1 if context.rpm is None else 60_000 // context.rpm
        return super().place(task, context)._replace(cost=max(1, cost))


@pytest.mark.parametrize("strategy", [Good(), *STRATEGIES.values()], ids=lambda one: one.name)
def test_a_good_strategy_passes(strategy: Any) -> None:
    check_strategy(strategy, most_s=0.001)


@pytest.mark.parametrize(
    ("strategy", "problem"),
    [
        (ReadsTheClock(), "Not pure"),
        (ThrowsDice(), "Not pure"),
        (Counts(), "Not pure"),
        (Remembers(), "Not pure"),
        (Raises(), "raised ZeroDivisionError"),
        (Unbounded(), "order is"),
        (Fractions(), "not a whole number"),
        (ChangesOptions(), "changed the options"),
        (DividesByALimit(), "raised ZeroDivisionError"),
        (object(), "no method 'place'"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_bad_strategy_is_found_out(strategy: Any, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        check_strategy(strategy)


def test_a_slow_strategy_is_found_out() -> None:
    """By a clock that passes 60 µs with each look."""
    ticks = itertools.count()

    with pytest.raises(AssertionError, match="Slow: a placement takes 60 µs"):
        check_strategy(Good(), clock_s=lambda: next(ticks) * 60e-6)
    check_strategy(Good(), clock_s=lambda: next(ticks) * 40e-6)


class Echo:
    """A task type that sends a text along."""

    name = "echo"

    def check(self, value: str | dict[str, object]) -> dict[str, object]:
        text = value if isinstance(value, str) else value.get("text")
        if not isinstance(text, str) or not text:
            raise InvalidInputError("Give a text.", "input")
        return {"text": text}

    def estimate(self, body: Any) -> tuple[int, int]:
        return len(body["text"]), 10

    def to_call(self, body: Any) -> tuple[str, dict[str, object]]:
        return "completion", {"prompt": body["text"]}

    def finish(self, answer: Answer, body: Any) -> Answer:
        if not answer.text:
            raise ProviderError("bad_answer", "It is empty.", is_retryable=True, fault=Fault.PROVIDER)
        return replace(answer, text=answer.text.upper())


def with_(**methods: Any) -> Any:
    return type(
        "Changed", (Echo,), {name: lambda self, *given, act=act: act(*given) for name, act in methods.items()}
    )()


def test_a_good_task_type_passes() -> None:
    check_task_type(Echo(), good=["some text", {"text": "some"}], bad=["", {}, {"text": 7}], answers=["yes"])


@pytest.mark.parametrize(
    ("task_type", "problem"),
    [
        (with_(check=lambda value: {"text": value["text"]}), "raised"),
        (with_(check=lambda value: {"text": "always"}), "took a bad input"),
        (with_(check=lambda value: [value]), "not an object"),
        (with_(check=lambda value: {"text": (1,)}), "JSON cannot hold"),
        (with_(check=lambda value: {"text": str(next(COUNTER))}), "something else the second time"),
        (with_(estimate=lambda body: (1.5, 1)), "not two counts"),
        (with_(estimate=lambda body: body["no"]), "estimate raised KeyError"),
        (with_(to_call=lambda body: ("speech", {})), "gave the type 'speech'"),
        (with_(to_call=lambda body: ("chat", [])), "not an object"),
        (with_(to_call=lambda body: ("chat", {"prompt": body.pop("text")})), "to_call changed the body"),
        (with_(finish=lambda answer, body: answer.text), "not an Answer"),
        (with_(finish=lambda answer, body: 1 / 0), "raise ProviderError"),
        (with_(finish=lambda answer, body: replace(answer, usage=Usage())), "changed the usage"),
        (object(), "no method 'check'"),
    ],
)
def test_a_bad_task_type_is_found_out(task_type: Any, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        check_task_type(task_type, good=["some text"], bad=[{}])


def test_a_task_type_must_take_what_its_author_calls_good() -> None:
    with pytest.raises(AssertionError, match="refused a good input"):
        check_task_type(Echo(), good=[{"txt": "misspelt"}])


def test_the_built_in_provider_kinds_pass() -> None:
    check_provider_kind(KINDS["scripted"], good={"delay_ms": 5}, bad=[{"delay_ms": -1}])
    check_provider_kind(KINDS["openai"], good={"model": "m", "api_key": "sk-1234567890abcdef"}, bad=[{"model": 7}])


def provider(**methods: Any) -> Any:
    kind = type(KINDS["scripted"])
    return type(
        "Changed", (kind,), {name: lambda self, *given, act=act: act(*given) for name, act in methods.items()}
    )()


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (provider(check=lambda config: dict(config)), "took a bad config"),
        (provider(check=lambda config: {**config, "n": next(COUNTER)}), "must go through it unchanged"),
        (provider(check=lambda config: config["missing"]), "check raised KeyError"),
        (provider(check=lambda config: config.popitem()), "not an object"),
        (provider(open=lambda model, config: object()), "must be async"),
        (object(), "no method 'check'"),
    ],
)
def test_a_bad_provider_kind_is_found_out(kind: Any, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        check_provider_kind(kind, good={"delay_ms": 5})
