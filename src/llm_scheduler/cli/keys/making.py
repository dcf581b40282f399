"""`llms keys create|renew`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llm_scheduler.cli.connection import Call
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.keys.options import END, PATH, key_fields, key_options
from llm_scheduler.cli.screen import local_time, say, show_json
from llm_scheduler.cli.values import SPAN

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command(short_help="Make an API key; shows it once.")
@click.argument("name")
@click.option("--user", metavar="NAME", help="Of this service account (owners); default: your own.")
@key_options
@server_options
@click.pass_context
def create(ctx: click.Context, name: str, user: str | None, **options: Any) -> None:
    """Make an API key and print it, once; NAME says what it is for. Without --scopes it may do what you may.

    \b
    Example: llms keys create ci --scopes submit --expires 90d
             llms keys create batch --user bot --models gpt-4o-mini,qwen --rpm 600 --network 10.0.0.0/8
    """  # noqa: D301
    body = {"name": name, **({"user": user} if user else {}), **key_fields(options)}
    with here(ctx).connect() as connection:
        made = connection.send(Call("POST", PATH, body=body))
    _show(ctx, made)


@click.command(short_help="Make a key in another's place, with an overlap.")
@click.argument("key_id", metavar="ID", type=click.IntRange(min=0))
@click.option("--overlap", type=SPAN, help="How long the old one still works (1d).")
@click.option("--now", "is_now", is_flag=True, help="End the old one at once.")
@click.option("--expires", type=END, help="When the new one ends; default: it lasts as long as the old one did.")
@server_options
@click.pass_context
def renew(
    ctx: click.Context, key_id: int, overlap: int | None, is_now: bool, expires: Mapping[str, Any] | None
) -> None:
    """Make a key with the same name, scopes and limits, and print it, once.

    Example: llms keys renew 12 --overlap 7d.
    """
    if is_now and overlap is not None:
        raise click.UsageError("Give --overlap or --now, not both.")
    body: dict[str, Any] = dict(expires or {})
    if is_now or overlap is not None:
        body["overlap_s"] = overlap or 0
    with here(ctx).connect() as connection:
        made = connection.send(Call("POST", f"{PATH}/{key_id}/renew", body=body))
    _show(ctx, made)
    if not here(ctx).is_json:
        until = f"works until {local_time(made['replaces']['expires_at'])}"
        say(f"The old key {key_id} {'works no more' if is_now or overlap == 0 else until}.")


def _show(ctx: click.Context, made: Mapping[str, Any]) -> None:
    """The key alone on stdout, so that `KEY=$(llms keys create …)` has it; all else on stderr."""
    if here(ctx).is_json:
        show_json(made)
        return
    click.echo(made["key"])
    ends = local_time(made["expires_at"])
    say(f"Key {made['id']} of {made['user']}, {f'good until {ends}' if ends else 'good until it is revoked'}.")
    say("It is shown only now and kept nowhere: put it where only its program can read it. Try it as $KEY:")
    say(f'  curl -H "Authorization: Bearer $KEY" {here(ctx).server_url}/api/v1/models')
