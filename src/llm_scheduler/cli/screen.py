"""What a person sees: tables and times on stdout, remarks on stderr; and the JSON that a program gets instead."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rich.console import Console
    from rich.table import Table

STATUS_STYLES: Final[Mapping[str, str]] = {
    "completed": "green",
    "active": "green",
    "running": "cyan",
    "queued": "yellow",
    "scheduled": "blue",
    "held": "magenta",
    "blocked": "magenta",
    "paused": "yellow",
    "failed": "red",
    "unhealthy": "red",
    "broken": "red",
    "refused": "red",
    "off": "yellow",
    "expired": "red",
    "cancelled": "dim",
}
_PIPE_WIDTH: Final = 160
_NARROW: Final = 110
# Escape sequences in a model's answer must not drive the terminal.
_CONTROLS: Final = {code: "�" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def say(text: str) -> None:
    """A remark for a person, on stderr."""
    click.echo(text, err=True)


def show_json(value: Any) -> None:
    """The answer for a program, on stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def show_json_line(value: Any) -> None:
    """One of many answers for a program, on a line of its own."""
    click.echo(json.dumps(value, ensure_ascii=False))


def harmless(text: str) -> str:
    """The text without control characters, when a terminal would act on them."""
    return text.translate(_CONTROLS) if sys.stdout.isatty() else text


def console(*, is_err: bool = False) -> Console:
    """A rich console on stdout (or stderr); wide when nobody watches, so that nothing is cut."""
    from rich.console import Console

    stream = sys.stderr if is_err else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False)


def table_of(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """A table. A column whose name begins with '>' is for numbers; one named STATUS is coloured."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", show_edge=False)
    for name in columns:
        is_number = name.startswith(">")
        table.add_column(
            name.removeprefix(">"),
            justify="right" if is_number else "left",
            no_wrap=is_number or name in ("ID", "AT", "STATUS", "NAME", "MODEL", "SETTING", "CREATED"),
        )
    for row in rows:
        cells = [Text(str(cell if cell is not None else "–").translate(_CONTROLS)) for cell in row]
        for name, cell in zip(columns, cells, strict=True):
            if name == "STATUS":
                cell.stylize(STATUS_STYLES.get(cell.plain, ""))
        table.add_row(*cells)
    return table


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None, *, spare: Collection[str] = ()
) -> None:
    """Print a table on stdout. A narrow terminal does without the `spare` columns; what is left stays readable."""
    screen = console()
    if screen.width < _NARROW:
        columns, rows = without(columns, rows, spare)
    screen.print(table_of(columns, rows, title))


def without(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], spare: Collection[str]
) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
    """A table without some of its columns."""
    kept = [number for number, name in enumerate(columns) if name not in spare]
    return [columns[one] for one in kept], ([row[one] for one in kept] for row in rows)


def show_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one pair a line; what is None is left out."""
    known = [(name, str(value)) for name, value in facts if value is not None]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        head, *rest = value.splitlines() or [""]
        click.echo(f"{name:<{width}}  {harmless(head)}")
        for line in rest:
            click.echo(f"{'':<{width}}  {harmless(line)}")


def local_time(instant: str | None) -> str | None:
    """An RFC 3339 instant in the reader's time zone."""
    if not instant:
        return None
    return datetime.fromisoformat(instant).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def seconds_between(first: str | None, last: str | None) -> float | None:
    """Seconds from one RFC 3339 instant to another."""
    if not first or not last:
        return None
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def span(seconds: float | None) -> str | None:
    """A length of time in few characters: 840 ms, 3.4 s, 2 m 05 s, 3 h 20 m, 4 d 02 h."""
    if seconds is None:
        return None
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} m" if hours < 24 else f"{hours // 24} d {hours % 24:02} h"


def count(number: int | float | None) -> str | None:
    """A number with thin groups: 12 340."""
    if number is None:
        return None
    return f"{number:,.0f}".replace(",", " ")


def money(microusd: int | None) -> str | None:
    """Micro-USD as dollars, as exact as they need to be: $0.0042."""
    if microusd is None:
        return None
    whole, _, part = f"{microusd / 1_000_000:.6f}".partition(".")
    return f"${whole}.{part[:2]}" if microusd >= 10_000_000 else f"${whole}.{part.rstrip('0'):0<2}"


def excerpt(text: Any, width: int = 60) -> str:
    """The beginning of a text, on one line."""
    plain = " ".join(str(text or "").split())
    return plain if len(plain) <= width else plain[: width - 1] + "…"
