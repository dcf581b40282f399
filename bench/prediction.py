"""How well output lengths are predicted, on request traces, and what it costs.

Every request is predicted from those before it, then learned (prequential): Kendall's tau-b between what was predicted
and what came out, the mean error as a share of the mean, the bias, and microseconds for both together. The traces have
no texts, so the input's length is the count of the trace. Azure's rows name no tenant: 20 are dealt by a Zipf(1.1)
draw, as bench/traces/README.md says; its template is the service (`type`).

    python -m bench.prediction
"""

from __future__ import annotations

import csv
import gzip
import time
from bisect import bisect
from itertools import accumulate, pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.ids import ModelId, TenantId
from llm_scheduler.ports.learned import Sums
from llm_scheduler.scheduling.prediction import Predictor, scopes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

TRACES: Final = Path(__file__).parent / "traces"
MODEL: Final = ModelId(1)
TENANTS: Final = 20
ZIPF: Final = 1.1
GOAL_US: Final = 20.0
GOALS: Final = {
    "azure2023_first30min": 0.58,
    "servegen_mlarge_1h": 0.70,
    "servegen_r1_1h": 0.35,
    "vtc_arena_10min": 0.20,
    "mooncake_conv_first30min": None,
}
"""Least tau. Of the last trace only the time of arrival and the input are telling, so nothing is asked."""


class Request(NamedTuple):
    """One row of a trace."""

    tenant: TenantId
    template: str
    input_tokens: int
    output_tokens: int


def requests(name: str) -> list[Request]:
    """A trace, by arrival."""
    with gzip.open(TRACES / f"{name}.csv.gz", "rt") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: float(row["t"]))
    rng = Random(1)
    shares = list(accumulate(1 / rank**ZIPF for rank in range(1, TENANTS + 1)))
    ids: dict[str, int] = {}
    found: list[Request] = []
    for row in rows:
        dealt = bisect(shares, rng.random() * shares[-1])
        tenant = ids.setdefault(row["tenant"], len(ids) + 1) if row["tenant"] else dealt + 1
        template = row["type"] or "chat"
        found.append(Request(TenantId(tenant), template, int(row["in_tokens"]), int(row["out_tokens"])))
    return found


def kendall_tau(one: Sequence[float], other: Sequence[float]) -> float:
    """Tau-b, in O(n log n).

    Source: Knight, "A Computer Method for Calculating Kendall's Tau with Ungrouped Data" (1966).
    """
    pairs = sorted(zip(one, other, strict=True))
    total = len(pairs) * (len(pairs) - 1) // 2
    tied_one, tied_other = _tied([a for a, _ in pairs]), _tied(sorted(other))
    swaps = _inversions([b for _, b in pairs])
    agreeing_less_opposed = total - tied_one - tied_other + _tied(pairs) - 2 * swaps
    return agreeing_less_opposed / ((total - tied_one) * (total - tied_other)) ** 0.5


def _tied(ordered: Sequence[object]) -> int:
    """Pairs of equal values in a sorted list."""
    tied = run = 0
    for before, after in pairwise(ordered):
        run = run + 1 if before == after else 0
        tied += run
    return tied


def _inversions(values: list[float]) -> int:
    """Pairs that stand in the wrong order, counted while merging; leaves the list sorted."""
    if len(values) < 2:
        return 0
    left, right = values[: len(values) // 2], values[len(values) // 2 :]
    found = _inversions(left) + _inversions(right)
    at = to = 0
    for place in range(len(values)):
        if to == len(right) or (at < len(left) and left[at] <= right[to]):
            values[place] = left[at]
            at += 1
        else:
            values[place] = right[to]
            to += 1
            found += len(left) - at
    return found


def prequential(trace: Sequence[Request]) -> tuple[list[float], float]:
    """(what was predicted of each request, seconds for predicting and learning all)."""
    predictor = Predictor()
    predicted: list[float] = []
    began_s = time.perf_counter()
    for request in trace:
        scopes = scopes_of(MODEL, request.tenant, request.template, request.input_tokens)
        predicted.append(predictor.predict(scopes).output_tokens)
        tokens, came_out = request.input_tokens, request.output_tokens
        predictor.learn(scopes, Sums(1, came_out, 20.0 * came_out, tokens, tokens))
    return predicted, time.perf_counter() - began_s


def main() -> None:
    """Print the table; fail if a goal is missed."""
    missed: list[str] = []
    print(f"{'trace':<26} {'requests':>8} {'tau':>6} {'goal':>6} {'MAE/mean':>9} {'bias':>6} {'µs':>6} {'goal':>5}")
    for name, goal in GOALS.items():
        trace = requests(name)
        predicted, seconds = min((prequential(trace) for _ in range(3)), key=lambda run: run[1])
        actual = [float(request.output_tokens) for request in trace]
        tau, mean = kendall_tau(predicted, actual), sum(actual) / len(actual)
        error = sum(abs(a - b) for a, b in zip(predicted, actual, strict=True)) / len(actual)
        bias, each_us = sum(predicted) / sum(actual), 1e6 * seconds / len(trace)
        shown = "-" if goal is None else f"≥ {goal:.2f}"
        figures = f"{tau:>6.3f} {shown:>6} {error / mean:>9.2f} {bias:>6.2f} {each_us:>6.1f} {f'≤ {GOAL_US:.0f}':>5}"
        print(f"{name:<26} {len(trace):>8} {figures}")
        if (goal is not None and tau < goal) or each_us > GOAL_US:
            missed.append(name)
    if missed:
        raise SystemExit(f"goals missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
