"""`llms tenants`, `llms users`, `llms members` and `llms service-accounts`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.unit.cli.fake_server import FakeServer, invoke

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

NOW = "2026-01-31T09:00:00.000Z"
TENANT = {
    "id": 2,
    "name": "acme",
    "state": "active",
    "weight": 2.0,
    "max_workers": None,
    "quotas": {"max_queued": 5, "rpm": None, "model_workers": {"m": 1}, "allowed_models": ["m", "n"]},
    "store_payloads": None,
    "created_at": NOW,
    "updated_at": NOW,
}
USER = {
    "id": 7,
    "username": "ann",
    "kind": "person",
    "display_name": "Ann",
    "email": None,
    "is_admin": True,
    "state": "active",
    "has_password": True,
    "has_second_factor": False,
    "must_change_password": True,
    "memberships": [{"tenant": "acme", "role": "owner"}],
    "created_at": NOW,
    "updated_at": NOW,
    "last_seen_at": None,
}
REMOVAL = {"id": 9, "tenant": "acme", "status": "completed", "removed": 12, "error": None}


def answering(*values: Any, status: int = 200) -> FakeServer:
    server = FakeServer()
    for value in values:
        server.planned.append(lambda _, value=value: httpx2.Response(status, json=value))
    return server


def sent(server: FakeServer) -> tuple[str, str, Any]:
    request = server.requests[-1]
    return request.method, str(request.url.raw_path, "ascii"), json.loads(request.content or b"null")


def ran(server: FakeServer, *words: str) -> Result:
    result = invoke(server, *words)
    assert result.exit_code == 0, result.output
    return result


def test_tenants_are_listed_with_their_quotas() -> None:
    result = ran(answering({"items": [TENANT], "next_cursor": None}), "tenants", "list")

    assert all(text in result.stdout for text in ("acme", "active", "2.0", "5", "m, n"))


def test_a_list_goes_on_until_its_last_page() -> None:
    pages = {"items": [TENANT], "next_cursor": "abc"}, {"items": [TENANT | {"name": "bolt"}], "next_cursor": None}
    server = answering(*pages)

    result = ran(server, "tenants", "list", "--json")

    assert [one["name"] for one in json.loads(result.stdout)["items"]] == ["acme", "bolt"]
    assert "cursor=abc" in sent(server)[1]


def test_a_tenant_is_added_with_what_it_may_use() -> None:
    server = answering(TENANT, status=201)
    words = ("--max-queued", "5", "--rpm", "none", "--model-workers", "a/b=2", "--allow-model", "a/b", "--weight", "2")

    ran(server, "tenants", "add", "acme", *words, "--store-payloads", "none")

    quotas = {"max_queued": 5, "rpm": None, "model_workers": {"a/b": 2}, "allowed_models": ["a/b"]}
    body = {"name": "acme", "weight": 2.0, "store_payloads": "none", "quotas": quotas}
    assert sent(server) == ("POST", "/api/v1/tenants", body)


def test_calls_at_once_of_one_model_are_added_to_those_of_others() -> None:
    server = answering(TENANT, TENANT)

    ran(server, "tenants", "set", "acme", "--model-workers", "n=3")

    assert sent(server) == ("PATCH", "/api/v1/tenants/acme", {"quotas": {"model_workers": {"m": 1, "n": 3}}})


@pytest.mark.parametrize(
    "words",
    [
        ("tenants", "set", "acme"),
        ("tenants", "set", "acme", "--max-queued", "many"),
        ("tenants", "set", "acme", "--model-workers", "m"),
        ("tenants", "set", "acme", "--allow-model", "m", "--allow-all-models"),
        ("users", "set", "ann"),
        ("members", "set", "ann", "admin"),
    ],
)
def test_words_that_make_no_sense_are_wrong_usage(words: tuple[str, ...]) -> None:
    server = FakeServer()

    assert invoke(server, *words).exit_code == 2
    assert server.requests == []


def test_a_tenant_is_suspended_and_resumed() -> None:
    for verb in ("suspend", "resume"):
        server = answering(TENANT)
        ran(server, "tenants", verb, "acme")
        assert sent(server)[:2] == ("POST", f"/api/v1/tenants/acme/{verb}")


def test_a_removal_says_the_name_twice_and_may_be_waited_for() -> None:
    server = answering(REMOVAL | {"status": "running"}, REMOVAL)

    result = ran(server, "tenants", "remove", "acme", "--yes", "--wait")

    assert server.requests[0].url.path == "/api/v1/tenants/acme"
    assert dict(server.requests[0].url.params) == {"confirm": "acme"}
    assert sent(server)[1] == "/api/v1/tenants/removals/9"
    assert "12 rows" in result.output


def test_a_removal_that_failed_is_told() -> None:
    server = answering(REMOVAL | {"status": "failed", "error": "boom"})

    result = invoke(server, "tenants", "remove", "acme", "--yes")

    assert (result.exit_code, "boom" in result.output) == (1, True)


def export(*lines: Any) -> FakeServer:
    server = FakeServer()
    text = "".join(json.dumps(line) + "\n" for line in lines)
    server.planned.append(lambda _: httpx2.Response(200, text=text))
    return server


def test_an_export_is_written_to_a_file(tmp_path: Path) -> None:
    rows = [{"kind": "tenant", "row": {}}, {"kind": "task", "row": {}}]
    file = tmp_path / "acme.jsonl"

    result = ran(export(*rows, {"rows": 2}), "tenants", "export", "acme", "-o", str(file))

    assert "2 lines" in result.output
    assert [json.loads(line) for line in file.read_text().splitlines()] == [*rows, {"rows": 2}]


def test_an_export_that_was_cut_off_is_an_error() -> None:
    result = invoke(export({"kind": "tenant", "row": {}}), "tenants", "export")

    assert (result.exit_code, "cut off" in result.output) == (1, True)


def test_a_made_password_is_shown_once() -> None:
    server = answering(USER | {"initial_password": "made-up"}, status=201)

    result = ran(server, "users", "add", "ann", "--admin", "--email", "ann@example.org")

    assert result.stdout == "made-up\n"
    body = {"username": "ann", "is_admin": True, "is_external": False, "email": "ann@example.org"}
    assert sent(server) == ("POST", "/api/v1/users", body)


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (("disable", "ann"), {"state": "disabled"}),
        (("enable", "ann"), {"state": "active"}),
        (("set", "ann", "--no-admin", "--name", "A"), {"display_name": "A", "is_admin": False}),
        (("set", "ann", "--username", "anna"), {"username": "anna"}),
    ],
)
def test_a_user_is_changed(words: tuple[str, ...], body: dict[str, Any]) -> None:
    server = answering(USER)

    ran(server, "users", *words)

    assert sent(server) == ("PATCH", "/api/v1/users/ann", body)


def test_users_are_listed_with_what_they_are_where() -> None:
    server = answering({"items": [USER], "next_cursor": None})

    result = ran(server, "users", "list", "--search", "an")

    assert all(text in result.stdout for text in ("ann", "Ann", "person", "active", "yes"))
    assert "q=an" in sent(server)[1]


@pytest.mark.parametrize(
    ("words", "method", "path"),
    [
        (("members", "list"), "GET", "/api/v1/members"),
        (("members", "set", "ann", "owner"), "PUT", "/api/v1/members/ann"),
        (("members", "remove", "ann"), "DELETE", "/api/v1/members/ann"),
        (("service-accounts", "list"), "GET", "/api/v1/service-accounts"),
        (("service-accounts", "add", "ci"), "POST", "/api/v1/service-accounts"),
        (("service-accounts", "remove", "ci"), "DELETE", "/api/v1/service-accounts/ci"),
    ],
)
def test_commands_about_members_act_in_the_tenant_that_is_named(words: tuple[str, ...], method: str, path: str) -> None:
    server = answering({"items": [], "next_cursor": None, "username": "svc.2.ci"})

    ran(server, *words, "--tenant", "acme")

    request = server.requests[-1]
    assert (request.method, request.url.path, request.headers["X-Tenant"]) == (method, path, "acme")
