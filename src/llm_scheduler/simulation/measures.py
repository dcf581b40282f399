"""Figures of one run: waits, promises kept, fairness, use of the limits, cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.simulation.fairness import Fairness, Served, fairness
from llm_scheduler.simulation.load import CLASSES, SLO_WAIT_S, priority_class

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.simulation.load import Request
    from llm_scheduler.simulation.run import Run
    from llm_scheduler.simulation.setting import Setting

BULK: Final = "bulk"
"""A tenant of this name is the one who submits much at once: the others' waits are measured apart."""
_MINUTE_S: Final = 60.0


class Waits(NamedTuple):
    """Seconds from arrival to start; zeros without requests."""

    requests: int = 0
    mean_s: float = 0.0
    p50_s: float = 0.0
    p99_s: float = 0.0
    longest_s: float = 0.0
    in_time: float = 1.0
    """The share that started within what its class is promised (`load.SLO_WAIT_S`)."""


class Measures(NamedTuple):
    """What a run was like.

    `others`: all but the tenant `bulk`. `completion_mean_s`: from arrival to end. `makespan_s`: until the last end.
    `utilisation`: what started while anything waited, of what the limit that binds allows in that time; work that
    was begun just before a queue formed, or that a full bucket allows, lets it exceed 1. `binding` names that limit,
    None without limits. `backlog_s`: how long anything waited.
    """

    all: Waits
    by_class: Mapping[str, Waits]
    others: Waits
    fairness: Fairness
    completion_mean_s: float
    makespan_s: float
    backlog_s: float
    utilisation: Mapping[str, float]
    binding: str | None
    tokens: int
    cost_microusd: int


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which so large a share lies, between two values in proportion; `values` in order."""
    if not values:
        return 0.0
    place = (len(values) - 1) * share
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


def strains(setting: Setting, request: Request) -> dict[str, float]:
    """Seconds for which the request alone takes up each limit."""
    found: dict[str, float] = {}
    if setting.rpm is not None:
        found["requests"] = _MINUTE_S / setting.rpm
    if setting.tpm is not None:
        found["tokens"] = request.tokens * _MINUTE_S / setting.tpm
    if setting.workers is not None:
        found["workers"] = (request.service_s or 0.0) / setting.workers
    return found


def measured(run: Run) -> Measures:
    """The figures of a run."""
    requests = run.load.requests
    numbers = range(len(requests))
    waits = [run.wait_s(number) for number in numbers]
    strained = [strains(run.setting, one) for one in requests]
    # Without any limit tokens are as good a measure of service as any.
    costs = [max(strained[n].values(), default=0.0) or float(requests[n].tokens) for n in numbers]
    served = [Served(requests[n].tenant, requests[n].at_s, requests[n].at_s + waits[n], costs[n]) for n in numbers]
    spans = _busy(served)
    backlog_s = sum(last - first for first, last in spans)
    used = _used(run, strained, spans, backlog_s)
    return Measures(
        all=_waits(requests, waits, numbers),
        by_class={
            name: _waits(requests, waits, [n for n in numbers if priority_class(requests[n].priority) == name])
            for name in CLASSES
        },
        others=_waits(requests, waits, [n for n in numbers if requests[n].tenant != BULK]),
        fairness=fairness(served, run.load.weights),
        completion_mean_s=sum(waits[n] + (requests[n].service_s or 0.0) for n in numbers) / max(1, len(requests)),
        makespan_s=max((run.ended_s(n) for n in numbers), default=0.0),
        backlog_s=backlog_s,
        utilisation=used,
        binding=max(used, key=lambda name: used[name], default=None),
        tokens=sum(one.tokens for one in requests),
        cost_microusd=sum(one.cost_microusd for one in requests),
    )


def _waits(requests: Sequence[Request], waits: Sequence[float], numbers: Sequence[int]) -> Waits:
    ordered = sorted(waits[number] for number in numbers)
    if not ordered:
        return Waits()
    kept = sum(waits[number] <= SLO_WAIT_S[priority_class(requests[number].priority)] for number in numbers)
    return Waits(
        len(ordered),
        sum(ordered) / len(ordered),
        quantile(ordered, 0.5),
        quantile(ordered, 0.99),
        ordered[-1],
        kept / len(ordered),
    )


def _busy(served: Sequence[Served]) -> list[tuple[float, float]]:
    """The times in which at least one request waited, in order; touching ones are one."""
    spans: list[tuple[float, float]] = []
    for one in sorted((one.at_s, one.started_s) for one in served if one.started_s > one.at_s):
        if spans and one[0] <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], one[1]))
        else:
            spans.append(one)
    return spans


def _used(
    run: Run, strained: Sequence[Mapping[str, float]], spans: Sequence[tuple[float, float]], backlog_s: float
) -> dict[str, float]:
    """Of each limit: seconds of work that started after the beginning of a busy span and by its end, per second."""
    if not backlog_s:
        return dict.fromkeys(strained[0], 0.0) if strained else {}
    sums: dict[str, float] = {}
    at = 0
    for number in run.order:
        started_s = run.started_s[number]
        while at < len(spans) and spans[at][1] < started_s:
            at += 1
        if at < len(spans) and spans[at][0] < started_s:
            for name, seconds in strained[number].items():
                sums[name] = sums.get(name, 0.0) + seconds
    return {name: seconds / backlog_s for name, seconds in sums.items()}
