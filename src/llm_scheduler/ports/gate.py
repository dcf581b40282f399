"""The words for a gate, one way from a lane to a provider: its limits, its pace, and what holds it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import ModelId


class Unit(StrEnum):
    """What a provider counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"


class GateRules(NamedTuple):
    """One endpoint of a lane: limits of its own within the lane's.

    `weight`: its share of the starts while several have room. Limits per minute, None = none.
    """

    name: str
    weight: float = 1.0
    max_workers: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    input_tpm: int | None = None
    output_tpm: int | None = None
    is_drained: bool = False


class Spent(NamedTuple):
    """What ever started through one gate, in each unit, a claim's own reservation included; settled as calls end.

    The differences between two of them tell what we used of a provider's limits in between.
    """

    requests: int = 0
    tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class Pace(NamedTuple):
    """How fast one unit of a gate may be spent from now on, by what the provider's answers said.

    In force for `valid_ms`, in place of the configured limit of that unit; then the configured one counts again.
    `per_s` units a second, at most `burst` units at once after a silence; `bonus` units are given (or, if
    negative, taken) once. At most `most` units (below 0: a debt) may go at once now, those included that were spent
    since `counted` had been spent in all: who sets a pace knows what was left only as of then.
    """

    unit: Unit
    per_s: float
    burst: float
    valid_ms: int
    bonus: float = 0.0
    most: float | None = None
    counted: int = 0


class Hold(NamedTuple):
    """Why nothing starts through one gate (or the lane as a whole, `endpoint` None).

    `reason`: `paused`, `concurrency`, `requests`, `tokens`, `input_tokens`, `output_tokens`, `throttled` (the shared
    pause after a 429), `circuit` (too many failures), `drained`. `wait_ms` None = only an event ends it.
    """

    reason: str
    wait_ms: int | None = None
    endpoint: str | None = None


class GateState(NamedTuple):
    """How one gate is: calls that run, failures among the calls of the last 30 s, and what holds it, if anything."""

    endpoint: str | None
    running: int
    calls: int
    failures: int
    holds: tuple[Hold, ...]


class LaneState(NamedTuple):
    """What stands between the head of a lane and its start: holds of the lane itself, and each gate."""

    lane: ModelId
    holds: tuple[Hold, ...]
    gates: tuple[GateState, ...]
