"""Where a load comes from: a file, this installation's history, or thin air."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from llm_scheduler.cli.faults import CliError

if TYPE_CHECKING:
    from random import Random

    from llm_scheduler.cli.connection import Connection
    from llm_scheduler.simulation.load import Load

_READ_S = 300.0


class Asked(NamedTuple):
    """The options that say which load: one of the first three, and what to do with it."""

    trace: Any
    history_s: int | None
    generate: str | None
    model: str | None
    speed: float
    is_dealt: bool


def one_of(asked: Asked) -> None:
    """Refuse none, and more than one.

    Raises:
        click.UsageError: says what there is.
    """
    given = sum(source is not None for source in (asked.trace, asked.history_s, asked.generate))
    if given != 1:
        raise click.UsageError("Give one of --trace FILE, --history TIME, --generate rate=5,minutes=30.")


def history(connection: Connection, span_s: int) -> Load:
    """What the server has run in the last seconds.

    Raises:
        CliError: no server, or an answer that is no history.
    """
    from llm_scheduler.simulation.history import load_of

    # By the server's clock: this machine's may be wrong.
    until = datetime.fromisoformat(connection.get("/api/v1/stats/overview")["at"])
    params = {"since": _stamp(until - timedelta(seconds=span_s)), "until": _stamp(until + timedelta(seconds=1))}
    with connection.lines("/api/v1/stats/history", params, read_s=_READ_S) as lines:
        return load_of(lines)


def local(asked: Asked, rng: Random) -> Load:
    """The load of a file or of a wish, with tenants and priorities dealt if that is asked."""
    from llm_scheduler.simulation.dealing import Deal, dealt
    from llm_scheduler.simulation.generating import generated, wish
    from llm_scheduler.simulation.trace import read

    if asked.trace is None:
        return generated(wish(asked.generate or ""), rng)
    load = read(asked.trace)
    return dealt(load, Deal(), rng) if asked.is_dealt else load


def shaped(load: Load, asked: Asked, rng: Random) -> Load:
    """Only the model that was asked for, sped up, with a time for each call.

    Raises:
        CliError: nothing is left.
    """
    from llm_scheduler.simulation.load import models_in, of_model, sped_up
    from llm_scheduler.simulation.service import Speed, timed

    chosen = load if asked.model is None else of_model(load, asked.model)
    if not chosen.requests:
        known = ", ".join(name for name in models_in(load) if name) or "none"
        raise CliError("There is nothing to simulate.", f"Models with calls in it: {known}. A longer --history?")
    return timed(sped_up(chosen, asked.speed), Speed(), rng)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
