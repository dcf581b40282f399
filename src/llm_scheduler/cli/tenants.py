"""`llms tenants …`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.connection import Call, segment
from llm_scheduler.cli.faults import CliError
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.new_file import new_file
from llm_scheduler.cli.people_options import MOST, bound, listed, told
from llm_scheduler.cli.screen import show_facts, show_json, show_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llm_scheduler.cli.connection import Connection

_COLUMNS: Final = ("NAME", "STATE", ">WEIGHT", ">WORKERS", ">QUEUED", ">RPM", "MODELS")
_PATH: Final = "/api/v1/tenants"
_LOOK_EVERY_S: Final = 0.5


@click.group()
def tenants() -> None:
    """Teams that share this installation, and what each may use. Example: llms tenants add acme --max-queued 1000."""


def _bounds(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        (
            click.option("--weight", type=float, metavar="W", help="Share under fair strategies: 2 gets twice 1."),
            click.option("--max-workers", type=MOST, metavar="N", help="Calls at once in each model, or 'none'."),
            click.option("--max-queued", type=MOST, metavar="N", help="Tasks that are not over, or 'none'."),
            click.option("--rpm", type=MOST, metavar="N", help="Requests to the API a minute, or 'none'."),
            click.option("--model-workers", multiple=True, metavar="MODEL=N", help="Calls at once of one model."),
            click.option("--allow-model", multiple=True, metavar="MODEL", help="Only such models may be called."),
            click.option("--allow-all-models", is_flag=True, help="Every model may be called."),
            click.option(
                "--store-payloads",
                type=click.Choice(["full", "none", "default"]),
                help="What is kept of requests and answers.",
            ),
        )
    ):
        command = option(command)
    return command


@tenants.command("list", short_help="List tenants and their quotas.")
@server_options
@click.pass_context
def list_(ctx: click.Context) -> None:
    """List tenants. Example: llms tenants list."""
    with here(ctx).connect() as connection:
        items = listed(connection, _PATH)
    if here(ctx).is_json:
        show_json({"items": items})
    else:
        show_table(_COLUMNS, (_row(item) for item in items))


@tenants.command(short_help="Show a tenant.")
@click.argument("name", required=False)
@server_options
@click.pass_context
def get(ctx: click.Context, name: str | None) -> None:
    """Show a tenant; without a NAME your own, with what it uses now. Example: llms tenants get acme."""
    path = "/api/v1/tenant" if name is None else f"{_PATH}/{segment(name)}"
    with here(ctx).connect() as connection:
        found = connection.get(path)
    if here(ctx).is_json:
        show_json(found)
        return
    quotas = found.pop("quotas")
    use = found.pop("use", {})
    show_facts([*found.items(), *quotas.items(), *((f"uses {key}", value) for key, value in use.items())])


@tenants.command(short_help="Add a tenant.")
@click.argument("name")
@_bounds
@server_options
@click.pass_context
def add(ctx: click.Context, name: str, **given: Any) -> None:
    """Add a tenant. Example: llms tenants add acme --weight 2 --max-queued 1000 --model-workers gpt-4o=4."""
    with here(ctx).connect() as connection:
        made = connection.send(Call("POST", _PATH, body={"name": name, **_fields(given)}))
    told(
        ctx,
        made,
        f"Tenant {name} is there. Add a user, and make it the owner: llms members set --tenant {name} USER owner",
    )


@tenants.command("set", short_help="Change a tenant's name and quotas.")
@click.argument("name")
@click.option("--name", "new_name", metavar="NAME", help="Another name.")
@_bounds
@server_options
@click.pass_context
def set_(ctx: click.Context, name: str, new_name: str | None, **given: Any) -> None:
    """Change a tenant, from the next call and start on. Example: llms tenants set acme --max-queued none."""
    body: dict[str, Any] = _fields(given) | ({} if new_name is None else {"name": new_name})
    if not body:
        raise click.UsageError("Give at least one option.")
    with here(ctx).connect() as connection:
        path = f"{_PATH}/{segment(name)}"
        if given["model_workers"]:
            known = connection.get(path)["quotas"]["model_workers"]
            body["quotas"]["model_workers"] = known | body["quotas"]["model_workers"]
        changed = connection.send(Call("PATCH", path, body=body, is_repeatable=True))
    told(ctx, changed, f"Tenant {changed['name']} is changed.")


@tenants.command(short_help="Let nobody of it in, start nothing of it.")
@click.argument("name")
@server_options
@click.pass_context
def suspend(ctx: click.Context, name: str) -> None:
    """Suspend a tenant; what it has is kept. Example: llms tenants suspend acme."""
    _state(ctx, name, "suspend", f"Tenant {name} is suspended; llms tenants resume {name} lets it go on.")


@tenants.command(short_help="Let a suspended tenant go on.")
@click.argument("name")
@server_options
@click.pass_context
def resume(ctx: click.Context, name: str) -> None:
    """Let a suspended tenant go on where it was. Example: llms tenants resume acme."""
    _state(ctx, name, "resume", f"Tenant {name} goes on.")


@tenants.command(short_help="Write everything that a tenant has.")
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Else standard output.")
@server_options
@click.pass_context
def export(ctx: click.Context, name: str | None, output: Path | None) -> None:
    """Write everything that a tenant has as JSON lines; without a NAME your own.

    Example: llms tenants export acme -o acme.jsonl.
    """
    path = "/api/v1/tenant/export" if name is None else f"{_PATH}/{segment(name)}/export"
    with new_file(output) as file, here(ctx).connect() as connection, connection.lines(path, {}) as lines:
        rows = _copy(lines, file)
    if output is not None:
        told(ctx, {"rows": rows, "file": str(output)}, f"{rows} lines are in {output}.")


@tenants.command(short_help="Delete a suspended tenant with everything it has.")
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="Until everything is gone.")
@server_options
@click.pass_context
def remove(ctx: click.Context, name: str, yes: bool, wait: bool) -> None:
    """Delete a suspended tenant with tasks, models, budgets and keys. Example: llms tenants remove acme --wait."""
    if not yes:
        click.confirm(f"Delete tenant {name} with everything it has? It does not come back.", abort=True, err=True)
    with here(ctx).connect() as connection:
        begun = connection.send(Call("DELETE", f"{_PATH}/{segment(name)}", {"confirm": name}))
        if wait:
            begun = _ended(connection, begun)
    if begun["status"] == "failed":
        raise CliError(f"Tenant {name} is not removed: {begun['error']}")
    text = (
        f"is removed: {begun['removed']} rows"
        if begun["status"] == "completed"
        else f"is being removed ({begun['id']})"
    )
    told(ctx, begun, f"Tenant {name} {text}.")


def _ended(connection: Connection, removal: dict[str, Any]) -> dict[str, Any]:
    while removal["status"] == "running":
        time.sleep(_LOOK_EVERY_S)
        removal = connection.get(f"{_PATH}/removals/{removal['id']}")
    return removal


def _copy(lines: Iterable[str], file: Any) -> int:
    """Write the lines; how many, the closing one aside.

    Raises:
        CliError: it is missing, so the answer was cut off.
    """
    count, last = 0, ""
    for line in lines:
        file.write(line.encode() + b"\n")
        count, last = count + 1, line
    if count and json.loads(last).get("rows") == count - 1:
        return count - 1
    raise CliError("The export was cut off; repeat it.")


def _state(ctx: click.Context, name: str, verb: str, text: str) -> None:
    with here(ctx).connect() as connection:
        changed = connection.send(Call("POST", f"{_PATH}/{segment(name)}/{verb}", is_repeatable=True))
    told(ctx, changed, text)


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    """What was given, as the API takes it."""
    fields: dict[str, Any] = {}
    quotas: dict[str, Any] = {}
    if given["weight"] is not None:
        fields["weight"] = given["weight"]
    if given["max_workers"] is not None:
        fields["max_workers"] = bound(given["max_workers"])
    if given["store_payloads"] is not None:
        fields["store_payloads"] = None if given["store_payloads"] == "default" else given["store_payloads"]
    for name in ("max_queued", "rpm"):
        if given[name] is not None:
            quotas[name] = bound(given[name])
    if given["model_workers"]:
        quotas["model_workers"] = dict(_model_workers(text) for text in given["model_workers"])
    if given["allow_model"] and given["allow_all_models"]:
        raise click.UsageError("Give either --allow-model or --allow-all-models.")
    if given["allow_model"]:
        quotas["allowed_models"] = list(given["allow_model"])
    elif given["allow_all_models"]:
        quotas["allowed_models"] = None
    return fields | ({"quotas": quotas} if quotas else {})


def _model_workers(text: str) -> tuple[str, int]:
    model, sign, number = text.rpartition("=")
    if not sign or not model or not number.isdigit():
        raise click.UsageError(f"'{text}' is not MODEL=N, such as gpt-4o=4.")
    return model, int(number)


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    quotas = item["quotas"]
    models = quotas["allowed_models"]
    return (
        item["name"],
        item["state"],
        item["weight"],
        item["max_workers"],
        quotas["max_queued"],
        quotas["rpm"],
        "every" if models is None else ", ".join(models) or "none",
    )
