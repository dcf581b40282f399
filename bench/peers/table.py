"""Medians over the rounds, as a Markdown table with notes, ratios and goals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bench import rig
from bench.peers import ours
from bench.peers.peer import TRAITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.peers.stage import Reading

Results = dict[str, list["Reading"]]
"""By contestant: what all its workloads gave, over all rounds."""


class Column(NamedTuple):
    """A column: heading, the figure that it shows, how it is written."""

    heading: str
    figure: str
    form: str


COLUMNS: Final = (
    Column("submit, one by one /s", "enqueue", "{:,.0f}"),
    Column("submit, bulk /s", "bulk", "{:,.0f}"),
    Column("drain no-op /s", "drain", "{:,.0f}"),
    Column("CPU ms", "drain_worker_ms", "{:.2f}"),
    Column("LLM shape /s", "llm", "{:,.0f}"),
    Column("CPU ms", "llm_worker_ms", "{:.2f}"),
    Column("Redis CPU ms", "llm_redis_ms", "{:.3f}"),
    Column("SQL CPU ms", "llm_sql_ms", "{:.3f}"),
    Column("idle p50 ms", "idle_p50", "{:.1f}"),
    Column("idle p99 ms", "idle_p99", "{:.1f}"),
    Column("Redis B a job", "redis_bytes", "{:,.0f}"),
)
SPREAD: Final = frozenset({"enqueue", "bulk", "drain", "llm"})
"""Columns that show the extremes over the rounds."""


def values(readings: Sequence[Reading], figure: str) -> list[float]:
    """A figure in each round that has it; the idle ones over all calls together."""
    if figure.startswith("idle_p"):
        calls = [one for reading in readings for one in reading.latencies_ms]
        return [rig.percentile(calls, int(figure.removeprefix("idle_p")) / 100)] if calls else []
    return [reading.figures[figure] for reading in readings if figure in reading.figures]


def middle(readings: Sequence[Reading], figure: str) -> float | None:
    """The median over the rounds."""
    found = values(readings, figure)
    return rig.median(found) if found else None


def markdown(results: Results) -> str:
    """The table, then what to know about each row."""
    lines = ["| | " + " | ".join(column.heading for column in COLUMNS) + " | each job once, no fault |"]
    lines.append("|---" * (len(COLUMNS) + 2) + "|")
    for name, readings in results.items():
        faults = sorted({fault for reading in readings for fault in reading.faults})
        cells = [name, *(_cell(readings, column) for column in COLUMNS), "; ".join(faults) or "yes"]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    lines += [f"- **{name}**: {note}" for name, note in _notes(results)]
    return "\n".join(lines)


def _cell(readings: Sequence[Reading], column: Column) -> str:
    found = values(readings, column.figure)
    if not found:
        return "–"
    text = column.form.format(rig.median(found))
    if column.figure in SPREAD and len(found) > 1:
        text += f" ({column.form.format(min(found))}–{column.form.format(max(found))})"
    return text


def _notes(results: Results) -> list[tuple[str, str]]:
    found = [(name, TRAITS[name].note) for name in results if name in TRAITS]
    if "ours" in results:
        found.insert(0, ("ours", ours.NOTE))
        row = middle(results["ours"], "row_bytes")
        if row is not None:
            found[0] = ("ours", f"{ours.NOTE} Beside Redis, a queued task takes {row:,.0f} B in the record.")
    return found


def judge(results: Results) -> None:
    """Print the ratios and whether the goals are reached, as far as the rows are there."""
    of = {name: _Middles(readings) for name, readings in results.items()}
    own, two = of.get("ours"), of.get("ours, 2 workers")
    if own is None:
        return
    fast = [(of[name]["llm"], name) for name in ("arq", "saq", "taskiq") if name in of and of[name]["llm"]]
    if fast:
        best, name = max(fast)
        _ratio(f"LLM shape, ours / best of arq, SAQ, taskiq ({name})", own["llm"], best, 1.5)
    if two is not None:
        _ratio("LLM shape, two workers / one", two["llm"], own["llm"], 1.5)
    if "saq" in of:
        _ratio("drain of no-op, ours / SAQ", own["drain"], of["saq"]["drain"], 1.5)
    _least("submit, bulk", own["bulk"], 10_000)
    _least("submit, single POSTs, 64 connections", own["enqueue"], 1_500)
    for figure, goal in (("idle_p50", 8), ("idle_p99", 30)):
        if own[figure]:
            rig.verdict(
                f"idle submit to provider, {figure[5:]}", f"{own[figure]:.2f} ms", f"<= {goal} ms", own[figure] <= goal
            )


class _Middles:
    """Medians of a row; 0 where it has none."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def __getitem__(self, figure: str) -> float:
        return middle(self._readings, figure) or 0.0


def _ratio(name: str, value: float, beside: float, goal: float) -> None:
    if value and beside:
        rig.verdict(name, f"{value / beside:.2f} x", f">= {goal} x", value / beside >= goal)


def _least(name: str, value: float, goal: float) -> None:
    if value:
        rig.verdict(name, f"{value:,.0f}/s", f">= {goal:,.0f}/s", value >= goal)


def raw(results: Mapping[str, Sequence[Reading]]) -> dict[str, list[dict[str, object]]]:
    """Every reading, for JSON."""
    return {name: [vars(reading) for reading in readings] for name, readings in results.items()}
