"""SQL, ledger and the submitters' list side by side, at the end of a cell. Redis is never asked what happened."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from bench.faults.crowd import Heard
    from bench.faults.ledger import Ledger
    from bench.faults.loads import Load
    from bench.faults.stage import Stage, Strike

TERMINAL = frozenset({"completed", "failed", "cancelled", "expired"})
RESCUED_WITHIN_S = 14.0
"""ttl and two ticks of two seconds."""
FENCED_AFTER_MS = 7_000
"""A worker whose record is away for so long may fence itself, and its calls are made again."""
NUMBER = re.compile(r"task (\d+) takes")
ANSWER = re.compile(r"task (\d+) call (\d+)")


class Row(NamedTuple):
    """A task in the record."""

    id: int
    number: int
    status: str
    attempt: int
    failures: int
    crashes: int
    answer: str


class Start(NamedTuple):
    """An attempt in the record; instants in milliseconds of the wall clock."""

    task_id: int
    attempt: int
    started_at: int
    ended_at: int | None
    outcome: str
    is_accepted: bool


class Record(NamedTuple):
    """What SQL holds."""

    rows: list[Row]
    results: Counter[int]
    starts: list[Start]


def read_record(stage: Stage) -> Record:
    """Everything that the judgement needs."""
    rows = [
        Row(int(row[0]), _number(row[5]), row[1], int(row[2]), int(row[3]), int(row[4]), row[6])
        for row in stage.query("SELECT id, status, attempt, failures, crashes, input, output FROM tasks")
    ]
    results = Counter(int(row[0]) for row in stage.query("SELECT task_id FROM results"))
    starts = [
        Start(int(row[0]), int(row[1]), int(row[2]), None if row[3] == "NULL" else int(row[3]), row[4], row[5] == "1")
        for row in stage.query("SELECT task_id, attempt, started_at, ended_at, outcome, is_accepted FROM attempts")
    ]
    return Record(rows, results, starts)


def _number(text: str) -> int:
    found = NUMBER.search(text)
    return int(found[1]) if found else -1


@dataclass
class Figures:
    """One cell of the table."""

    fault: str
    load: str
    seed: int
    accepted: int = 0
    unanswered: int = 0
    """Requests that never got an answer, in tasks."""
    lost: int = 0
    duplicate_tasks: int = 0
    duplicate_results: int = 0
    wrong_results: int = 0
    calls: int = 0
    duplicate_calls: int = 0
    duplicate_bound: int = 0
    unrecorded_calls: int = 0
    """Calls beyond the attempts that the record knows of."""
    stuck: int = 0
    leaked: int = 0
    freed_s: float = 0.0
    """How long the index held something after everything was over."""
    over: int = 0
    over_allowed: int = 0
    over_rate: int = 0
    cancels_undone: int = 0
    failed: int = 0
    crashes: int = 0
    silence_s: float = 0.0
    rescue_s: float = 0.0
    done_s: float = 0.0
    submit_p50_ms: float = 0.0
    submit_p99_ms: float = 0.0
    submit_max_ms: float = 0.0
    refused: dict[str, int] = field(default_factory=dict)
    deaths: int = 0
    """Processes that ended although nobody had struck them."""
    took_s: float = 0.0
    broken: list[str] = field(default_factory=list)
    """The bars that do not hold."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def judge(figures: Figures, record: Record, ledger: Ledger, heard: Heard, stage: Stage, load: Load) -> None:
    """Fill in the counts."""
    _tasks(figures, record, heard)
    _results(figures, record, ledger)
    _calls(figures, record, ledger, stage.strikes)
    figures.over, _ = ledger.over_concurrency(load.limits)
    figures.over_allowed = sum(_starts_during(record, strike) for strike in stage.strikes if strike.takes_index)
    if "rpm" in load.per_minute:
        figures.over_rate = ledger.over_rate("m", load.per_minute["rpm"])
    if "tpm" in load.per_minute:
        figures.over_rate += ledger.over_rate("m", load.per_minute["tpm"], by_tokens=True)
    _times(figures, record, ledger, heard, stage)


def _tasks(figures: Figures, record: Record, heard: Heard) -> None:
    by_number: defaultdict[int, list[Row]] = defaultdict(list)
    for row in record.rows:
        by_number[row.number].append(row)
    figures.accepted = len(heard.acknowledged)
    figures.unanswered = len(heard.given_up)
    figures.lost = sum(
        not any(task_id in (None, row.id) for row in by_number[number])
        for number, task_id in heard.acknowledged.items()
    )
    figures.duplicate_tasks = sum(len(rows) - 1 for rows in by_number.values())
    figures.stuck = sum(row.status not in TERMINAL for row in record.rows)
    figures.failed = sum(row.status == "failed" for row in record.rows)
    figures.crashes = sum(row.crashes for row in record.rows)
    figures.cancels_undone = sum(row.status != "cancelled" for n in heard.cancelled for row in by_number[n])
    figures.refused = dict(heard.refused)


def _results(figures: Figures, record: Record, ledger: Ledger) -> None:
    accepted = Counter(start.task_id for start in record.starts if start.is_accepted and start.outcome == "completed")
    figures.duplicate_results = sum(count - 1 for count in accepted.values())
    figures.duplicate_results += sum(count - 1 for count in record.results.values())
    good = {call.serial: call.task for call in ledger.calls if call.how == "ok"}
    for row in record.rows:
        has_result = row.id in record.results
        if row.status != "completed":
            figures.wrong_results += has_result
            continue
        said = ANSWER.fullmatch(row.answer)
        fits = said is not None and int(said[1]) == row.number and good.get(int(said[2])) == row.number
        figures.wrong_results += not (fits and has_result)


def _calls(figures: Figures, record: Record, ledger: Ledger, strikes: list[Strike]) -> None:
    figures.calls = len(ledger.calls)
    figures.duplicate_calls = ledger.duplicates()
    for strike in strikes:
        is_fencing = strike.kind.startswith("sql") and strike.end_ms - strike.begin_ms > FENCED_AFTER_MS
        if strike.takes_calls or is_fencing:
            figures.duplicate_bound += sum(
                start.started_at <= strike.struck_at and (start.ended_at is None or start.ended_at >= strike.begin_at)
                for start in record.starts
            )
    attempts = Counter({row.number: row.attempt for row in record.rows})
    figures.unrecorded_calls = sum(max(0, len(calls) - attempts[task]) for task, calls in ledger.by_task.items())


def _starts_during(record: Record, strike: Strike) -> int:
    """Claims that were on their way to their START when the index was lost."""
    return sum(strike.begin_at - 50 <= start.started_at <= strike.end_at + 250 for start in record.starts)


def _times(figures: Figures, record: Record, ledger: Ledger, heard: Heard, stage: Stage) -> None:
    strikes, alone = stage.strikes, stage.shape == "embedded"
    if strikes:
        begin_ms, end_ms = strikes[0].begin_ms, max(strike.end_ms for strike in strikes)
    else:
        begin_ms = end_ms = ledger.calls[0].at_ms if ledger.calls else 0
    figures.silence_s = ledger.longest_silence_ms(begin_ms) / 1000
    last_ms = max((call.ended_ms or call.at_ms for call in ledger.calls), default=end_ms)
    figures.done_s = max(0, last_ms - end_ms) / 1000
    waits = heard.waits_ms(begin_ms / 1000, end_ms / 1000 + 1) or heard.waits_ms(0, float("inf"))
    if waits:
        ordered = sorted(waits)
        figures.submit_p50_ms = ordered[len(ordered) // 2]
        figures.submit_p99_ms = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        figures.submit_max_ms = ordered[-1]
    kills = [strike for strike in strikes if strike.takes_calls]
    for start in record.starts:
        if start.outcome == "crashed" and start.ended_at is not None:
            # Where nobody is left there is nobody to rescue before the first is back.
            begins = [strike.end_at if alone or strike.takes_all else strike.begin_at for strike in kills]
            begins += [back_at for _, back_at in stage.unattended]
            before = [at for at in begins if at <= start.ended_at]
            if before:
                figures.rescue_s = max(figures.rescue_s, (start.ended_at - max(before)) / 1000)


def bars(figures: Figures, *, may_fail: bool, is_clean: bool) -> list[str]:
    """What does not hold.

    Args:
        figures: counted.
        may_fail: dead letters are by design.
        is_clean: no call was taken from anyone: no crash may be counted, no task may fail.
    """
    broken = [
        name
        for name in (
            "lost", "unanswered", "duplicate_tasks", "duplicate_results", "wrong_results", "unrecorded_calls",
            "stuck", "leaked", "over_rate", "cancels_undone", "deaths",
        )
        if getattr(figures, name)
    ]  # fmt: skip
    if figures.duplicate_calls > figures.duplicate_bound:
        broken.append("duplicate_calls")
    if figures.over > figures.over_allowed:
        broken.append("over")
    if figures.failed and not may_fail:
        broken.append("failed")
    if figures.crashes and is_clean:
        broken.append("crashes")
    if figures.rescue_s > RESCUED_WITHIN_S:
        broken.append("rescue_s")
    return broken
