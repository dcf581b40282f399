"""`llms models predict`."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.cli.fake_server import FakeServer, invoke

EXPECTED = {"output_tokens": 1234.4, "service_s": 2.5, "input_factor": 0.914, "samples": 40, "model_samples": 90}
LEARNED = [{"template": "sum", "input_tokens_from": 64, "input_tokens_to": 127, **EXPECTED}]


def server(expected: dict[str, Any], learned: list[dict[str, Any]]) -> FakeServer:
    made = FakeServer()
    made.predictions = {"model": "toy", "expected": expected, "learned": learned}
    return made


def test_what_is_expected_is_told_with_what_was_learned() -> None:
    it = server(EXPECTED, LEARNED)

    result = invoke(it, "models", "predict", "toy", "--template", "sum", "--input-tokens", "100")

    assert result.exit_code == 0, result.output
    assert dict(it.requests[-1].url.params) == {"template": "sum", "input_tokens": "100"}
    assert "output tokens  1 234" in result.stdout
    assert "2.5 s" in result.stdout
    assert [line.split() for line in result.stdout.splitlines() if line.startswith("sum")] == [
        ["sum", "64–127", "1", "234", "2.5", "s", "0.91", "40"]
    ]


def test_a_model_without_answers_says_so() -> None:
    nothing = {"output_tokens": 256, "service_s": None, "input_factor": 1.3, "samples": 0, "model_samples": 0}

    result = invoke(server(nothing, []), "models", "predict", "toy")

    assert result.exit_code == 0, result.output
    assert "has answered no call yet" in result.stderr
    assert "time" not in result.stdout


def test_json_is_the_servers_answer() -> None:
    result = invoke(server(EXPECTED, LEARNED), "models", "predict", "toy", "--json")

    assert json.loads(result.stdout)["expected"] == EXPECTED


def test_a_model_that_is_not_there_is_told() -> None:
    result = invoke(FakeServer(), "models", "predict", "nope")

    assert result.exit_code != 0
    assert "nope" in result.output
