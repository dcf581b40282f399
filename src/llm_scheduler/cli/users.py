"""`llms users …`."""

from __future__ import annotations

from typing import Any, Final

import click

from llm_scheduler.cli.connection import Call, segment
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.people_options import listed, told
from llm_scheduler.cli.screen import local_time, say, show_facts, show_json, show_table

_COLUMNS: Final = ("USERNAME", "NAME", "KIND", "STATE", "ADMIN", "TENANTS", "LAST SEEN")
_PATH: Final = "/api/v1/users"


@click.group()
def users() -> None:
    """People and programs that may come in. Example: llms users add ann --email ann@example.org."""


@users.command("list", short_help="List users.")
@click.option("--search", metavar="TEXT", help="In name, display name or address.")
@server_options
@click.pass_context
def list_(ctx: click.Context, search: str | None) -> None:
    """List users and what they are where. Example: llms users list --search ann."""
    with here(ctx).connect() as connection:
        items = listed(connection, _PATH, q=search)
    if here(ctx).is_json:
        show_json({"items": items})
    elif items:
        show_table(_COLUMNS, (_row(item) for item in items))
    else:
        say("No users. Add one: llms users add --help")


@users.command(short_help="Show a user.")
@click.argument("username")
@server_options
@click.pass_context
def get(ctx: click.Context, username: str) -> None:
    """Show a user. Example: llms users get ann."""
    with here(ctx).connect() as connection:
        found = connection.get(_path(username))
    if here(ctx).is_json:
        show_json(found)
    else:
        show_facts((found | {"memberships": _memberships(found) or None}).items())


@users.command(short_help="Add a user.")
@click.argument("username")
@click.option("--name", "display_name", metavar="TEXT", help="As it is shown.")
@click.option("--email", metavar="ADDRESS")
@click.option("--admin", is_flag=True, help="Runs the installation.")
@click.option("--password-prompt", is_flag=True, help="Ask for the password; else one is made and shown once.")
@click.option("--external", is_flag=True, help="Signs in elsewhere (OpenID Connect): no password.")
@server_options
@click.pass_context
def add(ctx: click.Context, username: str, admin: bool, password_prompt: bool, external: bool, **given: Any) -> None:
    """Add a user; the password is shown once. Example: llms users add ann --email ann@example.org."""
    body: dict[str, Any] = {"username": username, "is_admin": admin, "is_external": external}
    body |= {name: value for name, value in given.items() if value is not None}
    if password_prompt:
        body["password"] = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    with here(ctx).connect() as connection:
        made = connection.send(Call("POST", _PATH, body=body))
    _show_password(ctx, made, f"User {username} is there.")


@users.command("set", short_help="Change a user.")
@click.argument("username")
@click.option("--username", "new_username", metavar="NAME", help="Another name to sign in with.")
@click.option("--name", "display_name", metavar="TEXT", help="As it is shown.")
@click.option("--email", metavar="ADDRESS")
@click.option("--admin/--no-admin", default=None, help="Whether the user runs the installation.")
@server_options
@click.pass_context
def set_(ctx: click.Context, username: str, new_username: str | None, admin: bool | None, **given: Any) -> None:
    """Change a user. Example: llms users set ann --admin."""
    body = {name: value for name, value in given.items() if value is not None}
    if new_username is not None:
        body["username"] = new_username
    if admin is not None:
        body["is_admin"] = admin
    if not body:
        raise click.UsageError("Give at least one option.")
    _patch(ctx, username, body, f"User {new_username or username} is changed.")


@users.command("reset-password", short_help="Make another password; every sign-in of before ends.")
@click.argument("username")
@server_options
@click.pass_context
def reset_password(ctx: click.Context, username: str) -> None:
    """Make another password, shown once. Example: llms users reset-password ann."""
    with here(ctx).connect() as connection:
        made = connection.send(Call("POST", _path(username) + "/password"))
    _show_password(ctx, made, f"User {username} is signed out everywhere.")


@users.command(short_help="Let a user in no more; nothing is deleted.")
@click.argument("username")
@server_options
@click.pass_context
def disable(ctx: click.Context, username: str) -> None:
    """Sign a user out everywhere, and let nobody in by that name. Example: llms users disable ann."""
    _patch(ctx, username, {"state": "disabled"}, f"User {username} is disabled.")


@users.command(short_help="Let a disabled user in again.")
@click.argument("username")
@server_options
@click.pass_context
def enable(ctx: click.Context, username: str) -> None:
    """Let a disabled user in again. Example: llms users enable ann."""
    _patch(ctx, username, {"state": "active"}, f"User {username} may come in.")


@users.command(short_help="Delete a user with API keys and memberships.")
@click.argument("username")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@server_options
@click.pass_context
def remove(ctx: click.Context, username: str, yes: bool) -> None:
    """Delete a user; the tasks stay with their tenants. Example: llms users remove ann --yes."""
    if not yes:
        click.confirm(f"Delete user {username} with API keys and memberships?", abort=True, err=True)
    with here(ctx).connect() as connection:
        connection.send(Call("DELETE", _path(username)))
    told(ctx, {"removed": username}, f"User {username} is removed.")


def _path(username: str) -> str:
    return f"{_PATH}/{segment(username)}"


def _patch(ctx: click.Context, username: str, body: dict[str, Any], text: str) -> None:
    with here(ctx).connect() as connection:
        changed = connection.send(Call("PATCH", _path(username), body=body, is_repeatable=True))
    told(ctx, changed, text)


def _show_password(ctx: click.Context, user: dict[str, Any], text: str) -> None:
    if here(ctx).is_json:
        show_json(user)
        return
    say(text)
    if user["initial_password"] is not None:
        say("The password, shown only now, to be changed at the first sign-in:")
        click.echo(user["initial_password"])


def _memberships(user: dict[str, Any]) -> str:
    return ", ".join(f"{one['role']} in {one['tenant']}" for one in user["memberships"])


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    return (
        item["username"],
        item["display_name"],
        item["kind"],
        item["state"],
        "yes" if item["is_admin"] else None,
        _memberships(item) or None,
        local_time(item["last_seen_at"]),
    )
