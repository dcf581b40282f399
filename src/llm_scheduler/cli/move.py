"""`llms db move`: from the file of this machine into MySQL."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.faults import explained
from llm_scheduler.cli.invocation import here, json_option
from llm_scheduler.cli.screen import console, count, say, show_json, show_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[str, int, int], None]

_LINE_EVERY_S: Final = 5.0


@click.command(short_help="Copy this installation into an empty MySQL database.")
@click.option("--to", "url", required=True, metavar="URL", help="mysql://USER:PASSWORD@HOST[:PORT]/NAME")
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Look at both sides and write to neither.")
@json_option
@click.pass_context
def move(ctx: click.Context, url: str, is_dry_run: bool) -> None:
    """Copy the installation in the data folder into an empty MySQL or MariaDB database, ids kept.

    Stop the server first. Interrupted, it goes on where it stopped when it is called again. The file
    stays as it is.

    Example: llms db move --to mysql://llms:secret@db.example/llms
    """
    with explained():
        from llm_scheduler.app import commands

        with _shown() as progress:
            report = commands.database_move(url, is_dry_run=is_dry_run, progress=progress)
    if here(ctx).is_json:
        show_json(report)
        return
    rows: Any = report["rows"]
    show_table(("TABLE", ">ROWS"), [(name, count(number)) for name, number in rows.items()])
    for line in _remarks(report):
        say(line)


def _remarks(report: dict[str, Any]) -> list[str]:
    waits = f"{report['put_back']} tasks that ran when the server ended"
    if report["is_dry_run"]:
        occupied = report["occupied"]
        state = f"not empty ({', '.join(occupied)}): a move would be refused" if occupied else "empty"
        return [
            "Nothing was written.",
            f"The database is {'half-way through this move: it would go on' if report['is_resumed'] else state}.",
            f"{waits} would wait again.",
        ]
    return [
        "Every table is there, and equal.",
        *([f"{waits} wait again."] if report["put_back"] else []),
        "Now set, for every process:",
        "  LLMS_DATABASE_URL   the URL that you gave with --to",
        "  LLMS_REDIS_URL      redis://…, if there is to be more than one process",
        "  LLMS_SECRET_KEY     what the data folder's file secret-key holds: without it no provider key can be read",
        "Do not start a server on the old file again: it would run the waiting tasks a second time.",
    ]


@contextmanager
def _shown() -> Iterator[Progress]:
    """A bar at a terminal, else a line now and then; on stderr."""
    screen = console(is_err=True)
    if not screen.is_terminal:
        yield _lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<26}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen) as bars:
        known: dict[str, Any] = {}

        def show(table: str, rows: int, total: int) -> None:
            if table not in known:
                known[table] = bars.add_task(table, total=total)
            bars.update(known[table], completed=rows)

        yield show


def _lines() -> Progress:
    said: dict[str, float] = {}

    def show(table: str, rows: int, total: int) -> None:
        now_s = time.monotonic()
        if table not in said or now_s - said[table] >= _LINE_EVERY_S:
            said[table] = now_s
            say(f"{table}: {count(rows)} of {count(total)}")

    return show
