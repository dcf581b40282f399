"""`llms models endpoints …`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.connection import Call, segment
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.models.adding import json_or_text, provider_key
from llm_scheduler.cli.screen import count, say, show_json, show_table, span
from llm_scheduler.cli.values import pairs

if TYPE_CHECKING:
    from collections.abc import Callable

_COLUMNS: Final = ("NAME", "STATUS", ">RUNNING", ">FAILED 30 S", ">WAIT", ">WEIGHT", ">RPM", ">TPM", "ADDRESS")
_LIMITS: Final = ("weight", "max_workers", "rpm", "tpm", "input_tpm", "output_tpm")


@click.group()
def endpoints() -> None:
    """Several ways to one model: keys, regions, hosts. Example: llms models endpoints list gpt-4o-mini."""


@endpoints.command("list")
@click.argument("model")
@server_options
@click.pass_context
def list_(ctx: click.Context, model: str) -> None:
    """List a model's endpoints and how they are. Example: llms models endpoints list gpt-4o-mini."""
    with here(ctx).connect() as connection:
        items = connection.get(_path(model))["items"]
    if here(ctx).is_json:
        show_json({"items": items})
    elif items:
        show_table(_COLUMNS, (_row(one) for one in items))
    else:
        say(f"{model} has no endpoints: its own config is the one way to it. Add one: llms models endpoints add --help")


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    limit = f"/{one['max_workers']}" if one.get("max_workers") else ""
    failed = None if one.get("calls") is None else f"{one['failures']}/{one['calls']}"
    return (
        one["name"],
        one["status"],
        None if one.get("running") is None else f"{one['running']}{limit}",
        failed,
        span(None if one.get("wait_ms") is None else one["wait_ms"] / 1000),
        f"{one['weight']:g}",
        count(one.get("rpm")),
        count(one.get("tpm")),
        one["config"].get("base_url"),
    )


def _configured(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `add` and `set` share."""
    number = click.IntRange(min=1)
    for option in (
        click.option("--base-url", metavar="URL", help="Of the provider there."),
        click.option("--key-env", metavar="VARIABLE", help="Environment variable with the provider's key."),
        click.option("--key-stdin", is_flag=True, help="Read the provider's key from stdin (hidden at a terminal)."),
        click.option("--weight", type=click.FloatRange(min=0, min_open=True), metavar="W", help="Share of the calls."),
        click.option("--max-workers", type=number, metavar="N", help="Calls at once."),
        click.option("--rpm", type=number, metavar="N", help="Requests a minute."),
        click.option("--tpm", type=number, metavar="N", help="Tokens a minute."),
        click.option("--input-tpm", type=number, metavar="N", help="Tokens of requests a minute."),
        click.option("--output-tpm", type=number, metavar="N", help="Tokens of answers a minute."),
        click.option("--config", "-c", multiple=True, callback=pairs, metavar="KEY=VALUE", help="JSON or text."),
        server_options,
        click.pass_context,
    )[::-1]:
        command = option(command)
    return command


@endpoints.command()
@click.argument("model")
@click.argument("name")
@_configured
def add(ctx: click.Context, model: str, name: str, **options: Any) -> None:
    """Add a way to MODEL under NAME; what is not given is taken from the model's config.

    \b
    Example: llms models endpoints add gpt-4o-mini eu --base-url https://eu.example.test/v1 --key-env EU_KEY --rpm 500
    """  # noqa: D301
    body = {"name": name, **_body(options)}
    _send(ctx, Call("POST", _path(model), body=body), f"{name} takes calls of {model}.")


@endpoints.command("set")
@click.argument("model")
@click.argument("name")
@_configured
def set_(ctx: click.Context, model: str, name: str, **options: Any) -> None:
    """Change what is given of an endpoint; -c KEY=null takes a field of its config away.

    Example: llms models endpoints set gpt-4o-mini eu --weight 2 --rpm 1000.
    """
    body = _body(options)
    if not body:
        raise click.UsageError("Say what to change, for example --rpm 1000.")
    _send(ctx, Call("PATCH", _path(model, name), body=body), f"{name} of {model} is changed.")


@endpoints.command()
@click.argument("model")
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@server_options
@click.pass_context
def remove(ctx: click.Context, model: str, name: str, yes: bool) -> None:
    """Take an endpoint out; what runs through it ends. Example: llms models endpoints remove gpt-4o-mini eu."""
    if not yes:
        click.confirm(f"Remove endpoint {name} of {model}?", abort=True, err=True)
    with here(ctx).connect() as connection:
        connection.send(Call("DELETE", _path(model, name)))
    if here(ctx).is_json:
        show_json({"removed": name})
    else:
        say(f"{name} of {model} is removed.")


@endpoints.command()
@click.argument("model")
@click.argument("name")
@server_options
@click.pass_context
def drain(ctx: click.Context, model: str, name: str) -> None:
    """Start nothing more through an endpoint; what runs ends. Example: llms models endpoints drain gpt-4o-mini eu."""
    told = f"{name} of {model} starts no further calls. Go on: llms models endpoints resume {model} {name}"
    _send(ctx, Call("POST", _path(model, name) + "/drain"), told)


@endpoints.command()
@click.argument("model")
@click.argument("name")
@server_options
@click.pass_context
def resume(ctx: click.Context, model: str, name: str) -> None:
    """Start calls through an endpoint again. Example: llms models endpoints resume gpt-4o-mini eu."""
    _send(ctx, Call("POST", _path(model, name) + "/resume"), f"{name} of {model} takes calls again.")


def _body(options: dict[str, Any]) -> dict[str, Any]:
    config = {key: json_or_text(text) for key, text in options["config"].items()}
    named = {"base_url": options["base_url"], "api_key": provider_key(options)}
    config |= {field: value for field, value in named.items() if value is not None}
    body: dict[str, Any] = {"config": config} if config else {}
    return body | {field: options[field] for field in _LIMITS if options[field] is not None}


def _path(model: str, name: str | None = None) -> str:
    path = f"/api/v1/models/{segment(model)}/endpoints"
    return path if name is None else f"{path}/{segment(name)}"


def _send(ctx: click.Context, call: Call, told: str) -> None:
    with here(ctx).connect() as connection:
        answer = connection.send(call)
    if here(ctx).is_json:
        show_json(answer)
    else:
        say(told)
