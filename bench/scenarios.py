"""The eight loads A to H on which strategies are compared, made from the traces in bench/traces.

Reconstructed from one line of description: classes high/normal/low 20/50/30 %, tenants of the trace or 20 by a
Zipf(1.1) draw (Azure, Mooncake), a class mix per tenant around the shares, limits set so that the mean demand is the
given share of them, a bucket of 10 s, service times by a formula with log-normal noise of 0.2. What that line leaves
open was fitted here, never to a figure of `fair`:

- the spread of the class mixes (Dirichlet), its concentration to the goal cases; the formula to their `svc` column;
- which requests the bulk tenant of C submits (drawn from the trace) and when (after a sixth of the time), as in g3;
- where a scenario states its slots (D, F), the calls' times by one factor, so that the demand is the stated share of
  them. On F the formula alone gave 0.91 where 0.95 is stated, and `fifo` a mean completion of 39 s (published: 49 s);
  now 50 s;
- the seeds, by trace. How much of the demand is urgent is a draw and decides most figures: under strict priority the
  p99 wait of high on C is from 0.8 to 24 s. Of the first 40 draws those three are taken whose rows under `fifo`,
  `priority` and `tenant_first` are nearest to the published ones (`bench.draws`). Mean |ln(ours / published)| over
  completion, p99 by class, share in time and Jain: Azure (A, B) 0.195 -> 0.082, ServeGen m-large (C) 0.191 -> 0.053,
  r1 (F) 0.170 -> 0.085 for the seeds 1, 2, 3 -> these. For D, E no rows are published: 1, 2, 3.

The reserve (every tenth start for a lower band) belongs to `fair` alone: with it off, `priority` gives the figures that
came with the goal cases to four digits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from llm_scheduler.app.simulating import scene
from llm_scheduler.simulation.dealing import Deal, dealt
from llm_scheduler.simulation.load import cut, ordered
from llm_scheduler.simulation.measures import BULK, measured
from llm_scheduler.simulation.run import replay
from llm_scheduler.simulation.service import Speed, timed
from llm_scheduler.simulation.setting import Setting
from llm_scheduler.simulation.trace import read

if TYPE_CHECKING:
    from llm_scheduler.simulation.load import Load
    from llm_scheduler.simulation.measures import Measures

FOLDER = Path(__file__).parent / "traces"
GOALS = FOLDER / "goals"
WHOLE = (0.0, 1.0)
BURST_S = 10.0
BULK_WORK_S = 600.0
PURE = {"beta": 1e12}
"""Shortest first without ageing."""


@dataclass(frozen=True)
class Scenario:
    """A trace, what is limited, and the mean demand as a share of each limit (or a number of slots)."""

    name: str
    trace: str
    share: float
    limits: tuple[str, ...]
    slots: int | None = None
    has_bulk: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.trace.split('_')[0]} {'+'.join(self.limits)} {self.share}"


AZURE, MOONCAKE = "azure2023_first30min", "mooncake_conv_first30min"
ARENA, MLARGE, R1 = "vtc_arena_10min", "servegen_mlarge_1h", "servegen_r1_1h"
SCENARIOS = (
    Scenario("A", AZURE, 0.95, ("tpm",)),
    Scenario("B", AZURE, 1.15, ("tpm",)),
    Scenario("C", MLARGE, 0.8, ("tpm",), has_bulk=True),
    Scenario("D", ARENA, 1.1, ("slots",), slots=11),
    Scenario("E", MOONCAKE, 1.1, ("tpm",)),
    Scenario("F", R1, 0.95, ("slots",), slots=38),
    Scenario("G", MLARGE, 0.95, ("rpm",)),
    Scenario("H", AZURE, 0.95, ("rpm", "tpm", "slots")),
)
BY_NAME = {one.name: one for one in SCENARIOS}
SEEDS = {AZURE: (28, 29, 40), MOONCAKE: (1, 2, 3), ARENA: (1, 2, 3), MLARGE: (8, 10, 29), R1: (14, 23, 34)}
"""The draws of each trace, see above."""


@lru_cache(maxsize=4)
def _trace(name: str) -> Load:
    return read(FOLDER / f"{name}.csv.gz")


def load_of(scenario: Scenario, seed: int, part: tuple[float, float] = WHOLE) -> tuple[Load, Setting]:
    """The load, and its limits as a setting. `part`: which part of the trace's time."""
    rng = Random(seed)
    whole = _trace(scenario.trace)
    span_s = whole.span_s
    load = cut(whole, part[0] * span_s, part[1] * span_s + 1e-6)
    load = timed(dealt(load, Deal(), rng), Speed(), rng)
    span_s = load.span_s
    rpm = len(load.requests) / span_s * 60 / scenario.share
    tpm = sum(one.tokens for one in load.requests) / span_s * 60 / scenario.share
    busy = sum(one.service_s or 0.0 for one in load.requests) / span_s
    slots = max(1, round(busy / scenario.share))
    if scenario.slots and part == WHOLE:
        slots = scenario.slots
        load = slowed(load, slots * scenario.share / busy)
    if scenario.has_bulk:
        load = _with_bulk(load, tpm, rng)
    return load, Setting(
        rpm=rpm if "rpm" in scenario.limits else None,
        tpm=tpm if "tpm" in scenario.limits else None,
        workers=slots if "slots" in scenario.limits else None,
        burst_s=BURST_S,
    )


def slowed(load: Load, factor: float) -> Load:
    """The same calls, each taking so many times as long."""
    return load._replace(
        requests=tuple(one._replace(service_s=(one.service_s or 0.0) * factor) for one in load.requests)
    )


def _with_bulk(load: Load, tpm: float, rng: Random) -> Load:
    """One more tenant submits so many seconds of work at once, class normal."""
    at_s, left = load.span_s / 6, BULK_WORK_S * load.span_s / 3600 * tpm / 60
    bulk = []
    while left > 0:
        one = rng.choice(load.requests)
        bulk.append(one._replace(at_s=at_s, tenant=BULK, priority=5))
        left -= one.tokens
    return ordered((*load.requests, *bulk))


def ruled(setting: Setting, strategy: str) -> Setting:
    """The setting for a strategy: the reserve takes every tenth start under `fair` only, as in the published rows."""
    return setting._replace(strategy=strategy, starve_after_s=0 if strategy == "fair" else None)


async def run(load: Load, setting: Setting, strategy: str, **changes: Any) -> Measures:
    """The figures of a load under a strategy."""
    return measured(await replay(load, ruled(setting, strategy)._replace(**changes), scene))


@lru_cache(maxsize=1)
def expected() -> dict[str, Any]:
    """What the goal cases came with: limits, and figures for each strategy."""
    return json.loads((GOALS / "expected.json").read_text())


def goal_case(name: str) -> tuple[Load, Setting]:
    """One of g1 to g4: the requests and the limits."""
    (full,) = [key for key in expected() if key.startswith(name)]
    case = expected()[full]
    load = read(GOALS / f"{full}.tasks.csv.gz")
    return load, Setting(rpm=case["rpm"], tpm=case["tpm"], workers=case["conc"], burst_s=case["burst_s"])


def case_of(name: str) -> dict[str, Any]:
    """Limits, speed and figures of a goal case."""
    return next(case for key, case in expected().items() if key.startswith(name))
