"""People who are in already, and want more than is theirs: another role, another tenant, another's key or money."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.live import wait_until
from tests.security.house import PASSWORD, House, house
from tests.security.surface import operations

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
FAR_OFF = "2100-01-01T00:00:00Z"
SAID = [{"role": "user", "content": "Hi"}]
FAILING = {"messages": SAID, "script": {"errors": [{"code": "permission_denied"}]}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("insiders"), log_format="json") as made:
        yield made


@pytest.fixture(scope="module")
def acme(home: House) -> str:
    """The token of an owner of `acme`."""
    return home.token("owner-acme")


@pytest.fixture(scope="module")
def bolt(home: House) -> str:
    return home.token("owner-bolt")


def test_an_owner_makes_no_administrator_of_anybody_by_any_way(home: House, acme: str) -> None:
    home.add_user("chief", "acme", "developer", is_admin=True)

    home.refused(422, acme, "PUT", "/api/v1/members/owner-acme", {"role": "admin"})
    home.refused(422, acme, "POST", "/api/v1/service-accounts", {"name": "root", "role": "admin"})
    home.refused(403, acme, "POST", "/api/v1/users", {"username": "second", "is_admin": True})
    home.refused(403, acme, "PATCH", "/api/v1/users/owner-acme", {"is_admin": True})
    home.refused(403, acme, "POST", "/api/v1/users/chief/password")
    home.refused(403, acme, "POST", "/api/v1/api-keys", {"name": "k", "user": "chief"})
    home.refused(403, acme, "POST", "/api/v1/api-keys", {"name": "k", "scopes": ["system:manage"]})
    home.refused(422, acme, "PATCH", "/api/v1/me", {"is_admin": True})
    home.refused(404, acme, "GET", "/api/v1/models", X_Tenant="default")


def test_a_service_account_and_its_key_are_no_more_than_their_maker(home: House, acme: str) -> None:
    account = home.done(acme, "POST", "/api/v1/service-accounts", {"name": "climber", "role": "owner"})
    key = home.key(acme, user=account["username"])

    assert home.done(key, "GET", "/api/v1/me")["role"] == "owner"
    home.refused(403, key, "POST", "/api/v1/service-accounts", {"name": "next", "role": "viewer"})
    home.refused(403, key, "PUT", "/api/v1/members/viewer-acme", {"role": "owner"})
    home.refused(404, key, "GET", "/api/v1/models", X_Tenant="bolt")
    narrow = home.key(acme, scopes=["keys:own", "keys:manage"])
    home.refused(
        403, narrow, "POST", "/api/v1/api-keys", {"name": "k", "user": account["username"], "scopes": ["submit"]}
    )
    wide = home.key(narrow, user=account["username"])
    assert home.done(wide, "GET", "/api/v1/me")["permissions"] == ["keys:manage", "keys:own", "self"]
    home.refused(403, home.token("developer-acme"), "POST", "/api/v1/service-accounts", {"name": "x", "role": "viewer"})


def test_an_administrators_key_resets_no_password_and_makes_nobody(home: House) -> None:
    home.add_user("keeper", is_admin=True)
    key = home.key(home.token("keeper"), scopes=["users:manage"])

    home.refused(403, key, "POST", "/api/v1/users/keeper/password")
    home.refused(403, key, "POST", "/api/v1/users", {"username": "new", "is_admin": True})
    home.refused(403, key, "PATCH", "/api/v1/users/owner-acme", {"is_admin": True})


def test_a_suspended_tenant_is_closed_to_tokens_and_keys_of_every_kind(home: House) -> None:
    home.done(home.root, "POST", "/api/v1/tenants", {"name": "shut"})
    home.add_user("both", "shut", "owner")
    home.done(home.root, "PUT", "/api/v1/members/both", {"role": "viewer"}, X_Tenant="acme")
    there, elsewhere = home.token("both", tenant="shut"), home.sign_in("both", tenant="acme")
    key = home.key(there)
    home.done(home.root, "POST", "/api/v1/tenants/shut/suspend", {})

    home.refused(403, there, "GET", "/api/v1/tasks")
    home.refused(403, key, "GET", "/api/v1/tasks")
    home.refused(403, elsewhere["access_token"], "GET", "/api/v1/tasks", X_Tenant="shut")
    body = {"refresh_token": elsewhere["refresh_token"], "tenant": "shut"}
    home.refused(403, None, "POST", "/api/v1/auth/refresh", body)
    home.done(elsewhere["access_token"], "GET", "/api/v1/tasks")
    home.done(home.root, "POST", "/api/v1/tenants/shut/resume", {})
    home.done(key, "GET", "/api/v1/tasks")


def test_a_disabled_user_is_out_with_every_token_and_key(home: House) -> None:
    home.add_user("leaver", "acme", "owner")
    signed = home.sign_in("leaver")
    key = home.key(signed["access_token"])
    home.done(key, "GET", "/api/v1/tasks")

    home.done(home.root, "PATCH", "/api/v1/users/leaver", {"state": "disabled"})

    home.refused(401, key, "GET", "/api/v1/tasks")
    home.refused(401, signed["access_token"], "GET", "/api/v1/tasks")
    home.refused(401, None, "POST", "/api/v1/auth/refresh", {"refresh_token": signed["refresh_token"]})
    body = {"username": "leaver", "password": PASSWORD, "cookie": False}
    assert home.refused(401, None, "POST", "/api/v1/auth/login", body) == "wrong_credentials"


def test_ids_and_filters_reach_nobody_elses_tasks(home: House, acme: str, bolt: str) -> None:
    theirs = [home.task(acme) for _ in range(3)]
    failed = home.task(acme, run_at=None, input=FAILING, max_retries=0)
    asked = ",".join(map(str, [*theirs, failed]))
    wait_until("it failed", lambda: home.done(acme, "GET", f"/api/v1/tasks/{failed}")["status"] == "failed")

    for task_id in (*theirs, failed):
        for method, path in (
            ("GET", ""), ("DELETE", ""), ("GET", "/attempts"), ("GET", "/logs"), ("GET", "/explain"),
            ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry"),
        ):  # fmt: skip
            home.refused(404, bolt, method, f"/api/v1/tasks/{task_id}{path}")
    assert home.done(bolt, "GET", f"/api/v1/tasks?ids={asked}")["items"] == []
    assert home.done(bolt, "GET", f"/api/v1/tasks/counts?ids={asked}")["total"] == 0
    assert home.ask(bolt, "GET", f"/api/v1/tasks/export?format=ndjson&ids={asked}").text == '{"rows":0}\n'
    assert home.done(bolt, "GET", f"/api/v1/dead-letters?ids={asked}")["items"] == []
    ids = [*theirs, failed]
    assert home.done(bolt, "POST", "/api/v1/dead-letters/discard", {"ids": ids})["changed"] == 0
    for body in ({"ids": ids}, {"ids": [failed], "input": "mine"}):
        assert home.done(bolt, "POST", "/api/v1/dead-letters/requeue", body)["changed"] == 0
    for action in (
        {"action": "cancel"},
        {"action": "retry"},
        {"action": "delete"},
        {"action": "set_priority", "priority": 0},
    ):
        for where in ({"ids": ids}, {}):
            begun = home.done(bolt, "POST", "/api/v1/tasks/actions", {**action, "filter": where})
            path = f"/api/v1/tasks/actions/{begun['id']}"
            home.refused(404, acme, "GET", path)
            over = wait_until("it is over", lambda path=path: _over(home.done(bolt, "GET", path)))
            assert over["status"] == "completed"
            assert over["changed"] == 0 or not where, "what was named by id was changed"
    for tenant_id in (1, 2, 3):
        body = {"action": "cancel", "filter": {"ids": ids, "tenant_id": tenant_id}}
        home.refused(422, bolt, "POST", "/api/v1/tasks/actions", body)
    shown = [home.done(acme, "GET", f"/api/v1/tasks/{task_id}") for task_id in ids]
    assert [(task["status"], task["priority"]) for task in shown] == [("scheduled", 5)] * 3 + [("failed", 5)]


def _over(action: dict[str, Any]) -> dict[str, Any] | None:
    return None if action["status"] == "running" else action


MARK = "zebra-of-acme"


def test_nothing_that_is_read_tells_of_another_tenant(home: House, acme: str, bolt: str) -> None:
    """Everything that can have a name gets one; whatever another owner may read has none of them in it."""
    config = {"text": MARK}
    home.done(acme, "POST", "/api/v1/models", {"name": MARK, "type": "scripted", "config": config})
    home.done(acme, "POST", f"/api/v1/models/{MARK}/endpoints", {"name": MARK})
    home.done(acme, "POST", "/api/v1/budgets", {"name": MARK, "period": "day", "limit_microusd": 10**9})
    home.done(acme, "POST", "/api/v1/service-accounts", {"name": MARK, "role": "viewer"})
    home.key(acme, name=MARK)
    task = home.task(acme, model=MARK, run_at=None, input=MARK, metadata={"k": MARK}, template=MARK)
    home.task(acme, model="shared", input=MARK, metadata={"k": MARK}, template=MARK)
    wait_until("it is over", lambda: home.done(acme, "GET", f"/api/v1/tasks/{task}")["status"] == "completed")
    price = {"scope": "tenant", "provider": "scripted", "model": MARK, "input_usd_per_million": 1}
    home.ask(home.root, "PUT", "/api/v1/prices", price, X_Tenant="acme")
    names = {
        "name": MARK,
        "endpoint": MARK,
        "budget": MARK,
        "username": "owner-acme",
        "tenant": "acme",
        "account": MARK,
    }

    read: dict[str, int] = {}
    for method, path, operation in operations():
        if method != "GET":
            continue
        fields = [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"]
        place = path.format_map({name: names.get(name, str(task)) for name in fields})
        answer = home.ask(bolt, "GET", place)
        read[path] = answer.status_code
        said = answer.text.replace(place, "")
        assert MARK not in said or answer.status_code == 404, (path, said[:500])
        assert "owner-acme" not in said or answer.status_code == 404, (path, said[:500])
        assert answer.status_code in (200, 302, 403, 404, 422), (path, answer.text)
    assert sum(status == 200 for status in read.values()) > 25, read
    mine = home.ask(acme, "GET", "/api/v1/tenant/export").text
    assert MARK in mine


def test_the_export_of_a_tenant_comes_whole_with_its_audit_log(home: House, acme: str, bolt: str) -> None:
    """It broke off at the first row of the audit log."""
    home.done(acme, "POST", "/api/v1/budgets", {"name": "exported", "period": "day", "limit_microusd": 10**9})

    lines = [json.loads(line) for line in home.ask(acme, "GET", "/api/v1/tenant/export").text.splitlines()]

    assert lines[-1] == {"rows": len(lines) - 1}
    assert any(line["kind"] == "audit" for line in lines[:-1])
    home.refused(403, bolt, "GET", "/api/v1/tenants/acme/export")
    home.refused(404, bolt, "GET", "/api/v1/tenant/export", X_Tenant="acme")


def test_a_stream_of_all_tasks_is_of_the_own_tenant(home: House, acme: str, bolt: str) -> None:
    heard: list[str] = []
    began = threading.Event()

    def listen() -> None:
        headers = {"Authorization": f"Bearer {bolt}"}
        with home.http.stream("GET", "/api/v1/events", headers=headers) as answer:
            for line in answer.iter_lines():
                began.set()
                heard.append(line)
                if '"status"' in line and str(own[0] if own else "") in line:
                    return

    own: list[int] = []
    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    assert began.wait(30)
    theirs = home.task(acme, run_at=None)
    wait_until("it is over", lambda: home.done(acme, "GET", f"/api/v1/tasks/{theirs}")["status"] == "completed")
    own.append(home.task(bolt, run_at=None))
    listening.join(30)

    assert not listening.is_alive()
    assert not any(f'"id":{theirs},' in line for line in heard)
    assert any(f'"id":{own[0]},' in line for line in heard)


def test_one_idempotency_key_in_two_tenants_is_two(home: House, acme: str, bolt: str) -> None:
    body = {"model": "shared", "input": "Hi", "run_at": FAR_OFF}
    tasks = {home.done(who, "POST", "/api/v1/tasks", body, Idempotency_Key="same")["id"] for who in (acme, bolt)}
    model = {"name": "same", "type": "scripted"}
    models = [home.ask(who, "POST", "/api/v1/models", model, Idempotency_Key="same-model") for who in (acme, bolt)]
    again = home.ask(bolt, "POST", "/api/v1/models", model, Idempotency_Key="same-model")

    assert len(tasks) == 2
    assert [one.status_code for one in models] == [201, 201]
    assert models[0].json()["id"] != models[1].json()["id"]
    assert (again.status_code, again.json()["id"]) == (200, models[1].json()["id"])


def test_a_kept_answer_is_for_its_tenant_only(home: House, acme: str, bolt: str) -> None:
    body = {"input": "kept", "cache": {"ttl_s": 600}, "run_at": None}

    def asked(who: str) -> dict[str, Any]:
        task = home.task(who, **body)
        return wait_until("it is over", lambda: _completed(home.done(who, "GET", f"/api/v1/tasks/{task}")))

    hits = [asked(who)["cache"]["hit"] for who in (acme, acme, bolt)]

    assert hits == [False, True, False]


def _completed(task: dict[str, Any]) -> dict[str, Any] | None:
    return task if task["status"] == "completed" else None


def test_no_fallback_leads_to_a_model_that_is_not_allowed(home: House) -> None:
    home.live.add_model("dear")
    home.done(home.root, "POST", "/api/v1/tenants", {"name": "poor", "quotas": {"allowed_models": ["shared", "own"]}})
    home.add_user("pauper", "poor", "owner")
    owner = home.token("pauper")
    task = {"model": "shared", "input": "Hi"}

    home.refused(404, owner, "POST", "/api/v1/tasks", {**task, "model": "dear"})
    home.refused(422, owner, "POST", "/api/v1/tasks", {**task, "fallback_models": ["dear"]})
    own = {"name": "own", "type": "scripted", "config": {"errors": [{"code": "permission_denied"}]}}
    home.refused(422, owner, "POST", "/api/v1/models", {**own, "fallback_models": ["dear"]})
    home.refused(422, owner, "POST", "/api/v1/models", {**own, "name": "dear"})
    home.done(owner, "POST", "/api/v1/models", own)
    home.refused(422, owner, "PATCH", "/api/v1/models/own", {"fallback_models": ["dear"]})


def test_a_key_of_one_model_has_no_task_of_another_run_again(home: House, acme: str) -> None:
    """`tasks:manage` with a new input was a way to a model that the key may not use."""
    home.live.add_model("costly", config={"errors": [{"code": "permission_denied"}]})
    key = home.key(acme, scopes=["manage"], allowed_models=["shared"])
    dear = home.task(acme, model="costly", run_at=None)
    wait_until("it failed", lambda: home.done(acme, "GET", f"/api/v1/tasks/{dear}")["status"] == "failed")
    cheap = home.task(acme)
    home.done(acme, "POST", f"/api/v1/tasks/{cheap}/cancel")

    home.refused(404, key, "POST", "/api/v1/tasks", {"model": "costly", "input": "mine"})
    home.refused(403, key, "POST", f"/api/v1/tasks/{dear}/retry", {"input": "mine"})
    requeued = home.done(key, "POST", "/api/v1/dead-letters/requeue", {"ids": [dear], "input": "mine"})
    home.refused(403, key, "POST", "/api/v1/dead-letters/requeue", {"filter": {}})
    home.refused(403, key, "POST", "/api/v1/tasks/actions", {"action": "retry", "filter": {"model": "costly"}})

    assert requeued["changed"] == 0
    assert home.done(acme, "GET", f"/api/v1/tasks/{dear}")["status"] == "failed"
    home.done(key, "POST", f"/api/v1/tasks/{cheap}/retry")
    home.done(key, "POST", "/api/v1/tasks/actions", {"action": "retry", "filter": {"model": "shared"}})
    home.done(acme, "POST", "/api/v1/tasks/actions", {"action": "retry", "filter": {"ids": [1]}})


def test_a_budget_over_anothers_key_binds_nobody_and_tells_nothing(home: House, acme: str, bolt: str) -> None:
    made = home.done(acme, "POST", "/api/v1/api-keys", {"name": "k"})
    body = {"period": "day", "limit_microusd": 0}
    known = home.ask(bolt, "POST", "/api/v1/budgets", {**body, "name": "theirs", "key_id": made["id"]})
    unknown = home.ask(bolt, "POST", "/api/v1/budgets", {**body, "name": "nobodys", "key_id": 987_654_321})

    assert known.status_code == unknown.status_code
    task = home.task(made["key"], run_at=None)
    wait_until("it is over", lambda: home.done(acme, "GET", f"/api/v1/tasks/{task}")["status"] == "completed")


def test_the_last_administrator_stays_and_is_reset_by_nobody_less(home: House) -> None:
    with_admin = [one for one in home.done(home.root, "GET", "/api/v1/users?limit=500")["items"] if one["is_admin"]]
    for one in with_admin[1:]:
        home.done(home.root, "PATCH", f"/api/v1/users/{one['username']}", {"is_admin": False})
    home.add_user("last", is_admin=True)
    for one in with_admin[:1]:
        home.done(home.root, "PATCH", f"/api/v1/users/{one['username']}", {"is_admin": False})
    token = home.token("last")

    for method, body in (("PATCH", {"is_admin": False}), ("PATCH", {"state": "disabled"}), ("DELETE", None)):
        home.refused(409, token, method, "/api/v1/users/last", body)
    for name in ("owner-acme", "developer-acme", "viewer-acme"):
        home.refused(403, home.token(name), "POST", "/api/v1/users/last/password")
    reset = home.done(home.root, "POST", "/api/v1/users/last/password")
    home.refused(401, token, "GET", "/api/v1/me")
    again = home.done(home.root, "POST", "/api/v1/users/last/password")
    assert reset["initial_password"] != again["initial_password"]
    body = {"username": "last", "password": again["initial_password"], "cookie": False}
    fresh = home.done(home.root, "POST", "/api/v1/auth/login", body)
    home.refused(403, fresh["access_token"], "GET", "/api/v1/users")


@pytest.mark.parametrize("name", ['=HYPERLINK("http://x","y")', "+1+1", "-2+3", "@SUM(1)", "\t=1+1"])
def test_no_cell_of_an_export_is_calculated(home: House, acme: str, name: str) -> None:
    home.ask(acme, "POST", "/api/v1/budgets", {"name": name, "period": "day", "limit_microusd": 1})
    home.task(acme, metadata={"k": name}, type="chat")

    for path in ("/api/v1/audit/export?format=csv", "/api/v1/tasks/export"):
        text = home.ask(acme, "GET", path).text
        for line in text.splitlines():
            for cell in line.replace('"', "").split(","):
                assert cell[:1] not in ("=", "+", "@", "\t"), line
                assert not cell.startswith("-2"), line


def test_an_owner_writes_and_reads_no_file_of_the_server(home: House, acme: str, tmp_path: Any) -> None:
    """A scripted model's ledger was a file that any owner could have made anywhere."""
    place = tmp_path / "planted"
    config = {"ledger": str(place)}

    home.refused(422, acme, "POST", "/api/v1/models", {"name": "pen", "type": "scripted", "config": config})
    home.done(acme, "POST", "/api/v1/models", {"name": "pen", "type": "scripted"})
    home.refused(422, acme, "PATCH", "/api/v1/models/pen", {"config": config})
    home.refused(422, acme, "POST", "/api/v1/models/pen/endpoints", {"name": "e", "config": config})
    home.refused(422, acme, "PATCH", "/api/v1/models/pen", {"endpoints": [{"name": "e", "config": config}]})
    said = [
        home.ask(
            acme, "POST", "/api/v1/models", {"name": "eye", "type": "local", "config": {"model_path": path}}
        ).json()
        for path in ("/etc/passwd", "/etc/no-such-file")
    ]
    task = home.task(acme, model="pen", run_at=None, input={"messages": SAID, "script": {"ledger": str(place)}})
    wait_until(
        "it is over", lambda: home.done(acme, "GET", f"/api/v1/tasks/{task}")["status"] in ("completed", "failed")
    )

    assert said[0]["errors"] == said[1]["errors"]
    assert not place.exists()


def test_who_adds_somebody_to_a_tenant_does_not_get_what_they_send(home: House) -> None:
    """Who named no tenant was let into the oldest of theirs, to which any owner could have added them."""
    home.add_user("victim", "bolt", "developer")

    home.done(home.token("owner-acme"), "PUT", "/api/v1/members/victim", {"role": "developer"})

    assert home.sign_in("victim")["tenant"] == "bolt"
    assert home.sign_in("victim", tenant="acme")["tenant"] == "acme"


def test_who_may_not_see_payloads_does_not_find_them_by_searching(home: House, acme: str) -> None:
    home.task(acme, input="the word is heron")
    viewer = home.token("viewer-acme")

    assert len(home.done(acme, "GET", "/api/v1/tasks?q=heron")["items"]) == 1
    for path in ("tasks", "tasks/counts", "tasks/export", "dead-letters"):
        home.refused(403, viewer, "GET", f"/api/v1/{path}?q=heron")


def test_where_processes_run_only_administrators_see(home: House, acme: str) -> None:
    workers = home.done(acme, "GET", "/api/v1/workers")["items"]
    overview = home.done(acme, "GET", "/api/v1/stats/overview")["workers"]
    known = home.done(home.root, "GET", "/api/v1/workers")["items"]

    assert {(worker["host"], worker["pid"]) for worker in (*workers, *overview)} == {(None, None)}
    assert all(worker["host"] and worker["pid"] for worker in known)


def test_a_key_that_renews_itself_lasts_no_longer_than_it_was_made_for(home: House) -> None:
    developer = home.token("developer-acme")
    made = home.done(developer, "POST", "/api/v1/api-keys", {"name": "short", "scopes": ["all"], "expires_in_s": 600})
    path = f"/api/v1/api-keys/{made['id']}/renew"

    home.refused(403, made["key"], "POST", path, {"expires_in_s": 315_360_000})
    home.refused(422, made["key"], "POST", path, {"expires_at": "2001-01-01T00:00:00Z"})
    assert home.done(made["key"], "POST", path, {"expires_in_s": 300})["expires_at"] < made["expires_at"]


def test_a_key_under_a_budget_begets_none_without_it(home: House, acme: str) -> None:
    key = home.done(acme, "POST", "/api/v1/api-keys", {"name": "poor", "scopes": ["all"]})
    budget = {"name": "pocket-money", "period": "total", "limit_microusd": 1, "key_id": key["id"]}
    home.done(home.root, "POST", "/api/v1/budgets", budget, X_Tenant="acme")

    home.refused(403, key["key"], "POST", "/api/v1/api-keys", {"name": "rich"})
    home.refused(403, key["key"], "POST", f"/api/v1/api-keys/{key['id']}/renew")


def test_an_imposed_budget_outlives_the_attempt_to_make_its_model_anew(home: House, acme: str) -> None:
    home.done(acme, "POST", "/api/v1/models", {"name": "dear", "type": "scripted"})
    budget = {"name": "imposed", "period": "total", "limit_microusd": 1, "model": "dear"}
    home.done(home.root, "POST", "/api/v1/budgets", budget, X_Tenant="acme")

    home.refused(409, acme, "DELETE", "/api/v1/models/dear")
    home.done(home.root, "DELETE", "/api/v1/budgets/imposed", X_Tenant="acme")
    home.done(acme, "DELETE", "/api/v1/models/dear")


def test_owners_of_the_first_tenant_reach_no_files_of_the_server_either(home: House, tmp_path: Any) -> None:
    """Their scripted model wrote its ledger into any file, the secret key's among them."""
    home.add_user("owner-default", "default", "owner")
    owner = home.token("owner-default")
    config = {"ledger": str(tmp_path / "ledger")}

    home.refused(403, owner, "POST", "/api/v1/models", {"name": "led", "type": "scripted", "config": config})
    home.done(owner, "POST", "/api/v1/models", {"name": "led", "type": "scripted"})
    home.refused(403, owner, "PATCH", "/api/v1/models/led", {"config": config})
    home.refused(403, owner, "POST", "/api/v1/models/led/endpoints", {"name": "e", "config": config})
    home.done(owner, "PATCH", "/api/v1/models/led", {"rpm": 60})


def test_words_that_were_searched_for_are_told_to_nobody_who_may_not_see_payloads(home: House, acme: str) -> None:
    filter_ = {"q": "PAYLOADWORD", "status": ["failed"]}
    begun = home.done(acme, "POST", "/api/v1/tasks/actions", {"action": "delete", "filter": filter_})
    path = f"/api/v1/tasks/actions/{begun['id']}"

    assert home.done(acme, "GET", path)["filter"]["q"] == "PAYLOADWORD"
    home.refused(404, home.token("viewer-acme"), "GET", path)
    home.done(acme, "POST", "/api/v1/dead-letters/discard", {"filter": {"q": "PAYLOADWORD"}})
    assert "PAYLOADWORD" not in json.dumps(home.done(acme, "GET", "/api/v1/audit"))


def test_a_password_that_somebody_else_chose_is_not_kept(home: House) -> None:
    home.add_user("fresh", "acme", "viewer")
    reset = home.done(home.root, "POST", "/api/v1/users/fresh/password")["initial_password"]
    token = home.token("fresh", password=reset)

    told = home.ask(token, "GET", "/api/v1/tasks").json()["detail"]
    assert told.startswith("Choose a password of your own first")
    home.refused(422, token, "POST", "/api/v1/me/password", {"current_password": reset, "new_password": reset})
    wrong = {"current_password": "another", "new_password": PASSWORD}
    assert "current password" in home.ask(token, "POST", "/api/v1/me/password", wrong).json()["detail"]
    home.done(token, "POST", "/api/v1/me/password", {"current_password": reset, "new_password": PASSWORD})
    home.done(token, "GET", "/api/v1/tasks")


def test_tasks_of_a_bound_key_do_not_follow_what_becomes_of_their_models_list(home: House, acme: str) -> None:
    """What waited for a model went on to models that were added to its fallbacks later."""
    config = {"errors": [{"every": 1, "code": "permission_denied"}]}
    for name, more in (("narrow", {"config": config}), ("beyond", {})):
        home.done(acme, "POST", "/api/v1/models", {"name": name, "type": "scripted", **more})
    key = home.key(acme, scopes=["submit"], allowed_models=["narrow"])
    home.done(acme, "POST", "/api/v1/models/narrow/pause")
    bound, free = (home.task(who, model="narrow", max_retries=0, run_at=None) for who in (key, acme))
    home.done(acme, "PATCH", "/api/v1/models/narrow", {"fallback_models": ["beyond"]})
    home.done(acme, "POST", "/api/v1/models/narrow/resume")

    over = [home.done(acme, "GET", f"/api/v1/tasks/{task}?wait=20") for task in (bound, free)]

    assert [(task["status"], task["model"]) for task in over] == [("failed", "narrow"), ("completed", "beyond")]
