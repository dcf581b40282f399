"""`llms budgets`, `llms prices` and `llms run --dry-run`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.unit.cli.fake_server import FakeServer, invoke

if TYPE_CHECKING:
    from pathlib import Path

BUDGET = {
    "id": 1,
    "name": "team",
    "period": "month",
    "model": None,
    "key_id": None,
    "limit_microusd": 5_000_000,
    "spent_microusd": 4_100_000,
    "reserved_microusd": 100_000,
    "room_microusd": 800_000,
    "told_percent": 80,
}
APPLIED = {
    "model": "toy",
    "tier": "default",
    "source": "override",
    "override_id": 12,
    "valid_from": "2026-01-31T00:00:00.000Z",
    "input_nanousd": 150,
    "output_nanousd": 600,
    "cached_input_nanousd": None,
    "cache_write_nanousd": None,
    "request_nanousd": 0,
    "steps": [],
}


def answering(value: Any, status: int = 200) -> FakeServer:
    server = FakeServer()
    server.planned.append(lambda _: httpx2.Response(status, json=value))
    return server


def sent(server: FakeServer) -> tuple[str, str, Any]:
    request = server.requests[-1]
    return request.method, request.url.path, json.loads(request.content or b"null")


def test_budgets_are_listed_in_dollars() -> None:
    result = invoke(answering({"items": [BUDGET]}), "budgets", "list")

    assert all(text in result.stdout for text in ("team", "month", "every", "$5.00", "$4.10", "$0.80", "80 %"))


def test_amounts_are_given_in_dollars_and_sent_in_micro_usd() -> None:
    server = answering(BUDGET, 201)
    assert invoke(server, "budgets", "add", "team", "5", "--model", "toy").exit_code == 0
    assert sent(server) == (
        "POST",
        "/api/v1/budgets",
        {"name": "team", "limit_microusd": 5_000_000, "period": "month", "model": "toy", "key_id": None},
    )

    server = answering(BUDGET)
    result = invoke(server, "budgets", "top-up", "team", "$0.25")
    assert sent(server) == ("POST", "/api/v1/budgets/team/top-up", {"microusd": 250_000})
    assert "$0.25 more" in result.stderr

    server = answering(BUDGET)
    invoke(server, "budgets", "set", "team", "--limit", "10")
    assert sent(server) == ("PATCH", "/api/v1/budgets/team", {"limit_microusd": 10_000_000})


@pytest.mark.parametrize(
    "words", [("add", "team", "much"), ("top-up", "team", "0"), ("set", "team"), ("add", "team", "-1")]
)
def test_a_wrong_amount_is_wrong_usage(words: tuple[str, ...]) -> None:
    assert invoke(FakeServer(), "budgets", *words).exit_code == 2


def test_a_budget_is_removed_without_a_question_if_told_so() -> None:
    server = FakeServer()
    server.planned.append(lambda _: httpx2.Response(204))

    assert invoke(server, "budgets", "remove", "team", "--yes").exit_code == 0
    assert sent(server)[:2] == ("DELETE", "/api/v1/budgets/team")


def test_prices_are_shown_in_dollars_for_a_million_tokens() -> None:
    result = invoke(answering({"items": [APPLIED], "overrides": []}), "prices", "list")

    assert all(text in result.stdout for text in ("toy", "0.15", "0.6", "override 12", "2026-01-31"))


def test_a_price_is_set_in_dollars_for_a_million_tokens() -> None:
    server = answering({"id": 12})
    invoke(server, "prices", "set", "toy", "--input", "0.15", "--output", "0.0375")

    body = sent(server)[2]
    assert (body["input_nanousd"], body["output_nanousd"], "cached_input_nanousd" in body) == (150, 38, False)


def test_bad_lines_of_an_import_are_told_by_number(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text("model,input_usd_per_million\n")
    bad = [{"line": 3, "code": "invalid_request", "detail": "No rate is given."}]

    result = invoke(answering({"imported": 1, "rejected": bad, "rejected_total": 1}), "prices", "import", str(path))

    assert result.exit_code == 1
    assert f"{path}:3: No rate is given." in result.stderr


def test_a_dry_run_prints_costs_and_submits_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('"One"\n"Two"\n')
    server = answering(
        {
            "dry_run": True,
            "tasks": 2,
            "input_tokens": 20,
            "output_tokens": 512,
            "cost_microusd": {"expected": 310, "most": 5000},
            "unknown_prices": ["toy"],
            "budgets": [{"name": "team", "room_microusd": 1, "expected_microusd": 310, "most_microusd": 5000}],
            "finish_at": {"earliest": "2027-01-01T09:10:00.000Z", "latest": "2027-01-01T09:31:00.000Z"},
            "rejected": [],
            "rejected_total": 0,
        }
    )

    result = invoke(server, "run", str(path), "--model", "toy", "--dry-run")

    assert result.exit_code == 0, result.output
    assert "$0.00031 expected, $0.005 at most" in result.stdout
    assert all(
        text in result.stderr for text in ("llms prices set", "llms budgets top-up team", "Nothing was submitted")
    )
    assert server.requests[-1].url.params["dry_run"] == "true"
    assert not server.tasks


def test_a_run_still_needs_an_output(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('"One"\n')

    result = invoke(FakeServer(), "run", str(path), "--model", "toy")

    assert result.exit_code == 2
    assert "--output" in result.stderr
