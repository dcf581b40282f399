"""Every text of every request, with what attackers write there: nothing breaks, nothing changes, text stays text."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.live import Server, server
from tests.rig import mariadb
from tests.security.payloads import ALL, FEW, SQL, XSS
from tests.security.surface import GOOD, operations, shots

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
OPERATIONS = operations()
NAMES = [f"{method} {path}" for method, path, _ in OPERATIONS]
TYPES = {"application/json", "application/problem+json", "application/x-ndjson", "text/csv", "text/plain"}
PAGES = {"/docs", "/"}
WITNESS = Path("/tmp/llms-attack")  # noqa: S108 - what a payload would make
LOGIN, LOGOUT = "/api/v1/auth/login", "/api/v1/auth/logout"
CHAT = "/v1/chat/completions"
PASSWORD = "four words of nobody's own"
# Its tasks alone: others hold payloads as their text.
SENTINEL = {"model": "sentinel"}


class Target:
    """A server with things that no request of ours means: they must be the same at the end."""

    def __init__(self, live: Server, payloads: tuple[str, ...]) -> None:
        self.live, self.payloads = live, payloads
        for name in ("sentinel", GOOD["name"]):
            self.live.add_model(name)
        self.live.call("POST", "/api/v1/models/sentinel/pause")
        # Id 1: the one that requests mean.
        self.live.call("POST", "/api/v1/tasks", {"model": GOOD["name"], "input": "Hi"})
        self.live.call("POST", "/api/v1/budgets", {"name": "sentinel", "period": "day", "limit_microusd": 10**9})
        for number in range(5):
            task = {"model": "sentinel", "input": f"n{number}", "metadata": {"keep": "yes"}}
            self.live.call("POST", "/api/v1/tasks", task)
        self.live.call("POST", "/api/v1/users", {"username": "sentinel", "password": PASSWORD})
        self.live.call("POST", "/api/v1/tenants", {"name": "sentinel"})
        self.live.call("PUT", "/api/v1/members/sentinel", {"role": "owner"})
        account = self.live.call("POST", "/api/v1/service-accounts", {"name": "sentinel", "role": "viewer"})
        self.live.call("POST", "/api/v1/api-keys", {"name": "sentinel", "user": account["username"]})
        self.sign_ins, self.before = 0, self.state()

    def state(self) -> Any:
        """What must not change."""
        model = self.live.call("GET", "/api/v1/models/sentinel")
        budget = self.live.call("GET", "/api/v1/budgets/sentinel")
        tasks = self.live.tasks("&model=sentinel")
        return (
            [(task["id"], task["status"], task["priority"], task["input"], task["metadata"]) for task in tasks],
            {name: model[name] for name in ("config", "status", "max_workers", "version", "rpm")},
            budget["limit_microusd"],
            self.people(),
        )

    def people(self) -> Any:
        """Accounts, tenants and keys that nobody means."""
        user = self.live.call("GET", "/api/v1/users/sentinel")
        accounts = self.live.call("GET", "/api/v1/service-accounts?limit=500")["items"]
        keys = self.live.call("GET", "/api/v1/api-keys?all=true&limit=500")["items"]
        return (
            {name: user[name] for name in ("username", "state", "is_admin", "email", "tenants") if name in user},
            self.live.call("GET", "/api/v1/tenants/sentinel"),
            [(key["name"], key["scopes"], key["revoked_at"]) for key in keys if key["name"] == "sentinel"],
            [one["role"] for one in accounts if one["name"] == "sentinel"],
        )

    def restore(self) -> None:
        """The things that requests mean are there again."""
        with contextlib.suppress(AssertionError):
            self.live.add_model(GOOD["name"])
        self.live.call("POST", f"/api/v1/models/{GOOD['name']}/resume")
        with contextlib.suppress(AssertionError):
            self.live.call("POST", f"/api/v1/models/{GOOD['name']}/endpoints", {"name": GOOD["endpoint"]})
        with contextlib.suppress(AssertionError):
            budget = {"name": GOOD["budget"], "period": "day", "limit_microusd": 10**9}
            self.live.call("POST", "/api/v1/budgets", budget)
        victim = GOOD["username"]
        for path, body in (
            ("/api/v1/users", {"username": victim, "password": PASSWORD}),
            ("/api/v1/tenants", {"name": victim}),
            ("/api/v1/service-accounts", {"name": victim, "role": "viewer"}),
        ):
            with contextlib.suppress(AssertionError):
                self.live.call("POST", path, body)
        with contextlib.suppress(AssertionError):
            self.live.call("PUT", f"/api/v1/members/{victim}", {"role": "developer"})
        user = next(one for one in self.live.call("GET", "/api/v1/service-accounts")["items"] if one["name"] == victim)
        made = self.live.http.post("/api/v1/api-keys", json={"name": victim, "user": user["username"]})
        if made.status_code == 201:
            GOOD["key_id"] = str(made.json()["id"])


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("sqlite", FEW), id="sqlite-few"),
        pytest.param(("sqlite", ALL), id="sqlite-all", marks=pytest.mark.nightly),
        pytest.param(("mysql", SQL), id="mysql-sql", marks=pytest.mark.nightly),
    ],
)
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    record, payloads = request.param
    settings = {"max_body_bytes": "200000", "trusted_proxies": "127.0.0.1", "rate_limit_open_rpm": "0"}
    if record == "mysql":
        settings["database_url"] = mariadb.shared().create("attacked")
    WITNESS.unlink(missing_ok=True)
    with server(tmp_path_factory.mktemp("attacked"), **settings) as live:
        yield Target(live, payloads)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=NAMES)
def test_no_text_anywhere_breaks_out(target: Target, method: str, path: str, operation: dict[str, Any]) -> None:
    target.restore()
    count, began = 0, time.monotonic()
    for payload in target.payloads:
        for shot in shots(method, path, operation, payload):
            answer = send(target, shot.method, shot.url, shot.body, shot.headers)
            count += 1
            said = f"{shot.method} {shot.url[:200]} ({shot.where}) with {payload[:80]!r}: {answer.status_code}"
            assert answer.status_code < 500, f"{said} {answer.text[:300]}"
            assert answer.headers["X-Content-Type-Options"] == "nosniff", said
            kind = answer.headers.get("Content-Type", "").partition(";")[0]
            if answer.content and shot.url.partition("?")[0] not in PAGES:
                assert kind in TYPES, f"{said} {kind}"
            # Signing out makes a browser forget its cookies, whatever came.
            cookies = answer.headers.get_list("Set-Cookie")
            assert path == LOGOUT or not cookies, said
            assert all(line.startswith("llms_") and "Max-Age=0" in line for line in cookies), said
            assert "root:x:0:0" not in answer.text, said

    assert count > 0
    assert target.state() == target.before
    assert not WITNESS.exists()
    print(f"{count} requests in {time.monotonic() - began:.1f} s")


def send(target: Target, method: str, url: str, body: Any, headers: dict[str, str]) -> httpx2.Response:
    """One request, its path as it is written; each sign-in from another address, or they would be too many.

    Chats do not wait for their turn: what went before may have paused the model, or used its limits up.
    """
    if url.startswith(LOGIN) and "X-Forwarded-For" not in headers:
        target.sign_ins += 1
        headers = {**headers, "X-Forwarded-For": f"198.18.{target.sign_ins // 250}.{target.sign_ins % 250 + 1}"}
    if url.startswith(CHAT):
        headers = {"X-LLMS-Max-Wait": "0.2", **headers}
    return target.live.http.request(method, url, json=body, headers=headers)


def test_what_is_stored_comes_back_as_it_was_sent(target: Target) -> None:
    target.restore()
    for payload in (*SQL, *XSS):
        metadata = {"k": payload[:512]}
        made = target.live.call(
            "POST", "/api/v1/tasks", {"model": "sentinel", "input": payload, "metadata": metadata, "type": "chat"}
        )
        shown = target.live.http.get(f"/api/v1/tasks/{made['id']}")
        found = target.live.http.get("/api/v1/tasks", params={**SENTINEL, "metadata.k": payload[:512]}).json()

        assert shown.headers["Content-Type"] == "application/json"
        assert shown.json()["metadata"] == metadata
        assert shown.json()["input"]["messages"] == [{"role": "user", "content": payload}]
        assert [task["id"] for task in found["items"]] == [made["id"]]
        target.live.call("DELETE", f"/api/v1/tasks/{made['id']}", expect=409)
        target.live.call("POST", f"/api/v1/tasks/{made['id']}/cancel")
        target.live.http.delete(f"/api/v1/tasks/{made['id']}")
    assert target.state() == target.before


@pytest.mark.parametrize("payload", ["%", "_", "%%", "' OR '1'='1", "x' OR 1=1 -- ", '" OR 1=1 -- '])
def test_a_search_takes_no_wildcards_and_no_sql(target: Target, payload: str) -> None:
    for name in ("q", "metadata.keep", "type"):
        found = target.live.http.get("/api/v1/tasks", params={**SENTINEL, name: payload})
        assert found.json()["items"] == [], name
    for action in ("cancel", "delete", "set_priority"):
        body = {"action": action, "filter": {"q": payload}} | ({"priority": 0} if action == "set_priority" else {})
        target.live.call("POST", "/api/v1/tasks/actions", body, expect=202)
    assert target.state() == target.before


def test_the_audit_log_of_all_that_holds(target: Target) -> None:
    found = target.live.call("GET", "/api/v1/audit/verify")

    assert found["ok"]
