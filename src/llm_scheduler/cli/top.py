"""`llms top`: the queue, live."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from llm_scheduler.cli.faults import CliError
from llm_scheduler.cli.invocation import here, server_options
from llm_scheduler.cli.models.reading import MODEL_COLUMNS, model_row
from llm_scheduler.cli.screen import (
    STATUS_STYLES,
    console,
    count,
    excerpt,
    local_time,
    money,
    seconds_between,
    show_json,
    span,
    table_of,
)
from llm_scheduler.cli.values import STATUSES

if TYPE_CHECKING:
    from rich.console import RenderableType

    from llm_scheduler.cli.connection import Connection

_SHOWN_ERRORS: Final = 5
_SHOWN_WORKERS: Final = 3
_PATIENCE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one frame shows."""

    overview: dict[str, Any]
    models: list[dict[str, Any]]
    errors: list[dict[str, Any]]

    @classmethod
    def take(cls, connection: Connection) -> Snapshot:
        """Ask the server."""
        return cls(
            connection.get("/api/v1/stats/overview"),
            connection.get("/api/v1/models")["items"],
            connection.get("/api/v1/dead-letters", {"limit": _SHOWN_ERRORS})["items"],
        )


@click.command(short_help="Watch the queue live.")
@click.option("--every", type=click.FloatRange(min=0.5), default=2.0, show_default=True, metavar="S", help="Seconds.")
@click.option("--once", is_flag=True, help="One frame, then stop.")
@server_options
@click.pass_context
def top(ctx: click.Context, every: float, once: bool) -> None:
    """Watch counts, throughput, models and recent dead letters; Ctrl-C ends it. Example: llms top."""
    invocation = here(ctx)
    with invocation.connect(_PATIENCE_S) as connection:
        if invocation.is_json:
            found = Snapshot.take(connection)
            show_json({"overview": found.overview, "models": found.models, "dead_letters": found.errors})
        elif once:
            console().print(frame(Snapshot.take(connection), connection.url))
        else:
            _live(connection, every)


def _live(connection: Connection, every_s: float) -> None:
    from rich.live import Live

    first = frame(Snapshot.take(connection), connection.url)
    with Live(first, console=console(), screen=True, auto_refresh=False) as live:
        connection.notice = lambda text: live.update(text, refresh=True)
        while True:
            connection.pace.sleep_s(every_s)
            try:
                live.update(frame(Snapshot.take(connection), connection.url), refresh=True)
            except CliError as error:
                if error.exit_code != 1:
                    raise
                live.update(error.message, refresh=True)


def frame(found: Snapshot, url: str) -> RenderableType:
    """One picture of a snapshot."""
    from rich.console import Group
    from rich.text import Text

    overview = found.overview
    oldest = {queue["model"]: queue["oldest_queued_at"] for queue in overview["queues"]}
    rows = [
        (*model_row(model), span(seconds_between(oldest.get(model["name"]), overview["at"]))) for model in found.models
    ]
    parts: list[RenderableType] = [
        Text.assemble(("LLM Scheduler ", "bold"), (f"{url}   {local_time(overview['at'])}", "dim")),
        _counts(overview["counts"]),
        Text(_rates(overview)),
        Text(_workers(overview["workers"])),
        Text(),
        table_of((*MODEL_COLUMNS, ">OLDEST"), rows),
    ]
    if found.errors:
        dead = ((task["id"], task["model"], local_time(task["completed_at"]), _why(task)) for task in found.errors)
        parts += [Text(), Text("Newest dead letters", "bold"), table_of(("ID", "MODEL", "DIED", "ERROR"), dead)]
    return Group(*parts)


def _counts(counts: dict[str, int]) -> Any:
    from rich.text import Text

    line = Text()
    for status in STATUSES:
        if counts.get(status) or status in ("queued", "running", "completed", "failed"):
            line.append(f"{status} ", "dim")
            line.append(f"{count(counts.get(status, 0))}   ", STATUS_STYLES.get(status, ""))
    return line


def _rates(overview: dict[str, Any]) -> str:
    latency, wait = overview["latency_ms"], overview["wait_ms"]
    tokens_s = overview["usage"]["total_tokens"] / overview["window_s"]
    ended = overview["completed"] + overview["failed"]
    failed = f" ({100 * overview['failed'] / ended:.1f} % failed)" if ended else ""
    parts = [
        f"{overview['throughput_per_minute']:.1f} tasks/min{failed}",
        f"{tokens_s:.1f} tokens/s",
        f"run {_percentiles(latency)}",
        f"wait {_percentiles(wait)}",
    ]
    if overview["cost_microusd"]:
        parts.append(str(money(overview["cost_microusd"])))
    return " · ".join(parts) + f"   (last {span(overview['window_s'])})"


def _percentiles(values: dict[str, int | None]) -> str:
    shown = [span(None if value is None else value / 1000) or "–" for value in (values["p50"], values["p95"])]
    return f"p50 {shown[0]} p95 {shown[1]}"


def _workers(workers: list[dict[str, Any]]) -> str:
    each = [_worker(worker) for worker in workers[:_SHOWN_WORKERS]]
    rest = Counter(worker["role"] for worker in workers[_SHOWN_WORKERS:])
    more = f" and {', '.join(f'{number} {role}' for role, number in rest.items())} more" if rest else ""
    return f"processes: {'; '.join(each) or 'none'}{more}"


def _worker(worker: dict[str, Any]) -> str:
    runs = "" if worker["role"] == "api" else f"runs {worker['running']}, "
    load = f"{worker['cpu_percent']:.0f} % CPU, {worker['rss_bytes'] / 2**20:.0f} MiB"
    place = f"{worker['host']}:{worker['pid']}" if worker["host"] else f"#{worker['id']}"
    return f"{place} ({worker['role']}) {runs}{load}"


def _why(task: dict[str, Any]) -> str:
    error = task.get("error") or {}
    return excerpt(f"{error.get('code')}: {error.get('message')}", 70)
