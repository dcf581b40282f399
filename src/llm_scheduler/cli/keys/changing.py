"""`llms keys set|revoke`."""

from __future__ import annotations

from typing import Any

import click

from llm_scheduler.cli.connection import Call
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.keys.options import PATH, key_fields, key_options
from llm_scheduler.cli.keys.reading import facts
from llm_scheduler.cli.screen import say, show_facts, show_json


@click.command("set", short_help="Change an API key's name, scopes, limits or end.")
@click.argument("key_id", metavar="ID", type=click.IntRange(min=0))
@click.option("--name", help="What it is for.")
@key_options
@server_options
@click.pass_context
def set_(ctx: click.Context, key_id: int, name: str | None, **options: Any) -> None:
    """Change what is given; the key's text stays. --models '*' and --network '*' lift those limits.

    Example: llms keys set 12 --scopes read --rpm 60 --expires never.
    """
    body = {**({"name": name} if name else {}), **key_fields(options)}
    if not body:
        raise click.UsageError("Give --name, --scopes, --models, --rpm, --network or --expires.")
    with here(ctx).connect() as connection:
        changed = connection.send(Call("PATCH", f"{PATH}/{key_id}", body=body, is_repeatable=True))
    if here(ctx).is_json:
        show_json(changed)
    else:
        show_facts(facts(changed))


@click.command(short_help="Revoke an API key for good.")
@click.argument("key_id", metavar="ID", type=click.IntRange(min=0))
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@server_options
@click.pass_context
def revoke(ctx: click.Context, key_id: int, yes: bool) -> None:
    """Revoke an API key; whatever uses it is refused within a second. Example: llms keys revoke 12 --yes."""
    if not yes:
        click.confirm(f"Revoke key {key_id}? Programs that use it are refused at once.", abort=True, err=True)
    with here(ctx).connect() as connection:
        connection.send(Call("DELETE", f"{PATH}/{key_id}", is_repeatable=True))
    if here(ctx).is_json:
        show_json({"revoked": key_id})
    else:
        say(f"Key {key_id} is revoked.")
