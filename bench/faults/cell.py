"""One cell: a load, a fault in the middle of it, then quiescence and judgement."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

from bench.faults.crowd import Crowd
from bench.faults.faults import FAULTS
from bench.faults.judge import TERMINAL, Figures, bars, judge, read_record
from bench.faults.loads import LOADS
from bench.faults.stage import clustered, embedded, mono_ms

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.rig.mariadb import MariaDb

    from bench.faults.faults import Fault
    from bench.faults.loads import Load, Posting
    from bench.faults.stage import Stage

STUCK_AFTER_S = 60.0
NO_PROGRESS_S = 30.0
LEAKED_AFTER_S = 60.0
STRIKES_WITHIN_S = 60.0


def play(
    folder: Path, fault: Fault, load: Load, seed: int, *, maria: MariaDb | None = None, scale: float = 1.0
) -> Figures:
    """Play one cell; MariaDB makes it a cluster."""
    figures = Figures(fault.name, load.name, seed)
    rng = Random(f"{fault.name} {load.name} {seed}")
    began_s = time.monotonic()
    with _stage(folder, fault, maria) as stage:
        stage.add_models(load, fault.config)
        postings = load.make(scale, rng)
        crowd = Crowd(stage.urls, postings, f"{load.name}-{seed}")
        crowd.begin()
        _until_under_way(stage, load, postings, crowd)
        fault.play(stage, rng)
        whole_s = time.monotonic()
        crowd.join(STUCK_AFTER_S * 2)
        _until_over(stage, sum(len(posting.items) for posting in postings), whole_s)
        quiet_s = time.monotonic()
        figures.leaked = _leaks(stage)
        figures.freed_s = time.monotonic() - quiet_s
        figures.deaths = stage.deaths
        record, ledger = read_record(stage), stage.oracle.ledger()
        judge(figures, record, ledger, crowd.heard, stage, load)
        is_clean = not any(strike.takes_calls for strike in stage.strikes)
        figures.broken = bars(figures, may_fail=fault.may_fail, is_clean=is_clean)
        if any(code != 0 for code in stage.stop()):
            figures.broken.append("exit code")
    figures.took_s = time.monotonic() - began_s
    return figures


def named(
    folder: Path, fault: str, load: str, seed: int, *, maria: MariaDb | None = None, scale: float = 1.0
) -> Figures:
    """`play`, by names."""
    return play(folder, FAULTS[fault], LOADS[load], seed, maria=maria, scale=scale)


def _stage(folder: Path, fault: Fault, maria: MariaDb | None) -> AbstractContextManager[Stage]:
    return embedded(folder, fault.needs) if maria is None else clustered(folder, fault.needs, maria)


def _until_under_way(stage: Stage, load: Load, postings: list[Posting], crowd: Crowd) -> None:
    """Until the share of tasks at which the fault strikes has been called."""
    aim = load.strike_at * sum(len(posting.items) for posting in postings)
    until_s = time.monotonic() + STRIKES_WITHIN_S
    while stage.oracle.stats()["tasks"] < aim:
        if time.monotonic() > until_s:
            raise AssertionError(f"the load does not get under way: {stage.statuses()}, {crowd.heard.refused}")
        time.sleep(0.02)


def _until_over(stage: Stage, total: int, whole_s: float) -> None:
    """Until every task is over, or nothing moves any more a minute after the last fault."""
    over, moved_s = -1, time.monotonic()
    while True:
        stage.supervise()
        statuses = stage.statuses()
        now_over = sum(count for status, count in statuses.items() if status in TERMINAL)
        if now_over == sum(statuses.values()) >= total:
            return
        now_s = time.monotonic()
        if now_over != over:
            over, moved_s = now_over, now_s
        if now_s - whole_s > STUCK_AFTER_S and now_s - moved_s > NO_PROGRESS_S:
            return
        time.sleep(0.25)


def _leaks(stage: Stage) -> int:
    """Slots and entries that the index still holds when nothing is left to do."""
    until_ms = mono_ms() + int(LEAKED_AFTER_S * 1000)
    while (held := stage.held()) and mono_ms() < until_ms:
        time.sleep(0.2)
    return held
