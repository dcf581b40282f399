"""What the command line keeps of sign-ins, and when it renews them."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.unit.cli.fake_server import FakeServer, answer_json, invoke, problem

from llm_scheduler.cli.kept_login import KeptLogin, alone, file, keep_login, kept_login

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "http://127.0.0.1:8000"
ANN = KeptLogin("ann", "work", "access-1", "refresh-1")


def signed_in(number: int = 2) -> dict[str, Any]:
    more = {"role": "owner", "must_change_password": False, "refresh_token": f"refresh-{number}"}
    return {"username": "ann", "tenant": "work", "access_token": f"access-{number}", **more}


def sent(server: FakeServer) -> list[tuple[str, str | None]]:
    return [(request.url.path, request.headers.get("authorization")) for request in server.requests]


def over(request: httpx2.Request) -> httpx2.Response:
    return problem(401, "unauthorized", "It is over.")


def test_a_sign_in_is_kept_for_its_server_and_read_by_nobody_else() -> None:
    keep_login(URL, ANN)
    keep_login("https://other.example", ANN._replace(username="bob"))
    keep_login(URL, ANN._replace(access_token="access-2"))

    assert kept_login(URL) == ANN._replace(access_token="access-2")
    assert kept_login("https://third.example") is None
    assert stat.S_IMODE(file().stat().st_mode) == 0o600
    keep_login(URL, None)
    assert list(json.loads(file().read_text())) == ["https://other.example"]


def test_a_file_that_was_open_to_others_is_closed_again() -> None:
    keep_login(URL, ANN)
    file().chmod(0o644)

    keep_login(URL, ANN)

    assert stat.S_IMODE(file().stat().st_mode) == 0o600


def test_the_token_of_one_server_is_sent_to_no_other() -> None:
    keep_login(URL, ANN)
    server = FakeServer()

    invoke(server, "tasks", "list")
    invoke(server, "tasks", "list", "--url", "http://192.0.2.1:8000")

    assert sent(server) == [("/api/v1/tasks", "Bearer access-1"), ("/api/v1/tasks", None)]


def test_a_token_that_is_over_is_renewed_and_the_request_sent_again() -> None:
    keep_login(URL, ANN)
    server = FakeServer()
    server.planned = [over, lambda request: answer_json(signed_in())]

    result = invoke(server, "tasks", "list")

    assert result.exit_code == 0, result.output
    assert [path for path, _ in sent(server)] == ["/api/v1/tasks", "/api/v1/auth/refresh", "/api/v1/tasks"]
    assert json.loads(server.requests[1].content) == {"refresh_token": "refresh-1"}
    assert sent(server)[2][1] == "Bearer access-2"
    assert kept_login(URL) == ANN._replace(access_token="access-2", refresh_token="refresh-2")


def test_what_another_command_renewed_meanwhile_is_used() -> None:
    keep_login(URL, ANN)
    server = FakeServer()

    def renewed_elsewhere(request: httpx2.Request) -> httpx2.Response:
        keep_login(URL, ANN._replace(access_token="access-9", refresh_token="refresh-9"))
        return over(request)

    server.planned = [renewed_elsewhere]
    result = invoke(server, "tasks", "list")

    assert result.exit_code == 0
    assert [path for path, _ in sent(server)] == ["/api/v1/tasks"] * 2
    assert sent(server)[1][1] == "Bearer access-9"


@pytest.mark.parametrize(("status", "is_kept"), [(401, False), (409, True), (503, True)])
def test_a_sign_in_that_is_over_is_forgotten_and_one_that_is_only_busy_is_not(status: int, is_kept: bool) -> None:
    keep_login(URL, ANN)
    server = FakeServer()
    answers: list[Callable[[httpx2.Request], httpx2.Response]] = [over, lambda _: problem(status, "some_code", "No.")]
    server.planned = [*answers]

    result = invoke(server, "tasks", "list")

    assert result.exit_code == 1
    assert "llms login" in result.stderr
    assert (kept_login(URL) is not None) == is_kept


def test_the_lock_is_let_go_whatever_happens() -> None:
    with pytest.raises(RuntimeError), alone():
        raise RuntimeError

    with alone():
        pass


def test_a_password_is_asked_for_and_shown_nowhere() -> None:
    server = FakeServer()
    server.planned = [lambda request: answer_json(signed_in())]

    result = invoke(server, "login", input="ann\nfour words of mine\n")

    assert result.exit_code == 0, result.output
    assert json.loads(server.requests[0].content)["password"] == "four words of mine"
    assert "four words" not in result.output
    assert "access-2" not in result.output
    assert "Signed in as ann (owner)" in result.stderr


def test_a_second_factor_is_asked_for_when_it_is_needed() -> None:
    server = FakeServer()
    server.planned = [
        lambda request: problem(401, "totp_required", "Send the code."),
        lambda request: answer_json(signed_in()),
    ]

    result = invoke(server, "login", "-u", "ann", input="four words of mine\n123456\n")

    assert result.exit_code == 0, result.output
    assert [json.loads(request.content)["totp"] for request in server.requests] == [None, "123456"]


def test_who_has_to_wait_is_told_and_not_kept_waiting() -> None:
    server = FakeServer()
    server.planned = [lambda request: problem(429, "too_many_attempts", "Try again in 64 s.", {"Retry-After": "64"})]

    result = invoke(server, "login", "-u", "ann", "--password-stdin", input="x\n")

    assert result.exit_code == 4
    assert len(server.requests) == 1


def test_a_damaged_file_is_said_with_what_to_do() -> None:
    keep_login(URL, ANN)
    file().write_text("{")

    result = invoke(FakeServer(), "tasks", "list")

    assert result.exit_code == 1
    assert f"rm {file()}" in result.stderr


def test_tenants_go_with_every_request() -> None:
    keep_login(URL, ANN)
    server = FakeServer()

    invoke(server, "tasks", "list", "--tenant", "réseau")

    assert server.requests[0].headers.raw[[n for n, _ in server.requests[0].headers.raw].index(b"X-Tenant")][1] == (
        "réseau".encode()
    )
