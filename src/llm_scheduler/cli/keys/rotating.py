"""`llms keys ring` and `llms keys rotate`: the key that seals secrets at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.faults import CliError
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.screen import console, count, say, show_json, show_table

if TYPE_CHECKING:
    from llm_scheduler.cli.connection import Connection

_SECRETS: Final = "/api/v1/system/secrets"
_ROTATE: Final = f"{_SECRETS}/rotate"
_FIRST_POLL_S: Final = 0.1
_LAST_POLL_S: Final = 2.0
_STATES: Final = {"in_force": "in force", "old": "old, only opens", "missing": "not here"}


@click.command(short_help="Show which secret keys seal and open stored secrets.")
@server_options
@click.pass_context
def ring(ctx: click.Context) -> None:
    """Show the ids of secret keys and how many stored secrets each has sealed. Example: llms keys ring."""
    with here(ctx).connect() as connection:
        found = connection.get(_SECRETS)
    if here(ctx).is_json:
        show_json(found)
        return
    rows = [(one["key_id"], _STATES[one["state"]], one["secrets"]) for one in found["keys"]]
    show_table(("KEY", "STATE", ">SECRETS"), rows)


@click.command(short_help="Seal stored secrets anew with the key in force.")
@server_options
@click.pass_context
def rotate(ctx: click.Context) -> None:
    """Seal every stored secret anew with LLMS_SECRET_KEY, while everything works on.

    First restart every process with the new key as LLMS_SECRET_KEY and the former one in LLMS_SECRET_KEYS_OLD.
    It goes on in the server when this command is interrupted. Example: llms keys rotate.
    """
    with here(ctx).connect() as connection:
        rotation = _watched(connection, connection.post(_ROTATE, is_repeatable=True))
        after = connection.get(_SECRETS)
    if here(ctx).is_json:
        show_json({"rotation": rotation, **after})
    if rotation["status"] == "failed":
        raise CliError(f"The rotation failed: {rotation['error']}", "Begin it anew: llms keys rotate")
    if not here(ctx).is_json:
        _conclude(rotation, after["keys"])


def _conclude(rotation: dict[str, Any], keys: list[dict[str, Any]]) -> None:
    say(f"Every secret that can be opened is sealed with key {rotation['key_id']}.")
    if rotation["unreadable"]:
        say(
            f"{count(rotation['unreadable'])} secrets cannot be opened by any key of LLMS_SECRET_KEY and "
            "LLMS_SECRET_KEYS_OLD; the server's log names them. Add their key, or enter them again."
        )
    old = [one["key_id"] for one in keys if one["state"] == "old" and not one["secrets"]]
    if old:
        say(f"Nothing needs key {', '.join(old)} any more: take it out of LLMS_SECRET_KEYS_OLD at the next restart.")


def _watched(connection: Connection, rotation: dict[str, Any]) -> dict[str, Any]:
    """The rotation once it has ended, with a bar at a terminal."""
    from rich.progress import Progress

    delay_s = _FIRST_POLL_S
    with Progress(console=console(is_err=True), transient=False) as bar:
        row = bar.add_task("Sealing anew", total=max(1, rotation["total"]))
        while True:
            done = rotation["done"] if rotation["total"] else int(rotation["status"] == "completed")
            bar.update(row, completed=done)
            if rotation["status"] != "running":
                return rotation
            connection.pace.sleep_s(delay_s)
            delay_s = min(_LAST_POLL_S, delay_s * 1.5)
            rotation = connection.get(_ROTATE)["rotation"]
