"""Patience, refusals and keys, as every command has them."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest
from tests.unit.cli.fake_server import FakeClock, FakeServer, answer_json, invoke, problem

from llm_scheduler.cli.invocation import Invocation


def refuse(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused", request=request)


def test_no_server_is_said_at_once_with_how_to_start_one() -> None:
    server, clock = FakeServer(), FakeClock()
    server.planned = [refuse] * 9

    result = invoke(server, "tasks", "list", clock=clock)

    assert result.exit_code == 3
    assert "No server at http://127.0.0.1:8000. Start one: llms serve" in result.stderr
    assert clock.slept == []


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    server, clock = FakeServer(), FakeClock()
    server.planned = [lambda request: problem(503, "store_unavailable", "Not now.", {"Retry-After": "7"})]

    result = invoke(server, "tasks", "list", clock=clock)

    assert result.exit_code == 0
    assert clock.slept == [7]
    assert "Trying again in 7 s." in result.stderr


def test_patience_is_bounded() -> None:
    server, clock = FakeServer(), FakeClock()
    server.planned = [lambda request: problem(429, "queue_full", "The queue is full.", {"Retry-After": "6"})] * 9

    result = invoke(server, "submit", "toy", "Hi", clock=clock)

    assert result.exit_code == 4
    assert clock.slept == [6, 6]
    assert "llms top" in result.stderr


def test_a_broken_read_of_something_safe_is_repeated() -> None:
    server, clock = FakeServer(), FakeClock()

    def reset(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("reset", request=request)

    server.planned = [reset, reset]
    result = invoke(server, "tasks", "list", clock=clock)

    assert result.exit_code == 0
    assert clock.slept == [0.5, 1.0]


def test_a_broken_request_that_creates_is_not_repeated_unless_it_has_a_key() -> None:
    server = FakeServer()

    def reset(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("reset", request=request)

    server.planned = [reset]
    added = invoke(server, "models", "add", "new", "--type", "scripted")
    server.planned = [reset]
    submitted = invoke(server, "submit", "toy", "Hi")

    assert added.exit_code == 3
    assert submitted.exit_code == 0
    keys = [request.headers["idempotency-key"] for request in server.requests if request.url.path == "/api/v1/tasks"]
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_a_refusal_shows_title_detail_every_fault_and_the_next_step() -> None:
    server = FakeServer()
    faults = [{"loc": ["body", "priority"], "msg": "Use 0 to 9."}, {"loc": ["body", "model"], "msg": "Too long."}]
    server.planned = [lambda request: problem(422, "invalid_request", "2 faults.", errors=faults)]

    result = invoke(server, "submit", "toy", "Hi")

    assert result.exit_code == 4
    assert "Unprocessable (422): 2 faults." in result.stderr
    assert "body.priority: Use 0 to 9." in result.stderr
    assert "body.model: Too long." in result.stderr


def test_a_refusal_is_json_on_stdout_for_a_program() -> None:
    result = invoke(FakeServer(), "--json", "tasks", "get", "5")

    error = json.loads(result.stdout)["error"]
    assert result.exit_code == 4
    assert (error["status"], error["code"]) == (404, "task_not_found")


def test_a_server_error_is_a_failure() -> None:
    server = FakeServer()
    server.planned = [lambda request: problem(500, "internal_error", "The server made a mistake.")]

    assert invoke(server, "tasks", "list").exit_code == 1


def test_something_else_at_the_address_is_recognised() -> None:
    server = FakeServer()
    server.planned = [lambda request: httpx2.Response(200, text="<html>")]

    result = invoke(server, "tasks", "list")

    assert result.exit_code == 3
    assert "not as LLM Scheduler does" in result.stderr


def test_a_wrong_key_says_where_keys_are() -> None:
    server = FakeServer()
    server.key = "right-key"

    result = invoke(server, "tasks", "list", env={"LLMS_API_KEY": "wrong"})

    assert result.exit_code == 4
    assert "LLMS_API_KEY" in result.stderr


def test_without_a_key_the_data_folder_has_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "api-key").write_text("from-the-folder\n")
    server = FakeServer()
    server.key = "from-the-folder"

    assert invoke(server, "tasks", "list").exit_code == 0


def test_this_machines_key_is_shown_to_no_other_machine(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "api-key").write_text("secret")

    assert Invocation("http://localhost:8000").key()[0] == "secret"
    assert Invocation("https://llm.example.org").key()[0] is None


def test_the_address_may_come_from_option_or_environment() -> None:
    server = FakeServer()

    invoke(server, "tasks", "list", env={"LLMS_URL": "http://one:1/"})
    invoke(server, "tasks", "list", "--url", "http://two:2", env={"LLMS_URL": "http://one:1/"})
    invoke(server, "--url", "http://three:3", "tasks", "list")

    assert [request.url.host for request in server.requests] == ["one", "two", "three"]


def test_an_address_that_is_none_is_wrong_usage() -> None:
    assert invoke(FakeServer(), "tasks", "list", "--url", "localhost:8000").exit_code == 2


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_without_its_server_is_asked_again(status: int) -> None:
    server, clock = FakeServer(), FakeClock()
    server.planned = [lambda request: httpx2.Response(status, text="Bad Gateway")]

    assert invoke(server, "tasks", "list", clock=clock).exit_code == 0
    assert clock.slept == [0.5]


def test_ctrl_c_is_130() -> None:
    server = FakeServer()

    def interrupt(request: httpx2.Request) -> httpx2.Response:
        raise KeyboardInterrupt

    server.planned = [interrupt]

    assert invoke(server, "tasks", "list").exit_code == 130


def test_answer_without_content_is_fine() -> None:
    server = FakeServer()
    server.planned = [lambda request: answer_json({"items": [], "next_cursor": None})]

    assert "No such tasks." in invoke(server, "tasks", "list").stderr


def test_a_single_fault_of_a_body_is_told_once() -> None:
    server = FakeServer()
    fault = {"loc": ["body", "name"], "msg": "Use letters and digits."}
    server.planned = [lambda request: problem(422, "invalid_request", "name: Use letters and digits.", errors=[fault])]

    assert invoke(server, "submit", "toy", "Hi").stderr.count("letters and digits") == 1


@pytest.mark.parametrize(
    ("status", "code", "step"),
    [
        (401, "wrong_totp", "next code"),
        (403, "address_not_allowed", "network that is listed"),
        (403, "forbidden", "llms whoami"),
    ],
)
def test_a_refusal_says_what_to_do_next(status: int, code: str, step: str) -> None:
    server = FakeServer()
    server.planned = [lambda request: problem(status, code, "No.")]

    assert step in invoke(server, "submit", "toy", "Hi").stderr
