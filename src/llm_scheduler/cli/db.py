"""`llms db …`: the database that the settings name."""

from __future__ import annotations

from pathlib import Path

import click

from llm_scheduler.cli.faults import CliError, explained
from llm_scheduler.cli.invocation import here, json_option
from llm_scheduler.cli.move import move
from llm_scheduler.cli.screen import show_json, show_table


@click.group()
def db() -> None:
    """Upgrade, check, back up, restore or move the database. Example: llms db check."""


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
        what = "into an empty database: llms db restore FILE" if "database" in report else "over the file"
        raise CliError("The database is damaged.", f"Stop the servers and put a backup {what}.")


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def backup(ctx: click.Context, file: Path) -> None:
    """Copy the database to FILE, also while servers run. Example: llms db backup tasks.db.

    Of SQLite the copy is a database; of MySQL it is compressed text for `llms db restore`.
    """
    if file.exists():
        raise click.UsageError(f"{file} exists; choose another name.")
    with explained():
        from llm_scheduler.app import commands

        size = commands.database_backup(file)
    if here(ctx).is_json:
        show_json({"file": str(file), "bytes": size})
    else:
        click.echo(f"{file}: {size:,} bytes.")


@db.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.pass_context
def restore(ctx: click.Context, file: Path) -> None:
    """Fill an empty MySQL database from a backup FILE. Example: llms db restore tasks.gz."""
    with explained():
        from llm_scheduler.app import commands

        rows = commands.database_restore(file)
    if here(ctx).is_json:
        show_json({"file": str(file), "rows": rows})
    else:
        click.echo(f"{file}: {rows:,} rows restored.")


db.add_command(move)
