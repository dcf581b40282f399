"""Refusing what would wait longer than its class may: the estimate that is told is the one that decides."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.errors import BrokerUnavailableError, WaitTooLongError
from llm_scheduler.domain.ids import TaskId
from llm_scheduler.domain.task import WaitingTask
from llm_scheduler.scheduling.classes import classes_below_high

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.task import NewTask
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.scheduling.eta import Wait
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.explain import Explaining

KEPT_S: Final = 0.5
"""So long an estimate serves all submits of a class: a burst asks the index twice a second."""
_NAMES: Final = ("high", "medium", "low")


class _Known(NamedTuple):
    at_s: float
    wait: Wait


class Patience:
    """Only models that have a `max_wait_s` are looked at; the others cost nothing."""

    def __init__(self, explaining: Explaining, catalogue: Catalogue, clock: Clock) -> None:
        self._explaining, self._catalogue, self._clock = explaining, catalogue, clock
        self._known: dict[tuple[ModelId, int], _Known] = {}

    async def check(self, tasks: Sequence[NewTask]) -> None:
        """Pass, or refuse them all.

        An index that is away refuses nothing: what it cannot tell is no reason.

        Raises:
            WaitTooLongError: one of them is expected to wait longer than its class may.
        """
        asked = {(task.model_id, task.priority): task for task in tasks if task.run_at is None}
        for (model_id, priority), task in asked.items():
            model = self._catalogue.by_id(model_id)
            limit_s = None if model is None else _limit_s(model.options.max_wait_s, priority)
            if model is None or limit_s is None:
                continue
            try:
                wait = await self._wait(model, task)
            except BrokerUnavailableError:
                continue
            if wait.likely_s > limit_s:
                raise WaitTooLongError(model.name, class_name(priority), wait.likely_s, limit_s)

    async def _wait(self, model: Model, task: NewTask) -> Wait:
        now_s = self._clock.monotonic_s()
        known = self._known.get((model.id, task.priority))
        if known is None or now_s - known.at_s > KEPT_S:
            known = _Known(now_s, await self._explaining.expected(model, _as_waiting(task, self._clock)))
            self._known[model.id, task.priority] = known
        return known.wait


def class_name(priority: int) -> str:
    """The class that a priority is nearest to."""
    return _NAMES[math.floor(classes_below_high(priority) + 0.5)]


def _limit_s(limits: Mapping[str, float], priority: int) -> float | None:
    return limits.get(class_name(priority))


def _as_waiting(task: NewTask, clock: Clock) -> WaitingTask:
    return WaitingTask(
        TaskId(0),
        task.model_id,
        task.tenant_id,
        task.type,
        task.priority,
        0,
        task.est_tokens,
        clock.now(),
        task.deadline_at,
        task.est_output,
    )
