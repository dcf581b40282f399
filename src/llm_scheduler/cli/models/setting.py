"""`llms models set`."""

from __future__ import annotations

from typing import Any

import click

from llm_scheduler.cli.connection import Call, segment
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.models.adding import json_or_text
from llm_scheduler.cli.screen import say, show_json


@click.command("set", short_help="Change a model while it works.")
@click.argument("name")
@click.argument("fields", nargs=-1, required=True, metavar="FIELD=VALUE...")
@server_options
@click.pass_context
def set_(ctx: click.Context, name: str, fields: tuple[str, ...]) -> None:
    """Change fields of a model; tasks that wait are placed anew where it matters.

    \b
    A value is JSON or plain text; null takes a limit away. Fields of the config begin with `config.`.
    Example: llms models set gpt-4o-mini strategy=shortest rpm=600
             llms models set gpt-4o-mini 'max_wait_s={"high": 5}' config.timeout_s=60
    """  # noqa: D301
    body: dict[str, Any] = {}
    for field in fields:
        key, found, value = field.partition("=")
        if not found or not key:
            raise click.UsageError(f"'{field}' is not FIELD=VALUE; for example rpm=600.")
        if key.startswith("config."):
            body.setdefault("config", {})[key.removeprefix("config.")] = json_or_text(value)
        else:
            body[key] = json_or_text(value)
    with here(ctx).connect() as connection:
        model = connection.send(Call("PATCH", f"/api/v1/models/{segment(name)}", body=body))
    if here(ctx).is_json:
        show_json(model)
    else:
        say(f"{name} is changed: {', '.join(fields)}. See: llms models get {name}")
