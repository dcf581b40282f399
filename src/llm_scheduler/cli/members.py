"""`llms members …` and `llms service-accounts …`."""

from __future__ import annotations

from typing import Any, Final

import click

from llm_scheduler.cli.connection import Call, segment
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.people_options import ROLES, listed, told
from llm_scheduler.cli.screen import local_time, say, show_json, show_table

_MEMBER_COLUMNS: Final = ("USERNAME", "NAME", "KIND", "ROLE", "STATE", "SINCE")
_SERVICE_COLUMNS: Final = ("NAME", "USERNAME", "ROLE", "STATE", "SINCE")
_MEMBERS: Final = "/api/v1/members"
_SERVICES: Final = "/api/v1/service-accounts"


@click.group()
def members() -> None:
    """Who belongs to a tenant, and as what. Example: llms members set ann developer."""


@members.command("list", short_help="List members and their roles.")
@server_options
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List who belongs to the tenant. Example: llms members list --tenant acme."""
    with here(ctx).connect() as connection:
        items = listed(connection, _MEMBERS)
    if here(ctx).is_json:
        show_json({"items": items})
    elif items:
        columns = ("username", "display_name", "kind", "role", "state")
        show_table(
            _MEMBER_COLUMNS, ((*(item[key] for key in columns), local_time(item["created_at"])) for item in items)
        )
    else:
        say("No members. Add one: llms members set USERNAME ROLE")


@members.command("set", short_help="Add a user, or give another role.")
@click.argument("username")
@click.argument("role", type=click.Choice(ROLES))
@server_options
@click.pass_context
def set_(ctx: click.Context, username: str, role: str) -> None:
    """Make a user a member with that role. Example: llms members set ann developer --tenant acme."""
    path = f"{_MEMBERS}/{segment(username)}"
    call = Call("PUT", path, body={"role": role}, is_repeatable=True)
    with here(ctx).connect() as connection:
        made = connection.send(call)
    told(ctx, made, f"{username} is {role}.")


@members.command(short_help="Take a user out of the tenant.")
@click.argument("username")
@server_options
@click.pass_context
def remove(ctx: click.Context, username: str) -> None:
    """Take a user out; the API keys there are revoked. Example: llms members remove ann --tenant acme."""
    _delete(ctx, f"{_MEMBERS}/{segment(username)}", username)


@click.group("service-accounts")
def service_accounts() -> None:
    """Accounts of programs in a tenant. Example: llms service-accounts add ci --role developer."""


@service_accounts.command("list", short_help="List service accounts.")
@server_options
@click.pass_context
def list_services(ctx: click.Context) -> None:
    """List the tenant's service accounts. Example: llms service-accounts list."""
    with here(ctx).connect() as connection:
        items = listed(connection, _SERVICES)
    if here(ctx).is_json:
        show_json({"items": items})
    elif items:
        rows = (
            (item["name"], item["username"], item["role"], item["state"], local_time(item["created_at"]))
            for item in items
        )
        show_table(_SERVICE_COLUMNS, rows)
    else:
        say("No service accounts. Add one: llms service-accounts add NAME")


@service_accounts.command("add", short_help="Add a service account.")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="developer", show_default=True)
@server_options
@click.pass_context
def add_service(ctx: click.Context, name: str, role: str) -> None:
    """Add an account for a program; make an API key for it next. Example: llms service-accounts add ci."""
    body: dict[str, Any] = {"name": name, "role": role}
    with here(ctx).connect() as connection:
        made = connection.send(Call("POST", _SERVICES, body=body))
    told(ctx, made, f"Service account {name} is there; its username is {made['username']}.")


@service_accounts.command("remove", short_help="Delete a service account with its API keys.")
@click.argument("name")
@server_options
@click.pass_context
def remove_service(ctx: click.Context, name: str) -> None:
    """Delete a service account with its API keys. Example: llms service-accounts remove ci."""
    _delete(ctx, f"{_SERVICES}/{segment(name)}", name)


def _delete(ctx: click.Context, path: str, name: str) -> None:
    with here(ctx).connect() as connection:
        connection.send(Call("DELETE", path))
    told(ctx, {"removed": name}, f"{name} is removed.")
