"""What is submitted while faults strike: when, how, and how long each call takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "m"
OTHER = "n"


@dataclass
class Item:
    """One task to submit. `number` is its identity in prompt, key and ledger."""

    number: int
    takes_ms: int
    model: str = MODEL
    due_in_s: float | None = None
    """Seconds from the load's begin at which it is due; None = at once."""
    cancel_after_s: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass
class Posting:
    """One request: a single POST when it holds one item, else a bulk."""

    at_s: float
    items: list[Item]


@dataclass(frozen=True)
class Load:
    """A shape of work.

    Attributes:
        make: the requests, for a scale (1 = the whole) and a source of chance.
        limits: calls at once, by model.
        strike_at: the fault begins when this share of the tasks has been called.
        is_backlog: work always waits, so that silence at the provider is an outage.
        per_minute: rpm and tpm of the first model.
    """

    name: str
    make: Callable[[float, Random], list[Posting]]
    limits: dict[str, int]
    strike_at: float = 0.25
    is_backlog: bool = False
    per_minute: dict[str, int] = field(default_factory=dict)


def _singly(per_s: float, items: list[Item]) -> list[Posting]:
    return [Posting(place / per_s, [item]) for place, item in enumerate(items)]


def _in_bulk(size: int, items: list[Item]) -> list[Posting]:
    return [Posting(0.0, items[start : start + size]) for start in range(0, len(items), size)]


def _steady(scale: float, rng: Random) -> list[Posting]:
    return _singly(10, [Item(n, rng.randint(800, 1_200)) for n in range(int(150 * scale))])


def _stream(scale: float, rng: Random) -> list[Posting]:
    return _singly(200, [Item(n, rng.randint(100, 500)) for n in range(int(2_000 * scale))])


def _backlog(scale: float, rng: Random) -> list[Posting]:
    count = int(10_000 * scale)
    return _in_bulk(500, [Item(n, rng.randint(20, 60), OTHER if n % 4 == 0 else MODEL) for n in range(count)])


def _slice(scale: float, rng: Random) -> list[Posting]:
    """A small backlog that lasts a few seconds: for the tests."""
    return _in_bulk(100, [Item(n, rng.randint(60, 140)) for n in range(int(500 * scale))])


def _flood(scale: float, rng: Random) -> list[Posting]:
    """A flood of low priority in bulk, and a trickle of high priority beside it."""
    count = int(4_000 * scale)
    low = [Item(n, rng.randint(30, 70), fields={"priority": "low"}) for n in range(count)]
    high = [Item(count + n, rng.randint(50, 150), fields={"priority": "high"}) for n in range(int(200 * scale))]
    return sorted([*_in_bulk(500, low), *_singly(25, high)], key=lambda posting: posting.at_s)


def _scheduled(scale: float, rng: Random) -> list[Posting]:
    """All due within the same second, some seconds after the begin."""
    items = [Item(n, rng.randint(50, 150), due_in_s=6 + rng.random()) for n in range(int(1_000 * scale))]
    return _in_bulk(100, items)


def _cancels(scale: float, rng: Random) -> list[Posting]:
    """Three in ten are cancelled within two seconds: waiting, running or over by then."""
    items = [Item(n, rng.randint(200, 800)) for n in range(int(1_000 * scale))]
    for item in items:
        if rng.random() < 0.3:
            item.cancel_after_s = rng.uniform(0, 2)
    return _singly(100, items)


def _limits(scale: float, rng: Random) -> list[Posting]:
    """More than two minutes' worth of calls wait for a model with rpm and tpm."""
    return _in_bulk(500, [Item(n, rng.randint(50, 300)) for n in range(int(1_500 * scale))])


LOADS = {
    load.name: load
    for load in (
        Load("steady", _steady, {MODEL: 20}),
        Load("stream", _stream, {MODEL: 128}),
        Load("backlog", _backlog, {MODEL: 48, OTHER: 16}, is_backlog=True),
        Load("slice", _slice, {MODEL: 20}, is_backlog=True),
        Load("flood", _flood, {MODEL: 32}, is_backlog=True),
        Load("scheduled", _scheduled, {MODEL: 64}, strike_at=0.1),
        Load("cancels", _cancels, {MODEL: 40}),
        Load("limits", _limits, {MODEL: 64}, is_backlog=True, per_minute={"rpm": 600, "tpm": 8_000}),
    )
}
DEFAULT = ("steady", "stream", "backlog", "flood", "scheduled", "cancels")
