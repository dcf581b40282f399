"""What goes to the audit log: the table is whole, entries say what changed and never a secret."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from starlette.routing import Route
from tests.unit.api.scene import KEY, OTHER_TENANT, Scene, scene

from llm_scheduler.api.audited import AUDITED, NOT_AUDITED
from llm_scheduler.api.permissions import NEEDS, Open
from llm_scheduler.api.server import routes
from llm_scheduler.domain.access import PERMISSIONS, Principal, PrincipalKind, Role
from llm_scheduler.domain.access_errors import UnauthorizedError
from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT, KeyId, UserId
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.providers.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from llm_scheduler.services.door import Door, Knock

FIRST = "sk-first-000000001111"
MODEL = {
    "name": "new",
    "type": "openai",
    "config": {"base_url": "https://x.test/v1", "api_key": "sk-first-000000001111"},
}


def test_every_route_that_changes_something_is_audited_or_says_why_not() -> None:
    names = {(method, route.path) for route in routes() if isinstance(route, Route) for method in route.methods or ()}
    changing = {name for name in names - {("HEAD", name[1]) for name in names} if name[0] != "GET"}
    managing = {name for name in names if not isinstance(need := NEEDS[name], Open) and need.value.endswith(":manage")}

    missing = (changing | managing) - AUDITED.keys() - NOT_AUDITED.keys()

    assert missing == set(), "add them to api/audited.py"


def test_the_tables_name_only_routes_that_there_are() -> None:
    assert AUDITED.keys() | NOT_AUDITED.keys() <= NEEDS.keys()
    assert not AUDITED.keys() & NOT_AUDITED.keys()


def test_actions_read_alike() -> None:
    for spec in AUDITED.values():
        assert spec.action.partition(".")[2], spec
        assert len(spec.action) <= 64


class Roles:
    """A door that knows a key per role."""

    def admit(self, knock: Knock) -> Principal:
        if knock.credential == KEY:
            return Principal(
                PrincipalKind.BOOTSTRAP, DEFAULT_TENANT, Role.ADMIN, PERMISSIONS[Role.ADMIN], username="bootstrap",
                is_admin=True,
            )  # fmt: skip
        role, _, tenant = knock.credential.partition("-of-")
        if role not in list(Role):
            raise UnauthorizedError("no")
        return Principal(
            PrincipalKind.KEY,
            DEFAULT_TENANT if tenant == "default" else OTHER_TENANT,
            Role(role),
            PERMISSIONS[Role(role)],
            UserId(5),
            "ada",
            KeyId(9),
            "laptop",
        )


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path) as made:
        access = replace(made.parts.access, door=cast("Door", Roles()))
        made = Scene(replace(made.parts, access=access))
        await made.parts.store.save_tenant(Tenant(OTHER_TENANT, "other"))
        await made.parts.models.load()
        yield made
        await made.http.aclose()


async def log(api: Scene, query: str = "", key: str = KEY) -> list[dict[str, Any]]:
    """Oldest first."""
    async with api.client(key=key) as http:
        answer = await http.get(f"/api/v1/audit?limit=500{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"][::-1]


async def said(api: Scene, method: str, path: str, status: int, body: Any = None, **headers: str) -> dict[str, Any]:
    """The entry that this request left."""
    before = len(await log(api))
    answer = await api.http.request(method, path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    entries = await log(api)
    assert len(entries) == before + 1
    assert entries[-1]["request_id"] == answer.headers["X-Request-ID"]
    return entries[-1]


async def test_a_models_life_is_told_with_what_was_before_and_after(api: Scene) -> None:
    added = await said(api, "POST", "/api/v1/models", 201, {"name": "m", "type": "scripted", "rpm": 60})
    changed = await said(api, "PATCH", "/api/v1/models/m", 200, {"rpm": 90})
    paused = await said(api, "POST", "/api/v1/models/m/pause", 200)
    scaled = await said(api, "POST", "/api/v1/models/m/scale", 200, {"max_workers": 3})
    removed = await said(api, "DELETE", "/api/v1/models/m", 204)

    assert (added["action"], added["before"], added["after"]["rpm"]) == ("model.add", None, 60)
    assert (changed["before"], changed["after"]) == ({"rpm": 60}, {"rpm": 90, "given": ["rpm"]})
    assert (paused["before"], paused["after"]) == ({"status": "active"}, {"status": "paused"})
    assert scaled["after"] == {"max_workers": 3}
    assert (removed["action"], removed["before"]["rpm"], removed["after"]) == ("model.remove", 90, None)
    assert {entry["target"]["name"] for entry in (added, changed, paused, scaled, removed)} == {"m"}
    assert added["actor"] == {"kind": "bootstrap", "id": None, "name": "bootstrap"}
    assert (added["address"], added["tenant"], added["outcome"]) == ("127.0.0.1", "default", "done")


async def test_endpoints_budgets_and_prices_are_told(api: Scene) -> None:
    await api.add_model()
    steps: list[tuple[str, str, int, Any, str, str]] = [
        ("POST", "/api/v1/models/m/endpoints", 201, {"name": "e"}, "endpoint.add", "m/e"),
        ("PATCH", "/api/v1/models/m/endpoints/e", 200, {"weight": 2}, "endpoint.change", "m/e"),
        ("POST", "/api/v1/models/m/endpoints/e/drain", 200, None, "endpoint.drain", "m/e"),
        ("POST", "/api/v1/models/m/endpoints/e/resume", 200, None, "endpoint.resume", "m/e"),
        ("POST", "/api/v1/models/m/endpoints/e/test", 200, None, "endpoint.test", "m/e"),
        ("DELETE", "/api/v1/models/m/endpoints/e", 204, None, "endpoint.remove", "m/e"),
        ("POST", "/api/v1/budgets", 201, {"name": "b", "period": "day", "limit_microusd": 5}, "budget.add", "b"),
        ("PATCH", "/api/v1/budgets/b", 200, {"limit_microusd": 7}, "budget.change", "b"),
        ("POST", "/api/v1/budgets/b/top-up", 200, {"microusd": 3}, "budget.top_up", "b"),
        ("DELETE", "/api/v1/budgets/b", 204, None, "budget.remove", "b"),
        ("PUT", "/api/v1/prices", 200, {"model": "m", "input_nanousd": 1}, "price.set", "*/m/default"),
        ("PUT", "/api/v1/prices", 200, {"model": "m", "input_nanousd": 2}, "price.set", "*/m/default"),
        ("POST", "/api/v1/tasks/actions", 202, {"action": "cancel", "filter": {"model": "m"}}, "tasks.act", "cancel"),
        ("POST", "/api/v1/dead-letters/requeue", 200, {"ids": [1, 2]}, "dead_letters.requeue", ""),
        ("POST", "/api/v1/dead-letters/discard", 202, {"filter": {}}, "dead_letters.discard", ""),
    ]  # fmt: skip
    for method, path, status, body, action, target in steps:
        entry = await said(api, method, path, status, body)
        assert (entry["action"], entry["target"]["name"], entry["outcome"]) == (action, target, "done")

    by_action = {entry["action"]: entry for entry in await log(api)}
    assert (by_action["endpoint.change"]["before"], by_action["endpoint.drain"]["after"]) == (
        {"weight": 1.0}, {"is_drained": True},
    )  # fmt: skip
    assert by_action["budget.top_up"]["before"] == {"limit_microusd": 7}
    assert by_action["budget.top_up"]["after"] == {"limit_microusd": 10}
    assert by_action["price.set"]["before"] == {"input_nanousd": 1}
    assert by_action["price.set"]["tenant"] is None
    assert by_action["tasks.act"]["after"] == {"filter": {"model": "m"}, "priority": None}
    assert by_action["dead_letters.requeue"]["after"] == {"count": 2, "ids": [1, 2]}


def stored(folder: Path) -> str:
    """The record's files, byte by byte."""
    return "".join(path.read_bytes().decode("latin-1") for path in folder.glob("tasks.db*"))


async def test_no_secret_is_ever_in_the_log_and_its_change_shows(api: Scene, tmp_path: Path) -> None:
    api.parts.catalogue.kinds = {**api.parts.catalogue.kinds, **KINDS}
    await said(api, "POST", "/api/v1/models", 201, MODEL)
    entry = await said(api, "PATCH", "/api/v1/models/new", 200, {"config": {"api_key": "sk-second-00000001111"}})
    endpoint = {"name": "e", "config": {"api_key": "sk-third-000000001111"}}
    await said(api, "POST", "/api/v1/models/new/endpoints", 201, endpoint)
    await said(api, "PATCH", "/api/v1/models/new", 422, {"config": {"api_key": "sk-fourth-00000001111", "odd": "x"}})

    # Both masks end alike: only the list of what was given tells.
    assert entry["after"] == {"given": ["config", "config.api_key"]}
    rows = await api.parts.store.audit_rows(0, 100)
    text = repr(rows) + stored(tmp_path)
    assert "sk-…1111" in repr(rows)
    for secret in ("first", "second", "third", "fourth"):
        assert f"sk-{secret}" not in text


async def test_who_may_not_is_told_of_as_refused(api: Scene) -> None:
    await api.add_model()
    async with api.client(key="viewer-of-default") as http:
        assert (await http.delete("/api/v1/models/m")).status_code == 403

    entry = (await log(api))[-1]

    assert (entry["action"], entry["outcome"], entry["target"]["name"]) == ("model.remove", "refused", "m")
    assert entry["after"] == {"status": 403, "code": "forbidden"}
    assert entry["actor"] == {"kind": "key", "id": 9, "name": "ada/laptop"}


async def test_what_fails_is_told_of_with_its_code(api: Scene) -> None:
    gone = await said(api, "DELETE", "/api/v1/models/gone", 404)
    odd = await said(api, "POST", "/api/v1/models", 422, {"name": "x", "type": "odd"})

    assert (gone["outcome"], gone["after"]) == ("failed", {"status": 404, "code": "model_not_found"})
    assert (odd["outcome"], odd["target"]["name"]) == ("failed", "x")


async def test_a_flood_of_refusals_is_counted(api: Scene) -> None:
    async with api.client(key="viewer-of-default") as http:
        for _ in range(50):
            await http.delete("/api/v1/models/m")

    assert len(await log(api)) == 10


async def test_wrong_keys_reading_and_single_tasks_leave_nothing(api: Scene) -> None:
    await api.add_model()
    task = await api.submit()
    before = len(await log(api))
    async with api.client(key="wrong") as http:
        assert (await http.delete("/api/v1/models/m")).status_code == 401
    await api.http.get("/api/v1/models")
    await api.http.post(f"/api/v1/tasks/{task['id']}/cancel")

    assert len(await log(api)) == before


async def test_a_repeated_request_that_gets_its_first_answer_is_told_of_once(api: Scene) -> None:
    body = {"name": "m", "type": "scripted"}
    for status in (201, 200):
        answer = await api.http.post("/api/v1/models", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == status

    assert [entry["action"] for entry in await log(api)] == ["model.add"]


async def test_a_change_is_answered_also_when_its_entry_cannot_be_written_yet(
    api: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailableError("it is away.")

    with monkeypatch.context() as patched:
        patched.setattr(api.parts.store, "add_audit", away)
        await api.add_model()
        assert api.parts.access.audit.backlog == 1
        assert b"audit_backlog 1.0" in api.parts.metrics()
    await api.parts.access.audit.step()

    assert [entry["action"] for entry in await log(api)] == ["model.add"]
    assert b"audit_backlog 0.0" in api.parts.metrics()


async def test_owners_see_their_tenants_entries_and_administrators_all(api: Scene) -> None:
    await api.add_model()
    async with api.client(key="owner-of-other") as http:
        made = await http.post("/api/v1/models", json={"name": "theirs", "type": "scripted"})
        assert made.status_code == 201
        foreign = await http.get("/api/v1/audit?tenant=default")
        own = await http.get("/api/v1/audit?tenant=other")
        nowhere = await http.get("/api/v1/audit?tenant=nowhere")
        verify = await http.get("/api/v1/audit/verify")

    assert [entry["target"]["name"] for entry in await log(api, key="owner-of-other")] == ["theirs"]
    assert [entry["target"]["name"] for entry in await log(api)] == ["m", "theirs"]
    assert [entry["target"]["name"] for entry in await log(api, "&tenant=other")] == ["theirs"]
    assert (foreign.status_code, own.status_code, nowhere.status_code, verify.status_code) == (404, 200, 404, 403)
    assert foreign.json()["detail"].replace("default", "X") == nowhere.json()["detail"].replace("nowhere", "X")
    # A key of an administrator in another tenant acts there alone.
    assert [entry["target"]["name"] for entry in await log(api, key="admin-of-other")] == ["theirs"]


@pytest.mark.parametrize("key", ["viewer-of-default", "developer-of-default"])
async def test_others_see_no_audit_log(api: Scene, key: str) -> None:
    async with api.client(key=key) as http:
        for path in ("/api/v1/audit", "/api/v1/audit/export", "/api/v1/audit/verify"):
            assert (await http.get(path)).status_code == 403


async def test_the_list_is_filtered_and_paged(api: Scene) -> None:
    for number in range(5):
        await api.add_model(f"m{number}")
    await api.http.delete("/api/v1/models/m0")
    await api.http.delete("/api/v1/models/gone")

    assert len(await log(api, "&action=model")) == 7
    assert [one["target"]["name"] for one in await log(api, "&action=model.remove&outcome=done")] == ["m0"]
    assert len(await log(api, "&target=m0")) == 2
    assert len(await log(api, "&actor=bootstrap")) == 7
    assert await log(api, "&actor=nobody") == []
    assert await log(api, "&from=2100-01-01T00:00:00Z") == []
    assert len(await log(api, "&to=2100-01-01T00:00:00Z")) == 7
    ids: list[int] = []
    cursor = ""
    while True:
        page = (await api.http.get(f"/api/v1/audit?limit=3{cursor}")).json()
        ids += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert ids == [7, 6, 5, 4, 3, 2, 1]
    assert (await api.http.get("/api/v1/audit?actoin=x")).status_code == 422


async def test_an_export_has_every_entry_and_a_foot(api: Scene) -> None:
    for number in range(3):
        await api.add_model(f"m{number}")

    answer = await api.http.get("/api/v1/audit/export")
    lines = [json.loads(line) for line in answer.text.splitlines()]

    # It is told of itself before it is answered.
    assert [line["action"] for line in lines[:-1]] == ["model.add"] * 3
    assert lines[-1] == {"rows": 3}
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert (await log(api))[-1]["action"] == "audit.export"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
async def test_a_cell_of_csv_is_no_formula(api: Scene, start: str) -> None:
    body = {"name": f'{start}HYPERLINK("http://evil","x")', "period": "day", "limit_microusd": 1}
    await api.http.post("/api/v1/budgets", json=body)
    await api.http.delete("/api/v1/models/%3Dcmd")

    answer = await api.http.get("/api/v1/audit/export?format=csv")

    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.reader(answer.text.splitlines()))
    assert rows[0][:3] == ["id", "at", "tenant"]
    cells = [cell for row in rows[1:] for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
    assert "'=cmd" in cells


async def test_verifying_says_what_holds(api: Scene) -> None:
    await api.add_model()

    found = (await api.http.get("/api/v1/audit/verify")).json()
    pinned = (await api.http.get(f"/api/v1/audit/verify?expect={found['head_hash']}")).json()
    other = (await api.http.get(f"/api/v1/audit/verify?expect={'0' * 63}1")).json()

    assert (found["ok"], found["rows"], found["first_broken_id"], found["is_guarded"]) == (True, 1, None, True)
    assert pinned["ok"]
    assert not other["ok"]
    assert "replaced" in other["detail"]


async def test_a_caller_cannot_write_into_the_log_what_breaks_a_line(api: Scene) -> None:
    entry = await said(api, "DELETE", "/api/v1/models/a%0Ab%1B%5B31m", 404, **{"X-Request-ID": "x y"})

    assert entry["target"]["name"] == "a\nb\x1b[31m"  # as text in JSON, where it is harmless
    assert " " not in entry["request_id"]
