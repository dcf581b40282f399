"""A case's database, ledger and log side by side: what is wrong with them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from tests.failpoints.grounds import EVIDENCE, Rows
from tests.failpoints.journeys import NUMBERS, ends
from tests.failpoints.table import Case

TERMINAL = frozenset({"completed", "failed", "cancelled", "expired"})


class Evidence(NamedTuple):
    """What was left behind."""

    tasks: list[dict[str, Any]]
    attempts: dict[int, list[dict[str, Any]]]
    results: Counter[int]
    calls: Counter[tuple[int, int]]
    log: list[list[str]]


def evidence(folder: Path) -> Evidence:
    """Read it all."""
    found: Rows = json.loads((folder / EVIDENCE).read_text())
    attempts: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in found["attempts"]:
        attempts[row["task_id"]].append(row)
    results = Counter(row["task_id"] for row in found["results"])
    ledger = folder / "ledger"
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    calls = Counter((int(task), int(attempt)) for task, attempt, _ in (line.split() for line in lines))
    log = [line.split() for line in (folder / "log").read_text().splitlines()]
    return Evidence(found["tasks"], attempts, results, calls, log)


def wrongs(case: Case, folder: Path, codes: list[int]) -> list[str]:
    """Everything that is not as it must be; empty = passed."""
    found = [] if codes and codes[-1] == 0 else [f"the last process did not come to rest: {codes} {_tail(folder)}"]
    seen = evidence(folder)
    if not any(line == ["fired"] for line in seen.log):
        found.append("the point was never met")
    found += [" ".join(line) for line in seen.log if line[0] == "problem"]
    found += _tasks(case, seen)
    for task in seen.tasks:
        found += [f"task {task['id']}: {wrong}" for wrong in _task(task, seen)]
    return found


def _tail(folder: Path) -> str:
    return " | ".join(path.read_text()[-1500:] for path in sorted(folder.glob("output*")))


def _tasks(case: Case, seen: Evidence) -> list[str]:
    """Each number is there once, whatever was repeated, under the id that was acknowledged, with a right end."""
    found: list[str] = []
    by_number: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for task in seen.tasks:
        by_number[int(task["input"].partition("number ")[2].partition('"')[0])].append(task)
    for line in seen.log:
        if line[0] == "ack" and int(line[2]) not in [task["id"] for task in by_number[int(line[1])]]:
            found.append(f"number {line[1]} was acknowledged as task {line[2]} and is lost")
        if line[0] == "cancelled" and by_number[int(line[1])][0]["status"] != "cancelled":
            found.append(f"number {line[1]}: its cancel was acknowledged and undone")
    for number in range(1, NUMBERS[case.journey] + 1):
        rows = by_number[number]
        if len(rows) != 1:
            found.append(f"number {number} is there {len(rows)} times")
        found += [
            f"number {number} ended as {row['status']}"
            for row in rows
            if row["status"] not in ends(case.journey, number)
        ]
    return found


def _task(task: dict[str, Any], seen: Evidence) -> list[str]:
    """One result; every call recorded before it was made, and none made twice; every attempt ended and counted."""
    attempts, task_id = seen.attempts[task["id"]], task["id"]
    outcomes = Counter(one["outcome"] for one in attempts)
    accepted = sum(one["is_accepted"] and one["outcome"] == "completed" for one in attempts)
    # A session that was given up and still brings an answer, after another's was taken: its attempt says both.
    late = sum(not one["is_accepted"] and one["outcome"] == "completed" for one in attempts)
    is_completed = task["status"] == "completed"
    # An answer that comes after a cancel is its attempt's end, paid for, and nobody's result (C3).
    is_discarded = task["status"] == "cancelled" and accepted == 1
    calls = {attempt: count for (id_, attempt), count in seen.calls.items() if id_ == task_id}
    was_requeued = task["attempt"] > 1 and task["failures"] == 0 and outcomes["failed"]
    checks = {
        "it has not one result": seen.results[task_id] == int(is_completed),
        "not one attempt gave its result": accepted == int(is_completed) or is_discarded,
        "an attempt is missing": [one["attempt"] for one in attempts] == list(range(1, task["attempt"] + 1)),
        "an attempt has no end": all(one["ended_at"] is not None and one["outcome"] for one in attempts),
        "an attempt made two calls": all(count == 1 for count in calls.values()),
        "a call was made before its START": all(attempt <= task["attempt"] for attempt in calls),
        "failures are miscounted": was_requeued or task["failures"] == outcomes["failed"],
        "crashes are miscounted": was_requeued or outcomes["crashed"] <= task["crashes"] <= outcomes["crashed"] + late,
        "it is owned by somebody": task["owner"] is None,
    }
    return [
        f"{wrong} ({dict(outcomes)}, attempt {task['attempt']})" for wrong, is_right in checks.items() if not is_right
    ]
