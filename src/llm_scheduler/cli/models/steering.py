"""`llms models pause|resume|scale|remove`."""

from __future__ import annotations

from typing import Any

import click

from llm_scheduler.cli.connection import Call, segment
from llm_scheduler.cli.invocation import Invocation, here, server_options
from llm_scheduler.cli.models.workers import WORKERS
from llm_scheduler.cli.screen import say, show_json


@click.command(short_help="Start no further calls; tasks wait.")
@click.argument("name")
@click.option("--unhealthy", is_flag=True, help="Out of order: tasks that have fallback models move on.")
@server_options
@click.pass_context
def pause(ctx: click.Context, name: str, unhealthy: bool) -> None:
    """Start no further calls of a model; running ones end, tasks wait. Example: llms models pause gpt-4o-mini."""
    body = {"is_unhealthy": True} if unhealthy else None
    told = "is out of order" if unhealthy else "is paused"
    _steer(here(ctx), name, "pause", body, f"{told}. Go on: llms models resume {name}")


@click.command(short_help="Start calls again.")
@click.argument("name")
@server_options
@click.pass_context
def resume(ctx: click.Context, name: str) -> None:
    """Start calls of a paused model again. Example: llms models resume gpt-4o-mini."""
    _steer(here(ctx), name, "resume", None, "goes on.")


@click.command(short_help="Change how many calls run at once.")
@click.argument("name")
@click.argument("workers", type=WORKERS, metavar="N|auto")
@server_options
@click.pass_context
def scale(ctx: click.Context, name: str, workers: int | str) -> None:
    """Let so many calls of a model run at once; auto has it found. Example: llms models scale gpt-4o-mini 16."""
    told = "finds by itself how many calls run at once." if workers == "auto" else f"may run {workers} calls at once."
    _steer(here(ctx), name, "scale", {"max_workers": workers}, told)


def _steer(invocation: Invocation, name: str, verb: str, body: dict[str, Any] | None, told: str) -> None:
    with invocation.connect() as connection:
        model = connection.post(f"/api/v1/models/{segment(name)}/{verb}", body, is_repeatable=True)
    if invocation.is_json:
        show_json(model)
    else:
        say(f"{name} {told}")


@click.command(short_help="Remove a model and its finished tasks.")
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@server_options
@click.pass_context
def remove(ctx: click.Context, name: str, yes: bool) -> None:
    """Remove a model and its finished tasks. Example: llms models remove old-model --yes."""
    if not yes:
        click.confirm(f"Remove {name} with its finished tasks and their answers?", abort=True, err=True)
    with here(ctx).connect() as connection:
        connection.send(Call("DELETE", f"/api/v1/models/{segment(name)}"))
    if here(ctx).is_json:
        show_json({"removed": name})
    else:
        say(f"{name} is removed.")
