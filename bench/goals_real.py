"""Goal 1: real runs of g1 to g4 beside their simulation.

The whole embedded server (record on disk, index, worker, provider over HTTP) works through a goal case at the speed
that it states, against a provider in another process whose calls take the stated time. What was recorded is measured
with the simulator's own figures and compared with a simulation of the same: same requests, same limits kept the same
way. Tasks are submitted inside the process, because each belongs to one of the case's tenants.

A slot is taken for longer than the provider needs: by the way there and back, and until the next call starts in it.
And a task is recorded some milliseconds after it is due. Both are measured in the run and belong to the simulation,
too: they move who comes when, and with that the last percent of a class, by chance. So it is run nine times, the tasks
coming when they really came and each call with a time of ours drawn anew from those measured, and the median of each
figure counts. What a simulation without them says is counted beside.

`python -m bench.goals_real [--quick] [--case g1 …] [--strategy fair …]`. Everything takes 25 to 40 minutes; `--quick`
runs `fair` and `fifo` on g2, two and a half minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import rig, scenarios
from bench.scenarios import PURE
from llm_scheduler.app.installation import Installation
from llm_scheduler.app.keys import open_keys
from llm_scheduler.app.server import loop_factory, tune
from llm_scheduler.app.simulating import scene
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, TaskId, TenantId
from llm_scheduler.domain.model import ModelOptions
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.ports.history import Mark
from llm_scheduler.services.models import new_model
from llm_scheduler.settings import load as load_settings
from llm_scheduler.simulation.load import CLASSES
from llm_scheduler.simulation.measures import measured
from llm_scheduler.simulation.run import Run, replay
from llm_scheduler.simulation.setting import Estimate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from llm_scheduler.simulation.load import Load, Request
    from llm_scheduler.simulation.measures import Measures
    from llm_scheduler.simulation.setting import Setting

STRATEGIES = ("fifo", "priority", "fair", "wfq", "tenant_first", "deadline", "shortest")
CASES = ("g1", "g2", "g3", "g4")
DRAWS = 9
RUNS = 3
"""Of a case whose first run missed a figure."""
MANY = 4_000
"""Calls at once where only tokens are limited."""
_LONGEST_GAP_MS = 20
"""A slot that was empty for longer had nobody waiting."""
_TOKENS_A_BYTE = 1.3 / 4
_PLAIN_TOKENS_A_BYTE = 1 / 4
"""Of the estimate before its factor: what sorts calls by length of input, for those who predict their output."""
_ENVELOPE = len(b'{"messages":[{"role":"user","content":""}]}')


@contextlib.contextmanager
def provider() -> Iterator[str]:
    """Base URL of a timed stub in a process of its own."""
    command = [sys.executable, "-m", "bench.timed_stub"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=rig.ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.stdin.close()
        process.wait(10)


@contextlib.asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[Installation]:
    """An embedded server without its HTTP side."""
    settings, _ = load_settings({"data_dir": folder, "max_running": MANY}, {})
    made = Installation(settings, open_keys(settings))
    await made.open()
    try:
        yield made
    finally:
        await made.drain(5)
        await made.close()


class Draft:
    """A task as a caller words it; what is not said is None."""

    def __init__(self, request: Request, speed: float, tokens_a_byte: float) -> None:
        word = f"svc={(request.service_s or 0.0) / speed:.6f} in={request.input_tokens} out={request.output_tokens} "
        # As long as its plain estimate says that it has the trace's input.
        filler = "x" * max(0, math.floor(request.input_tokens / tokens_a_byte) - _ENVELOPE - len(word))
        self.model, self.type, self.priority, self.max_retries = "m", "chat", request.priority, 0
        self.input = {"messages": [{"role": "user", "content": word + filler}]}
        self.plain_tokens = (_ENVELOPE + len(word + filler)) // 4

    def __getattr__(self, name: str) -> None:
        return None


class Real(NamedTuple):
    """The case as it really ran, in seconds of the trace, with the mean time to completion.

    `came_s`: when each task was recorded, since the first; `own_s`: how long a slot was taken beyond the provider's
    time, of each call; both in real seconds.
    """

    run: Run
    completion_s: float
    came_s: Sequence[float]
    own_s: Sequence[float]


async def real(load: Load, setting: Setting, speed: float, base_url: str) -> Real:
    """The case as it really runs."""
    with tempfile.TemporaryDirectory(prefix="llms-bench-") as folder:
        async with installation(Path(folder) / "data") as made:
            for number in range(len({one.tenant for one in load.requests})):
                await made.store.save_tenant(Tenant(TenantId(DEFAULT_TENANT + number), f"tenant {number}"))
            await made.models.load()
            config = {"base_url": base_url, "api_key": "sk-bench-000000000", "stream": False}
            await made.models.add(
                new_model(
                    tenant_id=DEFAULT_TENANT,
                    name="m",
                    type="openai",
                    config=config,
                    max_workers=setting.workers or MANY,
                    tpm=None if setting.tpm is None else round(setting.tpm * speed),
                    strategy=setting.strategy,
                    starve_after_s=setting.starve_after_s,
                    options=ModelOptions(strategy_options=dict(setting.options)),
                )
            )
            ids = await _submitted(made, load, setting, speed)
            while made.broker.waiting() or await made.broker.slots():
                await asyncio.sleep(0.05)
            return await _recorded(made, load, setting, ids, speed)


def drafts_of(load: Load, setting: Setting, speed: float) -> list[Draft]:
    """Where tokens are limited, the input's estimate is the trace's; else it is what calls are predicted by."""
    tokens_a_byte = _PLAIN_TOKENS_A_BYTE if setting.tpm is None else _TOKENS_A_BYTE
    return [Draft(one, speed, tokens_a_byte) for one in load.requests]


async def _submitted(made: Installation, load: Load, setting: Setting, speed: float) -> list[TaskId]:
    """Each when it is due, as its tenant's."""
    names = sorted({one.tenant for one in load.requests})
    tenants = {name: TenantId(DEFAULT_TENANT + number) for number, name in enumerate(names)}
    drafts = drafts_of(load, setting, speed)
    submissions, loop = made.submissions, asyncio.get_running_loop()
    began, ids = loop.time(), list[TaskId]()
    while len(ids) < len(drafts):
        due = len(ids)
        while due < len(drafts) and load.requests[due].at_s / speed <= loop.time() - began:
            due += 1
        if due > len(ids):
            numbers = range(len(ids), due)
            tasks = [submissions.check(drafts[n], tenants[load.requests[n].tenant]) for n in numbers]  # type: ignore[arg-type]
            ids += [done.task_id for done in await submissions.submit(tasks)]
        else:
            await asyncio.sleep(max(0.001, load.requests[due].at_s / speed - (loop.time() - began)))
    return ids


async def _recorded(made: Installation, load: Load, setting: Setting, ids: Sequence[TaskId], speed: float) -> Real:
    number_of = {task_id: number for number, task_id in enumerate(ids)}
    started, came_ms = [0.0] * len(ids), [0] * len(ids)
    took_s: list[float] = []
    over_ms: list[float] = []
    starts: list[int] = []
    ends: list[int] = []
    after = Mark(Millis(0), TaskId(-1), 0)
    until = Millis(made.clock.now() + 1)
    while page := await made.store.history(after, until, 5_000):
        for call in page:
            number = number_of[call.task_id]
            started[number] = load.requests[number].at_s + (call.started_at - call.queued_at) / 1000 * speed
            came_ms[number] = call.queued_at
            took_s.append((call.ended_at - call.queued_at) / 1000 * speed)
            over_ms.append(call.ended_at - call.started_at - (load.requests[number].service_s or 0.0) / speed * 1000)
            starts.append(call.started_at)
            ends.append(call.ended_at)
        after = Mark(page[-1].ended_at, page[-1].task_id, page[-1].attempt)
    if len(took_s) != len(ids):
        raise SystemExit(f"{len(ids)} tasks were submitted, {len(took_s)} calls ended")
    order = tuple(sorted(range(len(ids)), key=started.__getitem__))
    run = Run(load, setting, tuple(started), order, (0,) * len(ids))
    gap_ms = _gap_ms(starts, ends, setting.workers)
    own_s = [max(0.0, one + gap_ms) / 1000 for one in over_ms]
    first_s = load.requests[0].at_s / speed
    came_s = [first_s + (one - came_ms[0]) / 1000 for one in came_ms]
    return Real(run, sum(took_s) / len(took_s), came_s, own_s)


def _gap_ms(starts: Sequence[int], ends: Sequence[int], slots: int | None) -> float:
    """From the end of a call to the start of the next in its slot, in the mean where one waited; 0 without slots."""
    if slots is None:
        return 0.0
    gaps = [start - end for start, end in zip(sorted(starts)[slots:], sorted(ends), strict=False)]
    return statistics.mean([gap for gap in gaps if 0 <= gap <= _LONGEST_GAP_MS] or [0.0])


async def simulated(
    load: Load, setting: Setting, speed: float, estimate: Estimate, came_s: Sequence[float], more_s: Sequence[float]
) -> Measures:
    """The same at the same speed, in seconds of the trace.

    Of each request in real seconds: `came_s` when it comes, `more_s` by how much its call takes longer than it should.
    """
    fast = [
        one._replace(at_s=at_s, service_s=(one.service_s or 0.0) / speed + longer_s)
        for one, at_s, longer_s in zip(load.requests, came_s, more_s, strict=True)
    ]
    if setting.tpm is None:
        # A request cannot be shorter than the words that tell the provider what to do.
        drafts = drafts_of(load, setting, speed)
        fast = [one._replace(input_tokens=draft.plain_tokens) for one, draft in zip(fast, drafts, strict=True)]
    limits = setting._replace(tpm=None if setting.tpm is None else setting.tpm * speed, estimate=estimate)
    run = await replay(load._replace(requests=tuple(fast)), limits, scene)
    started_s = tuple(
        one.at_s + (started - at_s) * speed
        for one, started, at_s in zip(load.requests, run.started_s, came_s, strict=True)
    )
    return measured(run._replace(load=load, setting=setting, started_s=started_s))


class Row(NamedTuple):
    """A figure of the real run and of its simulation; a floor may be exceeded by any amount."""

    name: str
    real: float
    sim: float
    leeway: float
    is_floor: bool = False

    @property
    def is_near(self) -> bool:
        if self.is_floor:
            return self.real >= self.sim - self.leeway
        return abs(self.real - self.sim) <= self.leeway


def rows_of(ran: Real, sim: Measures, speed: float) -> list[Row]:
    """Real, simulated, how far it may be off."""
    got = measured(ran.run)
    rows = [
        Row("mean wait", got.all.mean_s, sim.all.mean_s, 0.05 * sim.all.mean_s + 0.5),
        Row("completion", ran.completion_s, sim.completion_mean_s, 0.05 * sim.completion_mean_s + 0.5),
    ]
    for name in CLASSES:
        real_s, sim_s = got.by_class[name].p99_s, sim.by_class[name].p99_s
        rows.append(Row(f"p99 {name}", real_s, sim_s, 0.1 * sim_s + 0.05 * speed))
    rows += [
        Row("in time", got.all.in_time, sim.all.in_time, 0.02, is_floor=True),
        Row("Jain", got.fairness.jain, sim.fairness.jain, 0.02, is_floor=True),
        Row("worst share", got.fairness.worst_share, sim.fairness.worst_share, 0.05, is_floor=True),
    ]
    return rows


def median_of(draws: Sequence[Sequence[Row]]) -> list[Row]:
    """Of each figure the median, what is real, what was simulated and how far it may be off each for itself."""
    return [
        column[0]._replace(
            real=statistics.median([one.real for one in column]),
            sim=statistics.median([one.sim for one in column]),
            leeway=statistics.median([one.leeway for one in column]),
        )
        for column in zip(*draws, strict=True)
    ]


def compare(title: str, rows: Sequence[Row]) -> bool:
    """A line for each figure."""
    for row in rows:
        floor = f">= {row.sim - row.leeway:.3f}"
        needed = floor if row.is_floor else f"{row.sim:.2f} +- {row.leeway:.2f}"
        rig.verdict(f"{title}, {row.name}", f"{row.real:.3f}", needed, row.is_near)
    return all(row.is_near for row in rows)


def one(case: str, strategy: str, base_url: str, estimate: Estimate, slower: float) -> bool:
    """One case under one strategy, thrice if the first run misses a figure."""
    title = f"{case} {strategy} x{float(scenarios.case_of(case)['speed']) / slower:g}"
    runs = [once(case, strategy, base_url, estimate, slower)]
    if compare(title, runs[0]):
        return True
    for number in range(2, RUNS + 1):
        runs.append(once(case, strategy, base_url, estimate, slower))
        compare(f"{title}, run {number}", runs[-1])
    return compare(f"{title}, median of {RUNS} runs", median_of(runs))


def once(case: str, strategy: str, base_url: str, estimate: Estimate, slower: float) -> list[Row]:
    """A real run beside its simulations."""
    load, setting = scenarios.goal_case(case)
    speed = float(scenarios.case_of(case)["speed"]) / slower
    options: dict[str, Any] = PURE if strategy == "shortest" else {}
    # The stub tells no limits in headers: the configured ones are kept, as the simulation keeps them.
    setting = scenarios.ruled(setting, strategy)._replace(options=options, burst_s=None)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        ran = runner.run(real(load, setting, speed, base_url))
    count = len(load.requests)

    def told(came_s: Sequence[float], more_s: Sequence[float]) -> list[Row]:
        return rows_of(ran, asyncio.run(simulated(load, setting, speed, estimate, came_s, more_s)), speed)

    bare_rows = told([each.at_s / speed for each in load.requests], [0.0] * count)
    draws = [told(ran.came_s, random.Random(draw).choices(ran.own_s, k=count)) for draw in range(DRAWS)]
    far = [f"{row.name} {row.real:.3f}, simulated {row.sim:.3f}" for row in bare_rows if not row.is_near]
    own_ms = 1000 * statistics.median(ran.own_s)
    count_near = len(bare_rows) - len(far)
    print(f"     without our own {own_ms:.1f} ms of each call {count_near} of {len(bare_rows)}", *far, sep="; ")
    return median_of(draws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--case", nargs="*", choices=CASES, default=None)
    parser.add_argument("--strategy", nargs="*", choices=STRATEGIES, default=None)
    promise = "what the server expects to come out of a call"
    parser.add_argument("--estimate", choices=[one.value for one in Estimate], default="learned", help=promise)
    busy = "run so many times slower than the case states: on a busy machine the server's own time weighs less"
    parser.add_argument("--slower", type=float, default=1.0, help=busy)
    given = parser.parse_args()
    cases = given.case or (("g2",) if given.quick else CASES)
    strategies = given.strategy or (("fair", "fifo") if given.quick else STRATEGIES)
    tune()
    print(rig.machine())
    reached = []
    with provider() as base_url:
        for case in cases:
            for strategy in strategies:
                reached.append(one(case, strategy, base_url, Estimate(given.estimate), given.slower))
    rig.verdict(
        "1    real runs like their simulation in every figure", f"{sum(reached)} of {len(reached)}", "all", all(reached)
    )


if __name__ == "__main__":
    main()
