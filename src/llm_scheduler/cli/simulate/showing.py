"""Runs side by side, for a person and for a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.screen import count, money, show_table, span
from llm_scheduler.simulation.drawing import bar, sparkline, waiting_over_time
from llm_scheduler.simulation.load import CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.simulation.measures import Measures, Waits
    from llm_scheduler.simulation.run import Run
    from llm_scheduler.simulation.setting import Setting

WAIT_COLUMNS: Final = (
    "SETTING",
    ">MEAN",
    ">HIGH p50 / p99",
    ">MEDIUM p50 / p99",
    ">LOW p50 / p99",
    ">LONGEST",
    ">IN TIME",
)
USE_COLUMNS: Final = ("SETTING", ">JAIN", ">WORST TENANT", ">COMPLETION", ">ALL DONE", ">USED", ">COST")
_WIDTH: Final = 48


def show(runs: Sequence[Run], measures: Sequence[Measures], title: str) -> None:
    """A table, bars of the waits, and the queues over time."""
    pairs = list(zip(runs, measures, strict=True))
    show_table(WAIT_COLUMNS, (_wait_row(run, one) for run, one in pairs), f"{title}; waits in seconds")
    click.echo()
    show_table(USE_COLUMNS, (_use_row(run, one) for run, one in pairs), "Fairness and use")
    name_width = max(len(run.setting.name) for run in runs)
    most_s = max(wait.p99_s for one in measures for wait in one.by_class.values())
    click.echo("\np99 wait by class")
    for name in CLASSES:
        for run, one in pairs:
            wait = one.by_class[name]
            if wait.requests:
                shown = bar(wait.p99_s, most_s, _WIDTH)
                click.echo(f"  {name:<7}{run.setting.name:<{name_width}}  {shown:<{_WIDTH}}  {span(wait.p99_s)}")
    queues = [waiting_over_time(run, _WIDTH, max(one.makespan_s for one in measures)) for run in runs]
    longest = max(max(queue) for queue in queues)
    click.echo(f"\nWaiting over time, 0 to {count(longest)}")
    for run, queue in zip(runs, queues, strict=True):
        click.echo(f"  {run.setting.name:<{name_width + 7}}  {sparkline(queue, longest)}")


def _wait_row(run: Run, one: Measures) -> tuple[Any, ...]:
    return (
        run.setting.name,
        _seconds(one.all.mean_s),
        *(_pair(one.by_class[name]) for name in CLASSES),
        _seconds(one.all.longest_s),
        f"{one.all.in_time:.1%}",
    )


def _use_row(run: Run, one: Measures) -> tuple[Any, ...]:
    return (
        run.setting.name,
        f"{one.fairness.jain:.3f}",
        f"{one.fairness.worst_share:.0%}",
        f"{_seconds(one.completion_mean_s)} s",
        span(one.makespan_s),
        None if one.binding is None else f"{one.utilisation[one.binding]:.1%} of {one.binding}",
        money(one.cost_microusd) if one.cost_microusd else None,
    )


def _pair(waits: Waits) -> str | None:
    return f"{_seconds(waits.p50_s)} / {_seconds(waits.p99_s)}" if waits.requests else None


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def as_json(setting: Setting, one: Measures) -> dict[str, Any]:
    """A run's setting and figures; seconds, shares of 1, micro-USD."""
    return {
        "setting": {
            "name": setting.name,
            "strategy": setting.strategy,
            "rpm": setting.rpm,
            "tpm": setting.tpm,
            "workers": setting.workers,
            "burst_s": setting.burst_s,
            "starve_after_s": setting.starve_after_s,
            "options": dict(setting.options),
            "estimate": setting.estimate.value,
        },
        "wait": _json_waits(one.all),
        "wait_by_class": {name: _json_waits(wait) for name, wait in one.by_class.items()},
        "wait_of_others": _json_waits(one.others),
        "jain": round(one.fairness.jain, 6),
        "worst_share": round(one.fairness.worst_share, 6),
        "completion_mean_s": round(one.completion_mean_s, 6),
        "makespan_s": round(one.makespan_s, 6),
        "backlog_s": round(one.backlog_s, 6),
        "utilisation": {name: round(value, 6) for name, value in one.utilisation.items()},
        "binding": one.binding,
        "tokens": one.tokens,
        "cost_microusd": one.cost_microusd,
    }


def _json_waits(waits: Waits) -> dict[str, Any]:
    return {name: round(value, 6) for name, value in waits._asdict().items()}
