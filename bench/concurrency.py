"""Adaptive concurrency beside fixed limits and AIMD, on a server that does not tell what it can do.

    python -m bench.concurrency [--seconds 2400] [--seeds 2] [--only S2] [--noisy] [--lengths arena]

The server is `bench.server_model`, time is simulated, tasks never run out, lengths are those of a trace. The goal is
that of adaptive concurrency: at least 95 % of the best throughput (85 % where more calls make the server slower), at
most 1.25 times the calls needed for it, at most 1 s of waiting inside the server, at most 1 % of calls refused, and
at most 90 s until the queue inside is gone after the server lost half of what it could do.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from bench.server_model import Job, Server, Shape
from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.model import AutoWorkers
from llm_scheduler.scheduling.concurrency import Control, Outcome, Sample, Window, limit, step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TRACES: Final = {
    "azure": ("azure2023_first30min.csv.gz", "conv"),
    "arena": ("vtc_arena_10min.csv.gz", None),
    "servegen": ("servegen_mlarge_1h.csv.gz", None),
    "r1": ("servegen_r1_1h.csv.gz", None),
}
TICK_S: Final = 0.25
REFUSED_HOLD_S: Final = 1.0
"""A refused call keeps its slot so long before the next one takes it, as in a worker."""
MOST: Final = 256
STREAM, WHOLE = "little", "little, answers whole"
Lengths = list[tuple[int, int]]


class Phase(NamedTuple):
    """The server is so for this part of the run."""

    part: float
    shape: Shape


ONE: Final = Shape()
HALF: Final = replace(ONE, slots=32, kv_tokens=ONE.kv_tokens // 2)
TWO: Final = replace(ONE, slots=128, kv_tokens=ONE.kv_tokens * 2)
DEGRADING: Final = Shape(slots=256, kv_tokens=1_000_000, degrades_past=48)
SCENARIOS: Final[dict[str, tuple[Phase, ...]]] = {
    "S1": (Phase(1, ONE),),
    "S2": (Phase(0.25, ONE), Phase(0.25, HALF), Phase(0.25, ONE), Phase(0.25, TWO)),
    "S3": tuple(Phase(0.25, replace(ONE, cap=cap)) for cap in (40, 15, 60, 40)),
    "S4": (Phase(1, DEGRADING),),
    "S5": (Phase(1, replace(ONE, slots=4)),),
}
NAMES: Final = {
    "S1": "steady, 64 slots",
    "S2": "capacity 1, 1/2, 1, 2",
    "S3": "hidden cap 40, 15, 60, 40",
    "S4": "slower past 48",
    "S5": "4 slots",
}


class Controller(Protocol):
    """Decides from what was seen since the last look."""

    @property
    def limit(self) -> int:
        """Calls at once."""
        ...

    def look(self, now_s: float, samples: Sequence[Sample], running: int, oldest_s: float | None) -> None:
        """Four times a second."""
        ...


class Fixed:
    """Never changes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def look(self, now_s: float, samples: Sequence[Sample], running: int, oldest_s: float | None) -> None:
        """Nothing to decide."""


class Aimd:
    """One more for each round of successes, a tenth fewer when a call is refused (once a second)."""

    def __init__(self) -> None:
        self._n, self._cut_s = 1.0, 0.0

    @property
    def limit(self) -> int:
        return int(self._n)

    def look(self, now_s: float, samples: Sequence[Sample], running: int, oldest_s: float | None) -> None:
        for one in samples:
            if one.outcome is Outcome.DONE:
                self._n = min(MOST, self._n + 1 / self._n)
            elif now_s - self._cut_s > 1:
                self._n, self._cut_s = max(1.0, self._n * 0.9), now_s


class Little:
    """Ours: the controller of `llm_scheduler.scheduling.concurrency`, fed as the service feeds it."""

    def __init__(self, *, is_whole: bool = False) -> None:
        self._bounds, self.control = AutoWorkers(1, MOST), Control()
        self._is_whole = is_whole
        self._samples: list[Sample] = []
        self._running, self._looks = 0.0, 0

    @property
    def limit(self) -> int:
        return limit(self.control, self._bounds)

    def look(self, now_s: float, samples: Sequence[Sample], running: int, oldest_s: float | None) -> None:
        self._samples += [one._replace(ttft_ms=None) for one in samples] if self._is_whole else samples
        self._running, self._looks = self._running + running, self._looks + 1
        oldest = None if oldest_s is None else Millis(int(oldest_s * 1000))
        window = Window(self._samples, Millis(int(now_s * 1000)), self._running / self._looks, oldest)
        after = step(self.control, window, self._bounds)
        if after.since != self.control.since:
            self._samples = [one for one in self._samples if one.dispatched_at >= after.since]
            self._running, self._looks = 0.0, 0
        self.control = after


CONTROLLERS: Final[dict[str, Callable[[], Controller]]] = {
    "fixed 10": lambda: Fixed(10),
    "fixed 64": lambda: Fixed(64),
    "fixed 256": lambda: Fixed(256),
    "AIMD": Aimd,
    STREAM: Little,
    WHOLE: lambda: Little(is_whole=True),
}


@lru_cache
def lengths(name: str) -> Lengths:
    """(input, output) tokens of a trace's calls."""
    file, kind = TRACES[name]
    with gzip.open(Path(__file__).with_name("traces") / file, "rt") as lines:
        rows = [row for row in csv.DictReader(lines) if kind is None or row["type"] == kind]
    return [(int(row["in_tokens"]), max(1, int(row["out_tokens"]))) for row in rows]


@dataclass(frozen=True)
class Setting:
    """What a run goes by."""

    seconds: float
    seed: int = 1
    trace: str = "azure"
    is_noisy: bool = False


class Look(NamedTuple):
    """How it was at one moment."""

    at_s: float
    limit: int
    queued_share: float
    phase: int


class Run(NamedTuple):
    """What came out."""

    work: tuple[float, ...]
    """Steps of the calls that ended in each phase."""
    calls: int
    refused: int
    queued_s: float
    looks: tuple[Look, ...]


def simulate(phases: Sequence[Phase], controller: Controller, setting: Setting) -> Run:
    """Play a run: there is always another task."""
    rng = random.Random(setting.seed)
    drawn = lengths(setting.trace)
    noise = (0.8, 0.4) if setting.is_noisy else (0.0, 0.0)
    server = Server(phases[0].shape, rng, *noise)
    work, looks = [0.0] * len(phases), list[Look]()
    open_calls: dict[int, float] = {}
    held: list[float] = []
    calls = refused = sent = 0
    whole = sum(one.part for one in phases)
    until_s = 0.0
    for number, phase in enumerate(phases):
        server.shape = phase.shape
        until_s += setting.seconds * phase.part / whole
        while server.now_s < until_s:
            look_s = min(server.now_s + TICK_S, until_s)
            samples: list[Sample] = []
            while True:
                held = [one for one in held if one > server.now_s]
                while len(open_calls) + len(held) < controller.limit:
                    sent += 1
                    open_calls[sent] = server.now_s
                    server.send(*drawn[rng.randrange(len(drawn))])
                job = server.advance(look_s)
                if job is None:
                    break
                del open_calls[job.number]
                samples.append(sample(job))
                calls, refused = calls + 1, refused + job.is_refused
                if job.is_refused:
                    held.append(server.now_s + REFUSED_HOLD_S)
                else:
                    work[number] += job.work
            oldest_s = next(iter(open_calls.values()), None)
            controller.look(server.now_s, samples, len(open_calls) + len(held), oldest_s)
            share = len(server.queue) / server.in_flight if server.in_flight else 0.0
            looks.append(Look(server.now_s, controller.limit, share, number))
    return Run(tuple(work), calls, refused, server.queued_s, tuple(looks))


def sample(job: Job) -> Sample:
    """The call as a worker sees it."""
    first_ms = None if job.first_s is None else round((job.first_s - job.sent_s) * 1000)
    outcome = Outcome.REFUSED if job.is_refused else Outcome.DONE
    latency_ms = round((job.ended_s - job.sent_s) * 1000)
    return Sample(Millis(int(job.sent_s * 1000)), latency_ms, first_ms, job.input_tokens, job.output_tokens, outcome)


class Best(NamedTuple):
    """The highest throughput of any fixed concurrency, in steps a second, and the fewest calls for 97 % of it."""

    rate: float
    needed: int


@lru_cache
def best(shape: Shape, trace: str, is_noisy: bool) -> Best:
    """By trying concurrencies 8 % apart, half of each run being a warm-up."""
    tried = sorted({round(1.08**power) for power in range(73)})
    rates: dict[int, float] = {}
    for n in tried:
        if shape.cap is not None and n > shape.cap:
            n = shape.cap
        if n not in rates:
            run = simulate((Phase(0.5, shape), Phase(0.5, shape)), Fixed(n), Setting(400, 7, trace, is_noisy))
            rates[n] = run.work[1] / 200
        if rates[n] < 0.7 * max(rates.values()) or n == shape.cap:
            break
    top = max(rates.values())
    return Best(top, min(n for n, rate in rates.items() if rate >= 0.97 * top))


class Row(NamedTuple):
    """One controller in one scenario: what the goal is about."""

    throughput: float
    concurrency: float
    queued_s: float
    refused: float
    settled_s: float | None


def judge(phases: Sequence[Phase], run: Run, setting: Setting) -> Row:
    """A run beside the best that was possible."""
    found = [best(one.shape, setting.trace, setting.is_noisy) for one in phases]
    whole = sum(one.part for one in phases)
    could = sum(one.rate * phase.part / whole * setting.seconds for one, phase in zip(found, phases, strict=True))
    ratio = sum(look.limit / found[look.phase].needed for look in run.looks) / len(run.looks)
    ended = max(1, run.calls - run.refused)
    return Row(
        sum(run.work) / could, ratio, run.queued_s / ended, run.refused / max(1, run.calls), settled_s(phases, run)
    )


def settled_s(phases: Sequence[Phase], run: Run) -> float | None:
    """Seconds from the loss of half the slots until the queue inside stays under 15 % for 10 s, on average."""
    for number in range(1, len(phases)):
        if phases[number].shape.slots < phases[number - 1].shape.slots:
            looks = [look for look in run.looks if look.phase == number]
            width = round(10 / TICK_S)
            for start in range(len(looks) - width):
                if sum(look.queued_share for look in looks[start : start + width]) < 0.15 * width:
                    return looks[start].at_s - looks[0].at_s
            return float("inf")
    return None


def is_good(scenario: str, row: Row) -> bool:
    """Whether the goal is reached."""
    least = 0.85 if scenario == "S4" else 0.95
    return (
        row.throughput >= least
        and row.concurrency <= 1.25
        and row.queued_s <= 1
        and row.refused <= 0.01
        and (row.settled_s is None or row.settled_s <= 90)
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2400)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", choices=SCENARIOS)
    parser.add_argument("--controller", choices=CONTROLLERS)
    parser.add_argument("--noisy", action="store_true", help="40 %% of prompts cached, log-normal jitter")
    parser.add_argument("--lengths", choices=TRACES, default="azure")
    asked = parser.parse_args()
    print("goal: thr >= 95 % (S4: 85 %), n <= 1.25 x, queued <= 1 s, 429 <= 1 %, settled <= 90 s\n")
    print(f"{'scenario':<28}{'controller':<24}{'thr %':>7}{'n x':>7}{'queued s':>10}{'429 %':>7}{'settled s':>11}")
    for scenario, phases in SCENARIOS.items():
        if asked.only not in (None, scenario):
            continue
        for name, make in CONTROLLERS.items():
            if asked.controller not in (None, name):
                continue
            rows: list[Row] = []
            for seed in range(1, asked.seeds + 1):
                setting = Setting(asked.seconds, seed, asked.lengths, asked.noisy)
                rows.append(judge(phases, simulate(phases, make(), setting), setting))
            print(_line(f"{scenario} {NAMES[scenario]}", name, scenario, _mean(rows)), flush=True)


def _mean(rows: Sequence[Row]) -> Row:
    settled = [row.settled_s for row in rows if row.settled_s is not None]
    count = len(rows)
    return Row(
        sum(row.throughput for row in rows) / count,
        sum(row.concurrency for row in rows) / count,
        sum(row.queued_s for row in rows) / count,
        sum(row.refused for row in rows) / count,
        max(settled) if settled else None,
    )


def _line(scenario: str, name: str, key: str, row: Row) -> str:
    settled = "" if row.settled_s is None else f"{row.settled_s:.0f}"
    mark = "  reached" if is_good(key, row) else ""
    return (
        f"{scenario:<28}{name:<24}{100 * row.throughput:>7.1f}{row.concurrency:>7.2f}{row.queued_s:>10.2f}"
        f"{100 * row.refused:>7.2f}{settled:>11}{mark}"
    )


if __name__ == "__main__":
    main()
