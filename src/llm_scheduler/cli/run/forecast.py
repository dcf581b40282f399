"""`llms run --dry-run`: what a file would cost, and when it would be done. Nothing is submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from llm_scheduler.cli.connection import Call
from llm_scheduler.cli.screen import count, local_time, money, say, show_facts, show_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_scheduler.cli.invocation import Invocation
    from llm_scheduler.cli.run.source import Source

_MOST_LINES: Final = 50_000
_MOST_BYTES: Final = 64 * 1024 * 1024
_READ_AT_ONCE: Final = 1_000
_READ_S: Final = 300.0


def forecast(invocation: Invocation, lines: Source) -> None:
    """Ask the server about every line, and print the answer."""
    whole: dict[str, Any] = {}
    with invocation.connect() as connection:
        for content in _parts(lines):
            call = Call(
                "POST",
                "/api/v1/tasks/bulk",
                {"dry_run": "true"},
                content=content,
                headers={"Content-Type": "application/x-ndjson"},
                read_s=_READ_S,
                is_repeatable=True,
            )
            whole = _joined(whole, connection.send(call))
    if invocation.is_json:
        show_json(whole)
    else:
        _tell(whole)
    if whole.get("rejected_total"):
        raise click.exceptions.Exit(1)


def _parts(lines: Source) -> Iterator[bytes]:
    """All lines as tasks, in as few requests as the server takes."""
    rows: list[bytes] = []
    size = 0
    for first in range(0, len(lines.numbers), _READ_AT_ONCE):
        for line in lines.read(list(lines.numbers[first : first + _READ_AT_ONCE])):
            row = orjson.dumps(line.task)
            if rows and (len(rows) == _MOST_LINES or size + len(row) > _MOST_BYTES):
                yield b"\n".join(rows)
                rows, size = [], 0
            rows.append(row)
            size += len(row)
    if rows:
        yield b"\n".join(rows)


def _joined(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Sums; the later end of the range is that of the part that ends last, which knows nothing of the others."""
    if not whole:
        return part
    joined = dict(part)
    for name in ("tasks", "input_tokens", "output_tokens", "rejected_total"):
        joined[name] = whole[name] + part[name]
    joined["cost_microusd"] = {
        name: whole["cost_microusd"][name] + part["cost_microusd"][name] for name in ("expected", "most")
    }
    joined["unknown_prices"] = sorted({*whole["unknown_prices"], *part["unknown_prices"]})
    joined["rejected"] = [*whole["rejected"], *part["rejected"]]
    budgets = {one["name"]: one for one in whole["budgets"]}
    for one in part["budgets"]:
        before = budgets.get(one["name"], {"expected_microusd": 0, "most_microusd": 0})
        sums = {name: before[name] + one[name] for name in ("expected_microusd", "most_microusd")}
        budgets[one["name"]] = {**one, **sums}
    joined["budgets"] = list(budgets.values())
    ends = [one["finish_at"] for one in (whole, part) if one["finish_at"]]
    joined["finish_at"] = {name: max(end[name] for end in ends) for name in ("earliest", "latest")} if ends else None
    return joined


def _tell(found: dict[str, Any]) -> None:
    cost, finish = found["cost_microusd"], found["finish_at"]
    show_facts(
        [
            ("tasks", count(found["tasks"])),
            ("input tokens", count(found["input_tokens"])),
            ("output tokens", count(found["output_tokens"])),
            ("cost", f"{money(cost['expected'])} expected, {money(cost['most'])} at most"),
            ("done", f"{local_time(finish['earliest'])} to {local_time(finish['latest'])}" if finish else None),
        ]
    )
    if found["unknown_prices"]:
        say(f"No price is known of: {', '.join(found['unknown_prices'])}. Set one: llms prices set --help")
    for budget in found["budgets"]:
        say(
            f"Budget '{budget['name']}' has {money(max(budget['room_microusd'], 0))} left, and they may cost "
            f"{money(budget['most_microusd'])}: what has no room is held. More: llms budgets top-up {budget['name']}"
        )
    by_detail: dict[str, list[int]] = {}
    for line in found["rejected"]:
        by_detail.setdefault(line["detail"], []).append(line["line"])
    for detail, numbers in by_detail.items():
        where = f"line {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} lines, {numbers[0]} to {numbers[-1]}"
        say(f"{where}: {detail}")
    say("Nothing was submitted.")
