"""What tasks would cost, and when they would be done, before they are submitted."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from llm_scheduler.domain.bounds import bounded, most_cost, named_bound
from llm_scheduler.domain.budget import Period, period_start
from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.money import DEFAULT_TIER, cost_microusd
from llm_scheduler.domain.task import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_scheduler.domain.budget import Budget, Tariff
    from llm_scheduler.domain.ids import ModelId, TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.task import NewTask
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.services.budgets import Budgets
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.prices import Prices

_EXPECTED_OUTPUT: Final = 256
"""Tokens of an answer that nobody bounds; one that is bounded is expected to be no longer than that."""
_BREATHE_EVERY: Final = 400
"""Tasks after which others get their turn."""
_MARGIN: Final = 2.0
"""The later end of a range: as if calls took so many times as long."""
_SERVICE_S: Final = 2.0
_TOKENS_PER_S: Final = 50.0
"""A call takes these seconds, and one more for so many tokens of its answer: assumed until calls were seen."""


class ShortBudget(NamedTuple):
    """A budget that would hold some of the tasks: what is left there, and what they need as expected and at most."""

    name: str
    room_microusd: int
    expected_microusd: int
    most_microusd: int


@dataclass(slots=True)
class _Load:
    """Tasks of one model."""

    model: Model
    workers: int
    tasks: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    expected_microusd: int = 0
    most_microusd: int = 0
    is_priced: bool = True
    by_key: dict[int | None, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))


class Forecast(NamedTuple):
    """Sums over all tasks. Costs of models whose price is unknown are not in them."""

    tasks: int
    input_tokens: int
    output_tokens: int
    expected_microusd: int
    most_microusd: int
    unknown_prices: Sequence[str]
    short_budgets: Sequence[ShortBudget]
    finish_at: tuple[Millis, Millis] | None
    """Earliest and latest, if all of them were submitted now; None without tasks."""


class Forecasts:
    """Looks at the queue, the limits, the prices and the budgets; records nothing."""

    def __init__(
        self,
        catalogue: Catalogue,
        broker: Broker,
        budgets: Budgets,
        prices: Prices,
        clock: Clock,
        service_s: Callable[[ModelId], float] = lambda _model_id: 0.0,
    ) -> None:
        self._catalogue, self._broker, self._clock = catalogue, broker, clock
        self._budgets, self._prices, self._service_s = budgets, prices, service_s

    async def forecast(self, tasks: Sequence[NewTask], tenant_id: TenantId) -> Forecast:
        """What these checked tasks would come to."""
        now = self._clock.now()
        loads: dict[ModelId, _Load] = {}
        tariffs: dict[ModelId, Tariff] = {}
        for number, task in enumerate(tasks):
            if number % _BREATHE_EVERY == 0:
                await asyncio.sleep(0)
            model = self._catalogue.by_id(task.model_id)
            if model is None:
                continue
            load = loads.setdefault(task.model_id, _Load(model, self._catalogue.limit_of(model)))
            if task.model_id not in tariffs:
                tariff = await self._prices.tariff(model, tenant_id, now)
                tariffs[task.model_id] = tariff._replace(wires=self._catalogue.wires)
                load.is_priced = DEFAULT_TIER in await self._prices.known(model, tenant_id, now)
            _add(load, task, tariffs[task.model_id])
        budgets = await self._budgets.list(tenant_id)
        return Forecast(
            sum(load.tasks for load in loads.values()),
            sum(load.input_tokens for load in loads.values()),
            sum(load.output_tokens for load in loads.values()),
            sum(load.expected_microusd for load in loads.values()),
            sum(load.most_microusd for load in loads.values()),
            sorted(load.model.name for load in loads.values() if not load.is_priced),
            [short for budget in budgets if (short := _short(budget, loads, now)) is not None],
            await self._finish_at(loads, now) if loads else None,
        )

    async def _finish_at(self, loads: Mapping[ModelId, _Load], now: Millis) -> tuple[Millis, Millis]:
        """The last model's end: alone in its queue at best, behind everything that waits or runs there at worst."""
        depths = {depth.lane: depth.waiting + depth.running for depth in await self._broker.depths()}
        known = {model_id: self._service_s(model_id) for model_id in loads}
        first = max(_seconds(load, 0, known[model_id]) for model_id, load in loads.items())
        last = max(_seconds(load, depths.get(lane, 0), known[lane]) for lane, load in loads.items()) * _MARGIN
        return Millis(now + math.ceil(first * 1000)), Millis(now + math.ceil(last * 1000))


def _sent(task: NewTask, tariff: Tariff) -> tuple[str, Mapping[str, object], int]:
    """Wire type, request body and its bytes: of a plugin's type what the task turns into."""
    body = orjson.loads(task.input)
    to_call = tariff.wires.get(task.type)
    if to_call is None:
        return task.type, body, len(task.input.encode())
    wire_type, wired = to_call(body)
    return wire_type, wired, len(orjson.dumps(wired))


def _add(load: _Load, task: NewTask, tariff: Tariff) -> None:
    task_type, body, size = _sent(task, tariff)
    whole = {**tariff.extra, **body}
    answers = whole.get("n")
    count = answers if isinstance(answers, int) and answers > 1 else 1
    bound = named_bound(whole)
    output = task.est_output
    if not output and task_type != "embedding":
        output = min(bound or _EXPECTED_OUTPUT, _EXPECTED_OUTPUT) * count
    prompt = max(task.est_tokens - (task.est_output or (bound or _EXPECTED_OUTPUT) * count), 1)
    if task_type == "embedding":
        prompt = task.est_tokens
    load.tasks += 1
    load.input_tokens += prompt
    load.output_tokens += output
    price = tariff.tiers.get(DEFAULT_TIER)
    if price is None:
        return
    sent = bounded(body, tariff, task_type)
    most = most_cost(tariff, task_type, sent, size) or 0
    expected = min(cost_microusd(price, Usage(prompt, output)), most)
    load.expected_microusd += expected
    load.most_microusd += most
    sums = load.by_key[task.key_id]
    sums[0] += expected
    sums[1] += most


def _short(budget: Budget, loads: Mapping[ModelId, _Load], now: Millis) -> ShortBudget | None:
    """The budget, if it has less room than all of it may cost."""
    expected = most = 0
    for model_id, load in loads.items():
        for key_id, (part, whole) in load.by_key.items():
            if budget.covers(model_id, key_id):
                expected, most = expected + part, most + whole
    is_over = budget.period is not Period.TOTAL and period_start(budget.period, now) > budget.period_start
    room = budget.room_microusd + (budget.spent_microusd if is_over else 0)
    return ShortBudget(budget.name, room, expected, most) if most > room else None


def _seconds(load: _Load, ahead: int, service_s: float) -> float:
    """How long the model takes for these and for as many others ahead, alike on average; its tightest limit decides."""
    model, share = load.model, (load.tasks + ahead) / load.tasks
    calls, tokens = load.tasks * share, (load.input_tokens + load.output_tokens) * share
    each_s = service_s or _SERVICE_S + load.output_tokens / load.tasks / _TOKENS_PER_S
    times = [math.ceil(calls / load.workers) * each_s]
    times += [calls / limit * 60 for limit in (model.rpm,) if limit]
    times += [tokens / limit * 60 for limit in (model.tpm,) if limit]
    times += [load.input_tokens * share / limit * 60 for limit in (model.options.input_tpm,) if limit]
    times += [load.output_tokens * share / limit * 60 for limit in (model.options.output_tpm,) if limit]
    return max(times)
