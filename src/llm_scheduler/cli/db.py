"""`llms db …`: the database of this machine's server."""

from __future__ import annotations

from pathlib import Path

import click

from llm_scheduler.cli.faults import CliError, explained
from llm_scheduler.cli.invocation import here, json_option
from llm_scheduler.cli.screen import show_json, show_table


@click.group()
def db() -> None:
    """Upgrade, check or back up the database. Example: llms db check."""


@db.command()
@json_option
@click.pass_context
def upgrade(ctx: click.Context) -> None:
    """Bring the database to this version's schema. Example: llms db upgrade."""
    with explained():
        from llm_scheduler.app import commands

        revision = commands.database_upgrade()
    if here(ctx).is_json:
        show_json({"revision": revision})
    else:
        click.echo(f"The database is at revision {revision}.")


@db.command()
@json_option
@click.pass_context
def check(ctx: click.Context) -> None:
    """Check that the database is sound and its schema is this version's. Example: llms db check."""
    with explained():
        from llm_scheduler.app import commands

        report = commands.database_check()
    if here(ctx).is_json:
        show_json(report)
    else:
        show_table(("WHAT", "FOUND"), [(name, str(value)) for name, value in report.items()])
    if not report.get("is_sound", True):
        raise CliError("The database is damaged.", "Restore a backup: stop the server and copy it over the file.")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def backup(ctx: click.Context, file: Path) -> None:
    """Copy the database to FILE, also while the server runs. Example: llms db backup tasks.db."""
    if file.exists():
        raise click.UsageError(f"{file} exists; choose another name.")
    with explained():
        from llm_scheduler.app import commands

        size = commands.database_backup(file)
    if here(ctx).is_json:
        show_json({"file": str(file), "bytes": size})
    else:
        click.echo(f"{file}: {size:,} bytes.")
