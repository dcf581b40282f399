"""One way to run a model's lane: what a simulation compares."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId
from llm_scheduler.domain.model import DEFAULT_STARVE_AFTER_S, Model, ModelOptions
from llm_scheduler.ports.broker import Pace, Unit
from llm_scheduler.scheduling.strategies.registry import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Mapping

LANE: Final = ModelId(1)
UNBOUNDED: Final = 1_000_000
"""Slots of a lane whose concurrency is not limited."""
_ALWAYS_MS: Final = 110 * 86_400_000
"""A pace stays in force for at most four months."""


class Estimate(StrEnum):
    """What is expected to come out of a call, before it does."""

    LEARNED = "learned"
    """The running mean that the server uses, learned along the way."""
    ACTUAL = "actual"
    """What will come out: as if someone could know."""
    CONSTANT = "constant"
    """256 tokens for each."""


class Setting(NamedTuple):
    """Strategy and limits of a lane. Limits are per minute, None = none.

    `burst_s` None: the limits are kept as the server keeps configured ones, no minute with more than the limit in it.
    A number: the provider is a token bucket that holds so many seconds of its rate, and tells in its answers'
    headers what is left; then the server spends it to the brim.
    """

    strategy: str = DEFAULT
    rpm: float | None = None
    tpm: float | None = None
    workers: int | None = None
    burst_s: float | None = None
    starve_after_s: float | None = DEFAULT_STARVE_AFTER_S
    options: Mapping[str, float] = MappingProxyType({})
    estimate: Estimate = Estimate.LEARNED
    label: str = ""

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return self.label or self.strategy


def model_of(setting: Setting) -> Model:
    """The model whose lane is run."""
    return Model(
        id=LANE,
        tenant_id=DEFAULT_TENANT,
        name="simulated",
        type="simulated",
        config={},
        max_workers=UNBOUNDED if setting.workers is None else setting.workers,
        rpm=None if setting.rpm is None else max(1, round(setting.rpm)),
        tpm=None if setting.tpm is None else max(1, round(setting.tpm)),
        strategy=setting.strategy,
        starve_after_s=setting.starve_after_s,
        options=ModelOptions(strategy_options=dict(setting.options)),
    )


def paces_of(setting: Setting) -> list[Pace]:
    """What the answers of such a provider make of the limits; none where they count as configured."""
    limits = ((Unit.REQUESTS, setting.rpm), (Unit.TOKENS, setting.tpm))
    burst_s = setting.burst_s
    if burst_s is None:
        return []
    return [
        Pace(unit, most / 60, max(1.0, most / 60 * burst_s), _ALWAYS_MS) for unit, most in limits if most is not None
    ]
