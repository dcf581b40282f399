"""`llms advise`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llm_scheduler.cli.connection import Call, segment
from llm_scheduler.cli.faults import CliError, explained
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.screen import count, say, show_json, show_table
from llm_scheduler.cli.values import SPAN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llm_scheduler.cli.connection import Connection
    from llm_scheduler.simulation.advice import Advice, Trial
    from llm_scheduler.simulation.load import Load
    from llm_scheduler.simulation.setting import Setting

_DAY_S = 86_400


@click.command(short_help="Say which setting would have served the last day better.")
@click.option("--since", "since_s", type=SPAN, default=f"{_DAY_S}s", help="Look back so far; default 24h.")
@click.option("--model", metavar="NAME", help="Only this model; else each that was called.")
@click.option("--apply", "is_applied", is_flag=True, help="Set what is advised, after showing it.")
@click.option("--yes", "-y", "is_sure", is_flag=True, help="With --apply: do not ask.")
@server_options
@click.pass_context
def advise(ctx: click.Context, since_s: int, model: str | None, is_applied: bool, is_sure: bool) -> None:
    """Replay what the server ran under other strategies and numbers of workers, and say what would have been better.

    Nothing is changed without --apply.

    \b
    Example: llms advise
             llms advise --model gpt-4o-mini --since 6h --apply
    """  # noqa: D301
    from llm_scheduler.cli.simulate.sources import history
    from llm_scheduler.simulation.load import models_in

    with here(ctx).connect() as connection, explained():
        known = {one["name"]: one for one in connection.get("/api/v1/models")["items"]}
        load = history(connection, since_s)
        names = [name for name in models_in(load) if name in known and model in (None, name)]
        if not names:
            wanted = f"'{model}'" if model else "any model"
            raise CliError(f"No call to {wanted} ended in that time.", "A longer --since? See: llms models list")
        found = _advices(load, names, known)
        if here(ctx).is_json:
            show_json({"models": {name: _as_json(one) for name, one in found.items()}})
        else:
            for name, one in found.items():
                _show(name, one)
        if is_applied:
            for name, one in found.items():
                _apply(connection, name, one, is_sure=is_sure)


def _advices(load: Load, names: Sequence[str], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Advice]:
    """By model; of several, one that cannot be replayed here (its strategy is not installed) is told and left out."""
    from llm_scheduler.domain.errors import InvalidInputError
    from llm_scheduler.simulation.load import of_model

    found: dict[str, Advice] = {}
    for name in names:
        try:
            found[name] = _advice(of_model(load, name), known[name])
        except InvalidInputError as error:
            if len(names) == 1:
                raise
            say(f"{name} is left out: {error}")
    return found


def _advice(load: Load, model: Mapping[str, Any]) -> Advice:
    from llm_scheduler.app.simulating import replayed
    from llm_scheduler.cli.simulate.command import in_force
    from llm_scheduler.simulation.advice import Trial, advise
    from llm_scheduler.simulation.measures import measured
    from llm_scheduler.simulation.setting import Setting

    def try_out(load: Load, setting: Setting) -> Trial:
        run = replayed(load, setting)
        return Trial(setting, run, measured(run))

    now = Setting()._replace(**in_force(model, load.strategy))
    return advise(load, now._replace(label="as it is"), try_out)


def _show(name: str, advice: Advice) -> None:
    now, best = advice.now, advice.best
    click.echo(f"{name}: {count(len(now.run.load.requests))} calls in {now.run.load.span_s / 3600:.1f} h")
    if advice.others:
        columns = ("SETTING", ">IN TIME", ">MEAN WAIT", ">p99 HIGH", ">p99 MEDIUM", ">p99 LOW", ">WORST TENANT", "")
        show_table(columns, (_row(trial, trial is best) for trial in (now, *advice.others)))
    click.echo(advice.reason)
    for gain in advice.gains:
        click.echo(f"  + {gain}")
    for cost in advice.costs:
        click.echo(f"  - {cost}")
    for remark in advice.remarks:
        click.echo(f"  ! {remark}")
    click.echo()


def _row(trial: Trial, is_best: bool) -> tuple[Any, ...]:
    one = trial.measures
    return (
        trial.setting.name,
        f"{one.all.in_time:.1%}",
        f"{one.all.mean_s:.1f} s",
        *(f"{wait.p99_s:.1f} s" if wait.requests else None for wait in one.by_class.values()),
        f"{one.fairness.worst_share:.0%}",
        "← advised" if is_best else "",
    )


def _changes(advice: Advice) -> dict[str, Any]:
    """What the API is to be told; empty when all is well."""
    if advice.best is None:
        return {}
    now, best = advice.now.setting, advice.best.setting
    changes: dict[str, Any] = {}
    if best.strategy != now.strategy:
        changes["strategy"] = best.strategy
    if best.workers != now.workers:
        changes["max_workers"] = best.workers
    return changes


def _apply(connection: Connection, name: str, advice: Advice, *, is_sure: bool) -> None:
    changes = _changes(advice)
    if not changes:
        say(f"{name} stays as it is.")
        return
    told = ", ".join(f"{field} = {value}" for field, value in changes.items())
    if not is_sure:
        click.confirm(f"Set {told} for {name}?", abort=True, err=True)
    connection.send(Call("PATCH", f"/api/v1/models/{segment(name)}", body=changes, is_repeatable=True))
    say(f"{name}: {told}. Look at it: llms models get {name}")


def _as_json(advice: Advice) -> dict[str, Any]:
    from llm_scheduler.cli.simulate.showing import as_json

    return {
        "reason": advice.reason,
        "changes": _changes(advice),
        "gains": advice.gains,
        "costs": advice.costs,
        "remarks": advice.remarks,
        "now": as_json(advice.now.setting, advice.now.measures),
        "others": [as_json(trial.setting, trial.measures) for trial in advice.others],
    }
