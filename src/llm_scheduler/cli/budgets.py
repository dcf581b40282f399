"""`llms budgets …`."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any, Final

import click

from llm_scheduler.cli.connection import Call, segment
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.screen import money, say, show_json, show_table

_COLUMNS: Final = ("NAME", "PERIOD", "MODEL", "KEY", ">LIMIT", ">SPENT", ">RESERVED", ">ROOM", ">TOLD")
_PATH: Final = "/api/v1/budgets"
_MICRO: Final = 1_000_000


class _DollarsType(click.ParamType):
    """`5`, `0.25` or `$5`: dollars; gives micro-USD, a part of one rounded up."""

    name = "dollars"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The amount, or a usage error."""
        try:
            amount = Decimal(str(value).strip().removeprefix("$"))
            micro = int((amount * _MICRO).to_integral_value(ROUND_CEILING)) if amount.is_finite() else -1
        except InvalidOperation:
            micro = -1
        if not 0 <= micro <= 10**15:
            self.fail(f"'{value}' is no amount of dollars, such as 5 or 0.25.", param, ctx)
        return micro


DOLLARS: Final = _DollarsType()
_PERIOD: Final = click.Choice(["day", "month", "total"])


@click.group()
def budgets() -> None:
    """Bound what may be spent; top budgets up. Example: llms budgets add team 20 --period month."""


@budgets.command("list", short_help="List budgets: limit, spent, reserved.")
@server_options
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List budgets. RESERVED is put aside for calls that run now; TOLD is the mark that was passed.

    Example: llms budgets list.
    """
    with here(ctx).connect() as connection:
        items = connection.get(_PATH)["items"]
    if here(ctx).is_json:
        show_json({"items": items})
    elif items:
        show_table(_COLUMNS, (_row(item) for item in items))
    else:
        say("No budgets: nothing bounds what is spent. Add one: llms budgets add --help")


@budgets.command(short_help="Add a budget.")
@click.argument("name")
@click.argument("dollars", type=DOLLARS)
@click.option("--period", type=_PERIOD, default="month", show_default=True, help="How long the money has to last.")
@click.option("--model", metavar="NAME", help="Count only calls of this model.")
@click.option("--key-id", type=click.IntRange(min=0), metavar="ID", help="Count only tasks of this API key.")
@server_options
@click.pass_context
def add(ctx: click.Context, name: str, dollars: int, period: str, model: str | None, key_id: int | None) -> None:
    """Add a budget of so many DOLLARS. Example: llms budgets add team 20 --period month."""
    body = {"name": name, "limit_microusd": dollars, "period": period, "model": model, "key_id": key_id}
    with here(ctx).connect() as connection:
        made = connection.send(Call("POST", _PATH, body=body))
    _show(ctx, made, f"Budget {name} is in force.")


@budgets.command("set", short_help="Change a budget.")
@click.argument("name")
@click.option("--limit", type=DOLLARS, metavar="DOLLARS", help="What may be spent in each period.")
@click.option("--period", type=_PERIOD, help="Another period begins anew, with nothing spent.")
@server_options
@click.pass_context
def set_(ctx: click.Context, name: str, limit: int | None, period: str | None) -> None:
    """Change limit or period; tasks that are held go on if there is room. Example: llms budgets set team --limit 50."""
    body = {field: value for field, value in (("limit_microusd", limit), ("period", period)) if value is not None}
    if not body:
        raise click.UsageError("Give --limit or --period.")
    with here(ctx).connect() as connection:
        changed = connection.send(Call("PATCH", f"{_PATH}/{segment(name)}", body=body, is_repeatable=True))
    _show(ctx, changed, f"Budget {name} is changed.")


@budgets.command("top-up", short_help="Raise a budget's limit by an amount.")
@click.argument("name")
@click.argument("dollars", type=DOLLARS)
@server_options
@click.pass_context
def top_up(ctx: click.Context, name: str, dollars: int) -> None:
    """Raise the limit by so many DOLLARS; tasks that are held go on at once. Example: llms budgets top-up team 5."""
    if not dollars:
        raise click.UsageError("Give an amount above 0.")
    with here(ctx).connect() as connection:
        topped = connection.send(Call("POST", f"{_PATH}/{segment(name)}/top-up", body={"microusd": dollars}))
    _show(ctx, topped, f"Budget {name} has {money(dollars)} more.")


@budgets.command(short_help="Remove a budget; tasks that it held go on.")
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@server_options
@click.pass_context
def remove(ctx: click.Context, name: str, yes: bool) -> None:
    """Remove a budget; tasks that it held go on. Example: llms budgets remove team --yes."""
    if not yes:
        click.confirm(f"Remove budget {name}? Nothing bounds those calls then.", abort=True, err=True)
    with here(ctx).connect() as connection:
        connection.send(Call("DELETE", f"{_PATH}/{segment(name)}"))
    if here(ctx).is_json:
        show_json({"removed": name})
    else:
        say(f"Budget {name} is removed.")


def _show(ctx: click.Context, budget: dict[str, Any], told: str) -> None:
    if here(ctx).is_json:
        show_json(budget)
    else:
        say(f"{told} {money(budget['spent_microusd'])} of {money(budget['limit_microusd'])} are spent.")


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    return (
        item["name"],
        item["period"],
        item["model"] or "every",
        "every" if item["key_id"] is None else item["key_id"],
        money(item["limit_microusd"]),
        money(item["spent_microusd"]),
        money(item["reserved_microusd"]),
        money(max(item["room_microusd"], 0)),
        f"{item['told_percent']} %" if item["told_percent"] else None,
    )
