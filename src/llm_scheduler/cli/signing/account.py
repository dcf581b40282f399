"""`llms passwd` and `llms sessions …`."""

from __future__ import annotations

from typing import Final

import click

from llm_scheduler.cli.connection import Call
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.screen import excerpt, local_time, say, show_json, show_table
from llm_scheduler.cli.signing.signing import password_of

_ME: Final = "/api/v1/me"
_COLUMNS: Final = (">ID", "TENANT", "FROM", "WITH", "BEGUN", "USED", "ENDS")


@click.command(short_help="Change your password.")
@click.option("--password-stdin", is_flag=True, help="Read the current and the new one from two lines of stdin.")
@server_options
@click.pass_context
def passwd(ctx: click.Context, password_stdin: bool) -> None:
    """Change your password; your other sign-ins end. Example: llms passwd."""
    current = password_of("Current password", from_stdin=password_stdin)
    new = password_of("New password", from_stdin=password_stdin, is_new=True)
    body = {"current_password": current, "new_password": new}
    with here(ctx).connect(needs_login=True) as connection:
        done = connection.send(Call("POST", f"{_ME}/password", body=body, is_patient=False))
    if here(ctx).is_json:
        show_json(done)
    else:
        say(f"Your password is changed; {done['ended_sessions']} other sign-ins were ended.")


@click.group()
def sessions() -> None:
    """See where you are signed in; end what is not you. Example: llms sessions list."""


@sessions.command("list", short_help="List your sign-ins.")
@server_options
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List your sign-ins, the one that was used last first; * is this one. Example: llms sessions list."""
    with here(ctx).connect(needs_login=True) as connection:
        items = connection.get(f"{_ME}/sessions")["items"]
    if here(ctx).is_json:
        show_json({"items": items})
        return
    rows = (
        (
            f"{'* ' if item['is_current'] else ''}{item['id']}",
            item["tenant"],
            item["address"],
            excerpt(item["agent"], 40),
            local_time(item["created_at"]),
            local_time(item["used_at"]),
            local_time(item["expires_at"]),
        )
        for item in items
    )
    show_table(_COLUMNS, rows)


@sessions.command(short_help="End one of your sign-ins.")
@click.argument("session_id", type=click.IntRange(min=0), metavar="ID")
@server_options
@click.pass_context
def revoke(ctx: click.Context, session_id: int) -> None:
    """End a sign-in, wherever it is. Example: llms sessions revoke 17."""
    with here(ctx).connect(needs_login=True) as connection:
        connection.send(Call("DELETE", f"{_ME}/sessions/{session_id}"))
    if here(ctx).is_json:
        show_json({"ended": session_id})
    else:
        say(f"Sign-in {session_id} is over.")
