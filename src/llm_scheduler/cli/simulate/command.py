"""`llms simulate`."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.faults import CliError, explained
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.screen import count, say, show_json
from llm_scheduler.cli.values import SPAN, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llm_scheduler.cli.simulate.sources import Asked
    from llm_scheduler.simulation.load import Load
    from llm_scheduler.simulation.measures import Measures
    from llm_scheduler.simulation.run import Run
    from llm_scheduler.simulation.setting import Setting

MOST_SETTINGS: Final = 24
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_SOURCE: Final = ("trace", "generate", "model", "speed")


@click.command(short_help="Replay a load under several settings and compare.")
@click.option(
    "--trace", type=_FILE, metavar="FILE", help="CSV (also .gz): t,in_tokens,out_tokens[,model,tenant,cls,svc…]."
)
@click.option("--history", "history_s", type=SPAN, help="What the server ran in the last TIME, such as 24h.")
@click.option("--generate", metavar="WISH", help="Such as rate=5,minutes=30,tenants=20,bulk=500.")
@click.option("--strategy", default="", metavar="NAMES", help="One or several, with commas. Default: fair.")
@click.option("--workers", default="", metavar="NUMBERS", help="Calls at once; one or several, with commas.")
@click.option("--rpm", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Requests a minute.")
@click.option("--tpm", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Tokens a minute.")
@click.option(
    "--burst",
    "burst_s",
    type=click.FloatRange(0, 3600),
    metavar="SECONDS",
    help="The provider is a token bucket of so many seconds; else the limits are kept in every minute.",
)
@click.option(
    "--starve-after", "starve_after_s", type=click.FloatRange(min=0), metavar="SECONDS", help="Of `fair`; default 300."
)
@click.option(
    "--option",
    "options",
    multiple=True,
    callback=pairs,
    metavar="NAME=NUMBER",
    help="Of the strategies, such as beta=300.",
)
@click.option(
    "--estimate",
    type=click.Choice(["learned", "actual", "constant"]),
    default="learned",
    show_default=True,
    help="Output tokens that are expected of a call.",
)
@click.option("--model", metavar="NAME", help="Only the calls for this model.")
@click.option(
    "--speed",
    type=click.FloatRange(0.001, 1000),
    default=1.0,
    show_default=True,
    help="Arrivals so many times as fast.",
)
@click.option("--deal", "is_dealt", is_flag=True, help="Give the trace's requests 20 tenants and mixed priorities.")
@click.option("--price", metavar="IN:OUT", help="USD per million tokens, for the cost; history knows its own.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of what is drawn; the same gives the same.")
@click.option(
    "--plot", "plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Also draw a PNG."
)
@server_options
@click.pass_context
def simulate(ctx: click.Context, **given: Any) -> None:
    """Replay a load on a virtual clock, with the very strategies and the broker of the server, and compare settings.

    \b
    Example: llms simulate --generate rate=5,minutes=30 --tpm 200000 --strategy fair,priority,fifo
             llms simulate --trace calls.csv.gz --workers 8,16,32 --plot waits.png
             llms simulate --history 24h --strategy fair,tenant_first
    """  # noqa: D301
    from llm_scheduler.cli.simulate import sources

    asked = sources.Asked(
        given["trace"], given["history_s"], given["generate"], given["model"], given["speed"], given["is_dealt"]
    )
    sources.one_of(asked)
    with explained():
        found = [
            (name, load, list(_settings(given, base)))
            for name, load, base in _loads(ctx, asked, Random(given["seed"]), given["price"])  # noqa: S311 - no secret
        ]
        groups = [(name, load, *_replayed(load, settings)) for name, load, settings in found]
        if given["plot"] is not None:
            _draw(given["plot"], groups)
    if here(ctx).is_json:
        from llm_scheduler.cli.simulate.showing import as_json

        show_json(
            {
                "loads": [
                    {
                        "model": name,
                        "requests": len(load.requests),
                        "span_s": round(load.span_s, 3),
                        "runs": [as_json(run.setting, one) for run, one in zip(runs, measures, strict=True)],
                    }
                    for name, load, runs, measures in groups
                ]
            }
        )
        return
    _show(groups)


def _loads(
    ctx: click.Context, asked: Asked, rng: Random, price: str | None
) -> Iterator[tuple[str | None, Load, Mapping[str, Any]]]:
    """Each load with its model's name, if there is one, and the settings that are known of it."""
    from llm_scheduler.cli.simulate import sources
    from llm_scheduler.simulation.load import models_in

    if asked.history_s is None:
        load = sources.shaped(sources.local(asked, rng), asked, rng)
        yield asked.model, _priced(load, price), {}
        return
    with here(ctx).connect() as connection:
        whole = sources.history(connection, asked.history_s)
        models = {model["name"]: model for model in connection.get("/api/v1/models")["items"]}
    names = [asked.model] if asked.model is not None else models_in(whole) or [None]
    for name in names:
        load = sources.shaped(whole, asked._replace(model=name), rng)
        yield name, _priced(load, price), in_force(models.get(name or "", {}), whole.strategy)


def in_force(model: Mapping[str, Any], default_strategy: str | None) -> dict[str, Any]:
    """What a model's row in the API says of its lane; the server's own strategy where it names none."""
    known = {
        "strategy": model.get("strategy") or default_strategy,
        "rpm": model.get("rpm"),
        "tpm": model.get("tpm"),
        "workers": model.get("max_workers"),
        "options": model.get("strategy_options"),
    }
    found = {name: value for name, value in known.items() if value is not None}
    if "starve_after_s" in model:
        found["starve_after_s"] = model["starve_after_s"]
    return found


def _settings(given: Mapping[str, Any], base: Mapping[str, Any]) -> Iterator[Setting]:
    """Every strategy with every number of workers."""
    from llm_scheduler.simulation.setting import Estimate, Setting

    fields = {name: given[name] for name in ("rpm", "tpm", "starve_after_s") if given[name] is not None}
    plain = Setting()._replace(**{**base, **fields}, burst_s=given["burst_s"], estimate=Estimate(given["estimate"]))
    options = _numbers(given["options"])
    strategies = [name.strip() for name in given["strategy"].split(",") if name.strip()] or [plain.strategy]
    workers = _counts(given["workers"]) or [plain.workers]
    if len(strategies) * len(workers) > MOST_SETTINGS:
        raise click.UsageError(f"At most {MOST_SETTINGS} settings at once; these are {len(strategies) * len(workers)}.")
    for strategy, count_ in product(strategies, workers):
        label = strategy if len(workers) == 1 else f"{strategy}, {count_} workers"
        own = {**plain.options, **_fitting(strategy, options)}
        yield plain._replace(strategy=strategy, workers=count_, label=label, options=own)


def _fitting(strategy: str, options: Mapping[str, float]) -> dict[str, float]:
    """Those that this strategy knows; one that none knows is an error.

    Raises:
        InvalidInputError: no such strategy, or a value out of range.
    """
    from llm_scheduler.scheduling.strategies.registry import STRATEGIES, checked_options, find

    known = {name for one in STRATEGIES.values() for name in one.options}
    unknown = sorted(set(options) - known)
    if unknown:
        raise click.UsageError(f"No strategy has an option '{unknown[0]}'. Known: {', '.join(sorted(known))}.")
    chosen = find(strategy)
    own = {name: value for name, value in options.items() if name in chosen.options}
    return dict(checked_options(chosen, own))


def _numbers(given: Mapping[str, str]) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in given.items()}
    except ValueError as error:
        raise click.UsageError(f"--option wants NAME=NUMBER: {error}.") from error


def _counts(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdigit() and 1 <= int(part) <= 100_000 for part in parts):
        raise click.UsageError(f"--workers wants whole numbers from 1, such as 8,16; not '{text}'.")
    return [int(part) for part in parts]


def _priced(load: Load, price: str | None) -> Load:
    if price is None:
        return load
    first, _, second = price.partition(":")
    try:
        usd_in, usd_out = float(first), float(second)
    except ValueError as error:
        raise click.UsageError(
            f"--price wants IN:OUT in USD per million tokens, such as 0.15:0.60; not '{price}'."
        ) from error
    # USD per million tokens are micro-USD per token.
    priced = (
        one._replace(cost_microusd=round(one.input_tokens * usd_in + one.output_tokens * usd_out))
        for one in load.requests
    )
    return load._replace(requests=tuple(priced))


def _replayed(load: Load, settings: list[Setting]) -> tuple[list[Run], list[Measures]]:
    from llm_scheduler.app.simulating import replayed
    from llm_scheduler.simulation.measures import measured

    runs = [replayed(load, setting) for setting in settings]
    return runs, [measured(run) for run in runs]


def _draw(path: Path, groups: list[tuple[str | None, Load, list[Run], list[Measures]]]) -> None:
    from llm_scheduler.simulation import picture

    if len(groups) > 1:
        names = ", ".join(str(name) for name, *_ in groups)
        raise CliError("A plot shows one model.", f"Choose one with --model: {names}.")
    _, _, runs, measures = groups[0]
    picture.save(path, runs, measures)
    say(f"The waits are drawn in {path}.")


def _show(groups: list[tuple[str | None, Load, list[Run], list[Measures]]]) -> None:
    from llm_scheduler.cli.simulate.showing import show

    for name, load, runs, measures in groups:
        what = f"{name}: " if name else ""
        show(runs, measures, f"{what}{count(len(load.requests))} requests in {load.span_s / 60:.1f} min")
        if name != groups[-1][0]:
            click.echo()
    say(
        "IN TIME: started within 10 s (high), 60 s (medium), 600 s (low). COMPLETION: from arrival to end, on average. "
        "USED: of the limit that binds, while anything waited."
    )
