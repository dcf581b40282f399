"""`llms keys list|get`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.keys.options import PATH
from llm_scheduler.cli.listing import pages
from llm_scheduler.cli.screen import local_time, money, say, show_facts, show_json, show_table

if TYPE_CHECKING:
    from collections.abc import Mapping

_COLUMNS: Final = ("ID", "NAME", "USER", "PREFIX", "STATUS", "SCOPES", "ENDS", "LAST USED")
_MOST_SCOPES: Final = 3


@click.command("list", short_help="List API keys.")
@click.option("--all", "is_all", is_flag=True, help="Those of everybody in the tenant (owners).")
@click.option("--user", metavar="NAME", help="Those of this user (owners).")
@click.option("--revoked", is_flag=True, help="Revoked ones, too.")
@server_options
@click.pass_context
def list_(ctx: click.Context, is_all: bool, user: str | None, revoked: bool) -> None:
    """List API keys, newest first. Example: llms keys list --all."""
    asked = {"all": is_all or None, "user": user, "revoked": revoked or None}
    params = {name: str(value).lower() if value is True else value for name, value in asked.items() if value}
    with here(ctx).connect() as connection:
        items = list(pages(connection, PATH, params))
    if here(ctx).is_json:
        show_json({"items": items})
    elif items:
        show_table(_COLUMNS, (_row(item) for item in items), spare=("PREFIX", "SCOPES"))
    else:
        say("No API keys. Make one: llms keys create --help")


@click.command(short_help="Show one API key with its budgets.")
@click.argument("key_id", metavar="ID", type=click.IntRange(min=0))
@server_options
@click.pass_context
def get(ctx: click.Context, key_id: int) -> None:
    """Show an API key, without its text. Example: llms keys get 12."""
    with here(ctx).connect() as connection:
        key = connection.get(f"{PATH}/{key_id}")
    if here(ctx).is_json:
        show_json(key)
        return
    show_facts(facts(key))
    for budget in key["budgets"]:
        spent, limit = money(budget["spent_microusd"]), money(budget["limit_microusd"])
        show_facts([("budget", f"{budget['name']}: {spent} of {limit} spent ({budget['period']})")])


def facts(key: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What there is to know, line by line."""
    return [
        ("id", key["id"]),
        ("name", key["name"]),
        ("user", key["user"]),
        ("begins with", key["prefix"]),
        ("state", key["state"]),
        ("scopes", ", ".join(key["scopes"])),
        ("requests/min", key["rpm"]),
        ("models", ", ".join(key["allowed_models"]) if key["allowed_models"] else None),
        ("networks", ", ".join(key["networks"]) or None),
        ("made", local_time(key["created_at"])),
        ("ends", local_time(key["expires_at"]) or "never"),
        ("revoked", local_time(key["revoked_at"])),
        ("last used", local_time(key["last_used_at"]) or "never"),
    ]


def _row(item: Mapping[str, Any]) -> tuple[Any, ...]:
    scopes = item["scopes"]
    shown = ", ".join(scopes[:_MOST_SCOPES])
    return (
        item["id"],
        item["name"],
        item["user"],
        item["prefix"] + "…",
        item["state"],
        f"{shown}, +{len(scopes) - _MOST_SCOPES}" if len(scopes) > _MOST_SCOPES else shown,
        local_time(item["expires_at"]),
        local_time(item["last_used_at"]),
    )
