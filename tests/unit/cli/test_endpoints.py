"""`llms models endpoints …`, and what a model is registered with beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from click.testing import CliRunner
from tests.unit.cli.fake_server import FakeServer, answer_json, invoke

from llm_scheduler.cli.main import main

if TYPE_CHECKING:
    from click.testing import Result

EU = {
    "name": "eu",
    "config": {"base_url": "https://eu.test/v1", "api_key": "sk-…1234"},
    "weight": 2.0,
    "max_workers": 8,
    "rpm": 600,
    "tpm": None,
    "is_drained": False,
    "status": "open",
    "running": 1,
    "calls": 12,
    "failures": 9,
    "wait_ms": 14_000,
}
UNKNOWN = EU | {"name": "us", "status": "unknown", "running": None, "calls": None, "failures": None, "wait_ms": None}


def asked(answer: Any, *arguments: str, status: int = 200) -> tuple[Result, httpx2.Request]:
    """What the command printed, and the one request that it made."""
    server = FakeServer()
    server.planned.append(lambda _: httpx2.Response(204) if answer is None else answer_json(answer, status))
    result = invoke(server, "models", "endpoints", *arguments)
    [request] = server.requests
    return result, request


def test_every_command_has_help_with_an_example() -> None:
    for name in ("list", "add", "set", "remove", "drain", "resume"):
        assert "Example:" in CliRunner().invoke(main, ["models", "endpoints", name, "--help"]).stdout, name


def test_endpoints_are_listed_with_how_they_are() -> None:
    result, request = asked({"items": [EU, UNKNOWN], "next_cursor": None}, "list", "org/gpt")

    assert request.url.raw_path.decode().endswith("/api/v1/models/org%2Fgpt/endpoints")
    eu, us = result.stdout.splitlines()[-2:]
    assert eu.split()[:4] == ["eu", "open", "1/8", "9/12"]
    assert "https://eu.test/v1" in eu
    assert us.split()[1] == "unknown"


def test_a_model_without_endpoints_says_so() -> None:
    result, _ = asked({"items": [], "next_cursor": None}, "list", "toy")

    assert "its own config is the one way" in result.stderr


def test_an_endpoint_is_added_with_a_key_that_is_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EU_KEY", "sk-secret-0123456789")
    result, request = asked(
        EU, "add", "toy", "eu", "--base-url", "https://eu.test/v1", "--key-env", "EU_KEY", "--rpm", "600", "-c",
        "timeout_s=9", status=201,
    )  # fmt: skip

    assert json.loads(request.content) == {
        "name": "eu",
        "config": {"timeout_s": 9, "base_url": "https://eu.test/v1", "api_key": "sk-secret-0123456789"},
        "rpm": 600,
    }
    assert "sk-secret" not in result.stdout + result.stderr


def test_an_endpoint_is_changed_by_what_is_given() -> None:
    _, request = asked(EU, "set", "toy", "eu", "--weight", "2", "-c", "api_key=null")

    assert (request.method, request.url.path) == ("PATCH", "/api/v1/models/toy/endpoints/eu")
    assert json.loads(request.content) == {"config": {"api_key": None}, "weight": 2.0}


def test_a_change_of_nothing_is_a_usage_error() -> None:
    server = FakeServer()

    assert invoke(server, "models", "endpoints", "set", "toy", "eu").exit_code == 2
    assert not server.requests


@pytest.mark.parametrize("verb", ["drain", "resume"])
def test_an_endpoint_is_drained_and_resumed(verb: str) -> None:
    result, request = asked(EU, verb, "toy", "eu")

    assert (request.method, request.url.path) == ("POST", f"/api/v1/models/toy/endpoints/eu/{verb}")
    assert result.exit_code == 0


def test_an_endpoint_is_removed_when_the_user_is_sure() -> None:
    result, request = asked(None, "remove", "toy", "eu", "--yes")

    assert (request.method, request.url.path) == ("DELETE", "/api/v1/models/toy/endpoints/eu")
    assert result.exit_code == 0


def test_a_model_is_registered_with_fallbacks_pacing_and_options() -> None:
    server = FakeServer()
    invoke(
        server, "models", "add", "gpt", "--fallback", "toy", "--fallback", "other", "--pacing", "configured",
        "--option", "retry_share=0.05", "--option", "price_model=gpt-4o",
    )  # fmt: skip

    body = json.loads(server.requests[-1].content)
    assert (body["fallback_models"], body["pacing"]) == (["toy", "other"], "configured")
    assert (body["retry_share"], body["price_model"]) == (0.05, "gpt-4o")


def test_a_model_can_be_called_out_of_order() -> None:
    server = FakeServer()
    result = invoke(server, "models", "pause", "toy", "--unhealthy")

    assert json.loads(server.requests[-1].content) == {"is_unhealthy": True}
    assert "out of order" in result.stderr
