"""How evenly tenants were served while they competed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WINDOW_S: Final = 60.0
LEAST_WAITING: Final = 5
"""A window counts when at least so many requests wait at its end: else nobody competes."""
MOST_RATIO: Final = 3.0
"""Somebody who got more than this many times their share counts as if they had got so much."""


class Served(NamedTuple):
    """One request, as fairness sees it. `cost` in any unit, the same for all."""

    tenant: str
    at_s: float
    started_s: float
    cost: float


class Fairness(NamedTuple):
    """Means over the windows in which tenants competed; both 1 if there was none.

    `jain`: Jain's index of what each tenant got in proportion to its fair share. `worst_share`: what the tenant that
    got least in proportion got of it.
    """

    jain: float = 1.0
    worst_share: float = 1.0


def jain(values: Sequence[float]) -> float:
    """Jain's index: 1 = all alike, 1/n = one has everything.

    Source: Jain, Chiu, Hawe, "A Quantitative Measure of Fairness" (1984).
    """
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


def fair_shares(demands: Mapping[str, float], total: float, weights: Mapping[str, float]) -> dict[str, float]:
    """How `total` is divided max-min fairly: nobody gets more than they want, what is left goes to the others.

    Source: Bertsekas, Gallager, "Data Networks" (1992), 6.5.2; here with weights.
    """
    shares: dict[str, float] = {}
    left, weight_left = total, sum(weights.get(name, 1.0) for name in demands)
    for name, demand in sorted(demands.items(), key=lambda one: (one[1] / weights.get(one[0], 1.0), one[0])):
        weight = weights.get(name, 1.0)
        shares[name] = min(demand, left * weight / weight_left)
        left, weight_left = left - shares[name], weight_left - weight
    return shares


def fairness(served: Iterable[Served], weights: Mapping[str, float]) -> Fairness:
    """Over windows of a minute, from the beginning on.

    A tenant's demand in a window is what it had waiting when the window began and what it submitted in it; what it
    got is what started. The fair shares divide what all got together.
    """
    jains: list[float] = []
    worsts: list[float] = []
    for window in _windows(served).values():
        total = sum(window.got.values())
        if window.waiting < LEAST_WAITING or total <= 0:
            continue
        shares = fair_shares(window.demand, total, weights)
        ratios = [min(MOST_RATIO, window.got.get(name, 0.0) / share) for name, share in shares.items() if share > 0]
        jains.append(jain(ratios))
        worsts.append(min(ratios))
    if not jains:
        return Fairness()
    return Fairness(sum(jains) / len(jains), sum(worsts) / len(worsts))


class _Window:
    """What each tenant wanted and got in it, and how many requests waited at its end."""

    def __init__(self) -> None:
        self.demand: dict[str, float] = {}
        self.got: dict[str, float] = {}
        self.waiting = 0


def _windows(served: Iterable[Served]) -> dict[int, _Window]:
    """By number."""
    windows: dict[int, _Window] = {}
    for one in served:
        first, last = int(one.at_s // WINDOW_S), int(one.started_s // WINDOW_S)
        for number in range(first, last + 1):
            window = windows.setdefault(number, _Window())
            window.demand[one.tenant] = window.demand.get(one.tenant, 0.0) + one.cost
            if number < last:
                window.waiting += 1
            else:
                window.got[one.tenant] = window.got.get(one.tenant, 0.0) + one.cost
    return windows
