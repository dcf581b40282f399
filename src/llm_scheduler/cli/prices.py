"""`llms prices …`."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import click

from llm_scheduler.cli.connection import Call
from llm_scheduler.cli.faults import CliError
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.screen import say, show_json, show_table

_COLUMNS: Final = ("MODEL", "TIER", ">INPUT", ">OUTPUT", ">CACHED", ">CACHE WRITE", ">REQUEST", "SOURCE", "SINCE")
_PATH: Final = "/api/v1/prices"
_READ_S: Final = 120.0


class _RateType(click.ParamType):
    """Dollars for a million tokens; gives nano-USD for one, a part of one rounded up."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The rate, or a usage error."""
        try:
            amount = Decimal(str(value).strip().removeprefix("$"))
            nano = int((amount * 1_000).to_integral_value(ROUND_CEILING)) if amount.is_finite() else -1
        except InvalidOperation:
            nano = -1
        if not 0 <= nano <= 10**12:
            self.fail(f"'{value}' is no price in dollars for a million tokens, such as 0.15.", param, ctx)
        return nano


RATE: Final = _RateType()


@click.group()
def prices() -> None:
    """See, set and import what calls cost. Prices are dollars for a million tokens. Example: llms prices list."""


@prices.command("list", short_help="What each model costs now, and why.")
@server_options
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List what applies to each model, by tier. Example: llms prices list."""
    _list(ctx, None)


@prices.command(short_help="What one model costs now, and why.")
@click.argument("model")
@server_options
@click.pass_context
def show(ctx: click.Context, model: str) -> None:
    """Show what applies to a model. Example: llms prices show gpt-4o-mini."""
    _list(ctx, model)


@prices.command("set", short_help="Override a price.")
@click.argument("model")
@click.option("--input", "input_nanousd", type=RATE, required=True, metavar="USD", help="A million prompt tokens.")
@click.option("--output", "output_nanousd", type=RATE, default=0, metavar="USD", help="A million tokens of answers.")
@click.option("--cached", "cached_input_nanousd", type=RATE, metavar="USD", help="A million cached prompt tokens.")
@click.option("--cache-write", "cache_write_nanousd", type=RATE, metavar="USD", help="A million tokens into the cache.")
@click.option("--tier", default="default", show_default=True, help="Of the provider: flex, priority, …")
@click.option("--provider", default="*", metavar="TYPE", help="Only for models of this type; default: every type.")
@click.option("--from", "valid_from", metavar="INSTANT", help="From then on: 2030-01-31T00:00:00Z.")
@server_options
@click.pass_context
def set_(ctx: click.Context, model: str, **fields: Any) -> None:
    """Override what a model costs, in dollars for a million tokens.

    Example: llms prices set gpt-4o-mini --input 0.15 --output 0.60 --cached 0.075.
    """
    body = {"model": model} | {name: value for name, value in fields.items() if value is not None}
    with here(ctx).connect() as connection:
        saved = connection.send(Call("PUT", _PATH, body=body, is_repeatable=True))
    if here(ctx).is_json:
        show_json(saved)
    else:
        say(f"The price of {model} is set (override {saved['id']}).")


@prices.command("import", short_help="Take prices from CSV or LiteLLM's JSON file.")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@server_options
@click.pass_context
def import_(ctx: click.Context, path: Path) -> None:
    """Take prices from a file: CSV, or LiteLLM's model_prices_and_context_window.json. Bad lines are told by number.

    Example: llms prices import prices.csv.
    """
    is_json = path.suffix.lower() == ".json"
    call = Call(
        "POST",
        f"{_PATH}/import",
        content=path.read_bytes(),
        headers={"Content-Type": "application/json" if is_json else "text/csv"},
        read_s=_READ_S,
        is_repeatable=True,
    )
    with here(ctx).connect() as connection:
        done = connection.send(call)
    if here(ctx).is_json:
        show_json(done)
    for bad in done["rejected"]:
        say(f"{path}:{bad['line']}: {bad['detail']}")
    if not here(ctx).is_json:
        say(f"{done['imported']} prices are imported.")
    if done["rejected_total"]:
        raise SystemExit(CliError.exit_code)


@prices.command(short_help="Remove an override.")
@click.argument("override_id", type=click.IntRange(min=0))
@server_options
@click.pass_context
def remove(ctx: click.Context, override_id: int) -> None:
    """Remove an override; what stands beneath it applies again. Example: llms prices remove 12."""
    with here(ctx).connect() as connection:
        connection.send(Call("DELETE", f"{_PATH}/{override_id}"))
    if here(ctx).is_json:
        show_json({"removed": override_id})
    else:
        say(f"Override {override_id} is removed.")


def _list(ctx: click.Context, model: str | None) -> None:
    with here(ctx).connect() as connection:
        found = connection.get(_PATH, None if model is None else {"model": model}, read_s=_READ_S)
    if here(ctx).is_json:
        show_json(found)
    elif found["items"]:
        show_table(_COLUMNS, (_row(item) for item in found["items"]), "dollars for a million tokens, or one request")
    else:
        say("No models yet. Register one: llms models add --help")


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    is_known = item["source"] != "unknown"
    source = item["source"] if item["override_id"] is None else f"override {item['override_id']}"
    since = item["valid_from"]
    return (
        item["model"],
        item["tier"],
        *(_usd(item[name] if is_known else None) for name in _RATES),
        f"{item['request_nanousd'] / 1e9:g}" if item["request_nanousd"] else None,
        source,
        since[:10] if since and since > "1970-01-02" else None,
    )


_RATES: Final = ("input_nanousd", "output_nanousd", "cached_input_nanousd", "cache_write_nanousd")


def _usd(nanousd: int | None) -> str | None:
    return None if nanousd is None else f"{nanousd / 1000:g}"
