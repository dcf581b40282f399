"""`llms keys`."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from tests.unit.cli.fake_server import FakeServer, invoke, problem

from llm_scheduler.domain.key_text import key_text

TEXT = key_text("ab12cd34", "x" * 43)
KEY = {
    "id": 12,
    "name": "ci",
    "user": "dan",
    "prefix": "llms_ab12cd34",
    "state": "active",
    "scopes": ["models:read", "payloads:read", "tasks:read", "tasks:submit"],
    "rpm": 600,
    "allowed_models": ["m"],
    "networks": ["10.0.0.0/8"],
    "created_at": "2026-01-31T09:00:00.000Z",
    "expires_at": "2026-05-01T09:00:00.000Z",
    "revoked_at": None,
    "last_used_at": None,
}
BUDGET = {"name": "b", "period": "month", "spent_microusd": 4_100_000, "limit_microusd": 5_000_000}


def answering(value: Any, status: int = 200) -> FakeServer:
    server = FakeServer()
    server.planned.append(lambda _: httpx2.Response(status, json=value))
    return server


def sent(server: FakeServer) -> tuple[str, str, Any]:
    request = server.requests[-1]
    return request.method, request.url.path, json.loads(request.content or b"null")


def test_a_new_key_stands_alone_on_stdout() -> None:
    """So that a script can take it; the warning and the example go elsewhere."""
    server = answering({**KEY, "key": TEXT}, 201)

    result = invoke(
        server,
        *("keys", "create", "ci", "--scopes", "submit,tasks:read", "--models", "m", "--models", "n"),
        *("--rpm", "600", "--network", "10.0.0.0/8", "--expires", "90d", "--user", "bot"),
    )

    assert result.stdout == f"{TEXT}\n"
    assert all(text in result.stderr for text in ("Key 12 of dan", "2026-05-01", "only now", "curl -H"))
    assert TEXT not in result.stderr
    assert sent(server) == (
        "POST",
        "/api/v1/api-keys",
        {
            "name": "ci",
            "user": "bot",
            "scopes": ["submit", "tasks:read"],
            "allowed_models": ["m", "n"],
            "rpm": 600,
            "networks": ["10.0.0.0/8"],
            "expires_in_s": 90 * 86_400,
        },
    )


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ("12h", {"expires_in_s": 43_200}),
        ("1y", {"expires_in_s": 31_536_000}),
        ("never", {"expires_at": None}),
        ("2030-01-31T09:00:00Z", {"expires_at": "2030-01-31T09:00:00Z"}),
    ],
)
def test_an_end_is_said_in_several_ways(given: str, fields: dict[str, Any]) -> None:
    server = answering({**KEY, "key": TEXT}, 201)

    invoke(server, "keys", "create", "ci", "--expires", given)

    assert sent(server)[2] == {"name": "ci", **fields}


@pytest.mark.parametrize("given", ["soon", "0d", "-1d", "90", "99999999999d"])
def test_what_is_no_end_is_wrong_usage(given: str) -> None:
    result = invoke(FakeServer(), "keys", "create", "ci", f"--expires={given}")

    assert result.exit_code == 2
    assert "is no end" in result.stderr


def test_keys_are_listed_without_their_text() -> None:
    server = answering({"items": [KEY], "next_cursor": None})

    result = invoke(server, "keys", "list", "--all")

    assert all(text in result.stdout for text in ("12", "ci", "dan", "llms_ab12cd34…", "active", "+1"))
    assert dict(server.requests[0].url.params) == {"all": "true", "limit": "500"}


def test_one_key_is_shown_with_its_budgets() -> None:
    result = invoke(answering({**KEY, "budgets": [BUDGET]}), "keys", "get", "12")

    assert all(text in result.stdout for text in ("tasks:submit", "10.0.0.0/8", "never", "$4.10 of $5.00"))


def test_changes_say_what_is_lifted() -> None:
    """0, * and never take limits away; what is not given stays."""
    server = answering(KEY)

    invoke(server, "keys", "set", "12", "--rpm", "0", "--models", "*", "--network", "*", "--expires", "never")

    lifted = {"rpm": None, "allowed_models": None, "networks": [], "expires_at": None}
    assert sent(server) == ("PATCH", "/api/v1/api-keys/12", lifted)
    assert invoke(FakeServer(), "keys", "set", "12").exit_code == 2


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ((), {}),
        (("--overlap", "7d"), {"overlap_s": 604_800}),
        (("--now",), {"overlap_s": 0}),
    ],
)
def test_a_renewed_key_says_how_long_the_old_one_works(options: tuple[str, ...], body: dict[str, Any]) -> None:
    server = answering({**KEY, "key": TEXT, "replaces": KEY}, 201)

    result = invoke(server, "keys", "renew", "11", *options)

    assert result.stdout == f"{TEXT}\n"
    assert f"The old key 11 works {'no more' if options == ('--now',) else 'until 2026-05-01'}" in result.stderr
    assert sent(server) == ("POST", "/api/v1/api-keys/11/renew", body)


def test_a_key_is_revoked_after_a_question() -> None:
    server = FakeServer()
    server.planned.append(lambda _: httpx2.Response(204))

    assert invoke(FakeServer(), "keys", "revoke", "12", input="n\n").exit_code == 1
    result = invoke(server, "keys", "revoke", "12", "--yes")

    assert "revoked" in result.stderr
    assert sent(server)[:2] == ("DELETE", "/api/v1/api-keys/12")


def test_a_mistyped_key_is_told_here_for_the_server_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check characters are for whoever holds the key."""
    for key, is_told in ((TEXT[:-1] + "0", True), (TEXT[:40], True), (TEXT, False), ("llms_own-key-of-32", False)):
        monkeypatch.setenv("LLMS_API_KEY", key)
        server = FakeServer()
        server.planned.append(lambda _: problem(401, "unauthorized", "No."))

        result = invoke(server, "keys", "list")

        assert result.exit_code == 4
        assert ("mistyped" in result.stderr) is is_told, key
