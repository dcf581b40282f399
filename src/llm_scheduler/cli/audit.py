"""`llms audit …`: who did what; and whether the log still says what was written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from llm_scheduler.cli.connection import READ_S
from llm_scheduler.cli.faults import CliError, explained
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.listing import pages
from llm_scheduler.cli.new_file import new_file
from llm_scheduler.cli.screen import count, excerpt, local_time, say, show_facts, show_json, show_table

_PATH: Final = "/api/v1/audit"
_COLUMNS: Final = ("ID", "AT", "WHO", "FROM", "ACTION", "WHAT", "OUTCOME", "CHANGE")
_FOOT_BYTES: Final = 64
_PATIENT_S: Final = 10 * READ_S
"""A long log is gone along before the answer comes."""


@click.group()
def audit() -> None:
    """See, export and verify who did what. Example: llms audit list --action model."""


def _filtered(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--to", metavar="TIME", help="Before this moment."),
        click.option("--from", "from_", metavar="TIME", help="From this moment on: 2026-01-31T09:00:00Z."),
        click.option("--outcome", type=click.Choice(["done", "refused", "failed"])),
        click.option("--target", metavar="NAME", help="What it was done to."),
        click.option("--action", metavar="ACTION", help="model.change; or model for everything of models."),
        click.option("--actor", metavar="NAME", help="Who did it."),
        click.option("--of-tenant", "tenant_", metavar="NAME", help="Whose data it is about."),
    ):
        command = option(command)
    return command


def _params(where: Mapping[str, str | None]) -> dict[str, str]:
    return {name.rstrip("_"): value for name, value in where.items() if value is not None}


@audit.command("list")
@_filtered
@click.option("--limit", "-n", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@server_options
@click.pass_context
def list_(ctx: click.Context, limit: int, **where: str | None) -> None:
    """List who did what, newest first. Example: llms audit list --actor ada --outcome refused."""
    with here(ctx).connect() as connection:
        items = list(pages(connection, _PATH, _params(where), limit))
    if here(ctx).is_json:
        show_json({"items": items})
    elif items:
        show_table(_COLUMNS, (_row(item) for item in items), spare=("ID", "FROM", "CHANGE"))
    else:
        say("No entries.")


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    target = item["target"]
    return (
        item["id"],
        local_time(item["at"]),
        item["actor"]["name"] or item["actor"]["kind"],
        item["address"],
        item["action"],
        target["name"] or target["kind"],
        item["outcome"],
        excerpt(_change(item["before"], item["after"]), 70),
    )


def _change(before: dict[str, Any] | None, after: dict[str, Any] | None) -> str:
    if before and after:
        names = [name for name in after if name != "given"] or list(before)
        return ", ".join(f"{name}: {_word(before.get(name))} → {_word(after.get(name))}" for name in names)
    return ", ".join(f"{name}: {_word(value)}" for name, value in (after or before or {}).items())


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@audit.command()
@_filtered
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A new file, else stdout.")
@server_options
@click.pass_context
def export(ctx: click.Context, form: str, output: Path | None, **where: str | None) -> None:
    """Write all entries that match. Example: llms audit export --format csv -o audit.csv."""
    params = _params(where) | {"format": form}
    foot = b""
    with (
        new_file(output) as file,
        here(ctx).connect() as connection,
        connection.pieces(f"{_PATH}/export", params, read_s=_PATIENT_S) as pieces,
    ):
        for piece in pieces:
            file.write(piece)
            foot = (foot + piece)[-_FOOT_BYTES:]
    found = re.search(rb'(?:^|\n){"rows":(\d+)}\n$', foot)
    if form == "ndjson" and found is None:
        raise CliError("The export was cut off: its last line is missing.", "Try again.")
    if found is not None and output is not None:
        say(f"{output}: {count(int(found[1]))} entries.")
    elif output is not None:
        say(f"{output} is written.")


@audit.command()
@click.option("--expect", metavar="HASH", default="", help="A head that was noted before: it must be in the chain.")
@click.option("--last", type=click.IntRange(min=1), help="Only so many of the newest rows.")
@click.option("--offline", is_flag=True, help="Look into the database that the settings name, without a server.")
@click.option("--database", metavar="URL", help="Look into this database: mysql://…, or the path of a file.")
@server_options
@click.pass_context
def verify(ctx: click.Context, expect: str, last: int | None, offline: bool, database: str | None) -> None:
    """Check that no row was changed, removed or swapped. Note the head it prints elsewhere, and --expect it later.

    Example: llms audit verify --expect 3f5a….
    """
    if offline or database is not None:
        with explained():
            from llm_scheduler.app import commands

            found = commands.audit_verify(database, last=last, expected=expect)
    else:
        params = {**({"expect": expect} if expect else {}), **({"last": last} if last else {})}
        with here(ctx).connect() as connection:
            found = connection.get(f"{_PATH}/verify", params, read_s=_PATIENT_S)
    if here(ctx).is_json:
        show_json(found)
    else:
        show_facts(
            (
                ("rows that hold", count(found["rows"])),
                ("head", f"{found['head_hash']} (row {found['head_id']})"),
                ("guarded", "by the database" if found["is_guarded"] else "no: its rows can be changed"),
            )
        )
    if not found["ok"]:
        raise CliError(f"The audit log was tampered with: {found['detail']}.", "Compare with a backup: docs/audit.md")
