"""Runs side by side as a PNG. Needs matplotlib, which is imported only here and only when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.simulation.drawing import waiting_over_time
from llm_scheduler.simulation.load import CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from llm_scheduler.simulation.measures import Measures
    from llm_scheduler.simulation.run import Run

_POINTS: Final = 200
_SIZE_INCHES: Final = (12.0, 9.0)
_DPI: Final = 110


def save(path: Path, runs: Sequence[Run], measures: Sequence[Measures]) -> None:
    """Write the picture: waits by class, how long a share of calls waited, the queue over time, fairness and use.

    Raises:
        InvalidInputError: matplotlib is not installed, or the file cannot be written; says what to do.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InvalidInputError(
            "Plots need matplotlib. Install it with: pip install 'llm-scheduler-server[plots]'", "plot"
        ) from error
    # No pyplot: it would look for a screen.
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    _draw_waits(axes[0][0], runs, measures)
    _draw_shares(axes[0][1], runs)
    _draw_queue(axes[1][0], runs, measures)
    _draw_fairness(axes[1][1], runs, measures)
    try:
        figure.savefig(path, format="png", dpi=_DPI)
    except OSError as error:
        raise InvalidInputError(f"The plot cannot be written to {path}: {error.strerror or error}", "plot") from error


def _draw_waits(axes: Any, runs: Sequence[Run], measures: Sequence[Measures]) -> None:
    width = 0.8 / len(runs)
    for place, (run, one) in enumerate(zip(runs, measures, strict=True)):
        waits = [one.by_class[name] for name in CLASSES]
        left = [group - 0.4 + width * (place + 0.5) for group in range(len(CLASSES))]
        bars = axes.bar(left, [wait.p99_s for wait in waits], width, alpha=0.45)
        color = bars.patches[0].get_facecolor()
        axes.bar(left, [wait.p50_s for wait in waits], width, color=color[:3], label=run.setting.name)
    axes.set_xticks(range(len(CLASSES)), CLASSES)
    axes.set_yscale("symlog", linthresh=1)
    axes.set(title="Wait by class: median (dark), p99 (light)", ylabel="seconds")
    axes.legend(fontsize="small")


def _draw_shares(axes: Any, runs: Sequence[Run]) -> None:
    for run in runs:
        waits = sorted(run.wait_s(number) for number in range(len(run.load.requests)))
        shares = [(rank + 1) / len(waits) for rank in range(len(waits))]
        axes.plot(waits, shares, drawstyle="steps-post", label=run.setting.name)
    axes.set_xscale("symlog", linthresh=1)
    axes.set(title="Share of calls that waited at most so long", xlabel="seconds", ylabel="share", ylim=(0, 1.02))


def _draw_queue(axes: Any, runs: Sequence[Run], measures: Sequence[Measures]) -> None:
    span_s = max((one.makespan_s for one in measures), default=0.0)
    minutes = [span_s / 60 * (point + 0.5) / _POINTS for point in range(_POINTS)]
    for run in runs:
        axes.plot(minutes, waiting_over_time(run, _POINTS, span_s), label=run.setting.name)
    axes.set(title="Requests waiting", xlabel="minutes", ylim=(0, None))


def _draw_fairness(axes: Any, runs: Sequence[Run], measures: Sequence[Measures]) -> None:
    rows = (
        ("in time", [one.all.in_time for one in measures]),
        ("Jain", [one.fairness.jain for one in measures]),
        ("worst tenant", [one.fairness.worst_share for one in measures]),
    )
    height = 0.8 / len(rows)
    for place, (name, values) in enumerate(rows):
        axes.barh([group - 0.4 + height * (place + 0.5) for group in range(len(runs))], values, height, label=name)
    axes.set_yticks(range(len(runs)), [run.setting.name for run in runs])
    axes.invert_yaxis()
    axes.set(title="Promises kept and fairness", xlim=(0, 1.02))
    axes.legend(fontsize="small")
