"""Several teams in one installation: each has its own, and what it may use bounds it."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.permission_world import BOOTSTRAP, Heard, Who, World, world
from tests.flow.test_configured import two_sites
from tests.inside import inside, until

from llm_scheduler.domain.access import Permission
from llm_scheduler.domain.tenant import TenantState
from llm_scheduler.services.directory import Directory
from llm_scheduler.services.tenants import Tenants, new_tenant
from llm_scheduler.services.users import Users, new_user

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FAR_OFF = "2099-01-01T00:00:00Z"


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[World]:
    """Two teams, and a model of the installation's, `shared`."""
    async with world(tmp_path) as it:
        await add_model(it, "default", "shared")
        yield it


async def add_model(it: World, tenant: str, name: str, **fields: Any) -> Any:
    return await it.made(it.root(tenant), "/api/v1/models", {"name": name, "type": "scripted", **fields})


async def quotas(it: World, tenant: str, **given: Any) -> None:
    await it.made(it.root(), f"/api/v1/tenants/{tenant}", {"quotas": given}, "PATCH")


async def submit(it: World, who: Who, model: str = "shared", **fields: Any) -> Heard:
    return await it.ask(who, "POST", "/api/v1/tasks", {"model": model, "input": "Hi", **fields})


async def status(it: World, who: Who, task_id: int) -> str:
    return (await it.ask(who, "GET", f"/api/v1/tasks/{task_id}")).json["status"]


async def over(it: World, who: Who, task_id: int) -> str:
    async def is_over() -> bool:
        return await status(it, who, task_id) in ("completed", "failed", "cancelled")

    await until(is_over, f"task {task_id} is over")
    return await status(it, who, task_id)


async def test_a_suspended_tenant_keeps_its_tasks_and_goes_on_when_it_is_resumed(made: World) -> None:
    root, owner = made.root("acme"), await made.signed_in("owner-acme", "acme")
    await made.made(made.root(), "/api/v1/tenants/acme/suspend", None)

    task_id = (await submit(made, root)).json["id"]
    other = (await submit(made, made.root("bolt"))).json["id"]

    assert await over(made, made.root("bolt"), other) == "completed"
    assert await status(made, root, task_id) == "queued"
    reasons = (await made.ask(root, "GET", f"/api/v1/tasks/{task_id}/explain")).json["reasons"]
    assert reasons[0]["code"] == "tenant_suspended"
    assert "Tenant suspended" in reasons[0]["detail"]
    assert (await made.ask(owner, "GET", "/api/v1/tasks")).status == 403

    await made.made(made.root(), "/api/v1/tenants/acme/resume", None)
    assert await over(made, owner, task_id) == "completed"


async def test_calls_at_once_of_one_model_are_bounded_by_tenant(made: World) -> None:
    await quotas(made, "acme", model_workers={"slow": 1, "unknown": 3})
    await add_model(made, "default", "slow", max_workers=8, config={"delay_ms": 400})
    await asyncio.gather(*(submit(made, made.root("acme"), "slow") for _ in range(4)))
    mine = [(await submit(made, made.root("bolt"), "slow")).json["id"] for _ in range(2)]

    async def running(tenant: str) -> int:
        return (await made.ask(made.root(tenant), "GET", "/api/v1/tenant")).json["use"]["running"]

    async def are_running() -> bool:
        seen.append(await running("acme"))
        return await running("bolt") == 2

    seen: list[int] = []
    await until(are_running, "both of the other team run")
    for task_id in mine:
        await over(made, made.root("bolt"), task_id)
        seen.append(await running("acme"))
    assert max(seen) == 1
    waiting = (await made.ask(made.root("acme"), "GET", "/api/v1/tasks?status=queued")).json["items"]
    reasons = (await made.ask(made.root("acme"), "GET", f"/api/v1/tasks/{waiting[0]['id']}/explain")).json["reasons"]
    assert any("at most 1 calls of this model" in one["detail"] for one in reasons), reasons


async def test_a_tenant_has_only_so_many_unfinished_tasks(made: World) -> None:
    await quotas(made, "acme", max_queued=5)
    developer = await made.signed_in("developer-acme", "acme")
    held = [(await submit(made, developer, run_at=FAR_OFF)).json["id"] for _ in range(3)]

    lines = [{"model": "shared", "input": "Hi", "run_at": FAR_OFF}] * 6
    bulk = await made.ask(developer, "POST", "/api/v1/tasks/bulk", lines)
    one_more = await submit(made, developer, run_at=FAR_OFF)
    whole = await made.ask(developer, "POST", "/api/v1/tasks/bulk?atomic=true", lines)

    assert (bulk.status, bulk.json["accepted"], bulk.json["rejected_total"]) == (201, 2, 4)
    assert {one["code"] for one in bulk.json["rejected"]} == {"tenant_queue_full"}
    assert (one_more.status, one_more.json["code"]) == (429, "tenant_queue_full")
    assert "5 tasks that are not over, and may have 5" in one_more.json["detail"]
    assert (whole.status, whole.json["code"], whole.json["accepted"]) == (429, "tenant_queue_full", 0)
    assert (await submit(made, made.root("bolt"), run_at=FAR_OFF)).status == 201

    await made.made(developer, f"/api/v1/tasks/{held[0]}/cancel", None)

    async def fits() -> bool:
        return (await submit(made, developer, run_at=FAR_OFF)).status == 201

    await until(fits, "there is room again", 10)


async def test_a_model_that_is_not_allowed_is_as_if_it_was_not_there(made: World) -> None:
    await add_model(made, "default", "other", fallback_models=["shared"])
    await quotas(made, "acme", allowed_models=["other"])
    owner = await made.signed_in("owner-acme", "acme")

    refused = await submit(made, owner, "shared")
    unknown = await submit(made, owner, "nowhere")
    bulk = await made.ask(owner, "POST", "/api/v1/tasks/bulk", [{"model": "shared", "input": "Hi"}])
    fallback = await submit(made, owner, "other", fallback_models=["shared"])
    new = await made.ask(owner, "POST", "/api/v1/models", {"name": "own", "type": "scripted"})

    assert (refused.status, refused.json["code"]) == (404, "model_not_found")
    assert refused.json["detail"].replace("shared", "nowhere") == unknown.json["detail"]
    assert bulk.json["rejected"][0]["code"] == "model_not_found"
    assert fallback.status == 422
    assert (new.status, new.json["errors"][0]["loc"]) == (422, ["body", "name"])
    models = (await made.ask(owner, "GET", "/api/v1/models")).json["items"]
    assert [one["name"] for one in models] == ["other"]
    assert {one["model"] for one in (await made.ask(owner, "GET", "/api/v1/prices")).json["items"]} == {"other"}
    assert (await made.ask(owner, "GET", "/api/v1/models/shared")).status == 404
    assert (await submit(made, owner, "other")).status == 201


async def test_a_key_reaches_only_its_own_models_also_by_their_fallbacks(made: World) -> None:
    """The model's own list leads to one that the key is not for: such a task does not go there."""
    await add_model(made, "default", "other", fallback_models=["shared"])
    key = await made.key("owner-acme", "acme", allowed_models=("other",))

    task = await submit(made, key, "other", run_at=FAR_OFF)
    free = await submit(made, made.root("acme"), "other", run_at=FAR_OFF)

    assert (await submit(made, key, "shared")).status == 404
    assert (await made.ask(key, "GET", "/api/v1/models/shared")).status == 404
    assert [one["name"] for one in (await made.ask(key, "GET", "/api/v1/models")).json["items"]] == ["other"]
    store = made.installation.store
    assert (await store.task(task.json["id"])).options.fallback_models == ()  # type: ignore[union-attr]
    assert (await store.task(free.json["id"])).options.fallback_models is None  # type: ignore[union-attr]


async def test_the_installations_models_are_shown_without_what_is_secret_or_others(made: World) -> None:
    hidden = {"text": "hidden-text"}
    await add_model(made, "default", "hidden", config=hidden)
    await made.made(made.root(), "/api/v1/models/hidden/endpoints", {"name": "east", "config": hidden})
    await made.made(made.root(), "/api/v1/models/hidden/pause", None)
    for tenant, count in (("acme", 2), ("bolt", 3)):
        for _ in range(count):
            await submit(made, made.root(tenant), "hidden")

    shown = await made.ask(await made.signed_in("owner-acme", "acme"), "GET", "/api/v1/models/hidden")
    endpoints = await made.ask(made.root("acme"), "GET", "/api/v1/models/hidden/endpoints")

    assert "hidden-text" not in shown.text + endpoints.text
    assert (shown.json["shared"], shown.json["config"], shown.json["endpoints"][0]["config"]) == (True, None, None)
    assert (shown.json["queued"], shown.json["total_requests"]) == (2, None)
    mine = (await made.ask(made.root(), "GET", "/api/v1/models/hidden")).json
    assert (mine["shared"], mine["config"]["text"], mine["queued"]) == (False, "hidden-text", 5)


async def test_a_model_of_ones_own_goes_first(made: World) -> None:
    owner = await made.signed_in("owner-acme", "acme")
    refused = await made.ask(owner, "PATCH", "/api/v1/models/shared", {"max_workers": 3})
    own = await made.made(owner, "/api/v1/models", {"name": "shared", "type": "scripted"})

    assert (refused.status, refused.json["code"]) == (403, "shared_model")
    models = (await made.ask(owner, "GET", "/api/v1/models")).json["items"]
    assert [(one["name"], one["id"], one["shared"]) for one in models] == [("shared", own["id"], False)]
    changed = await made.made(owner, "/api/v1/models/shared", {"max_workers": 3}, "PATCH")
    assert changed["id"] == own["id"]
    task = (await submit(made, owner, run_at=FAR_OFF)).json["id"]
    assert (await made.installation.store.task(task)).model_id == own["id"]  # type: ignore[union-attr]


async def test_figures_are_of_the_own_tasks_only(made: World) -> None:
    viewer = await made.signed_in("viewer-acme", "acme")
    for tenant, count in (("acme", 1), ("bolt", 3)):
        for _ in range(count):
            await over(made, made.root(tenant), (await submit(made, made.root(tenant))).json["id"])
    await made.made(made.root(), "/api/v1/models/shared/pause", None)
    for tenant, count in (("acme", 1), ("bolt", 4)):
        for _ in range(count):
            await submit(made, made.root(tenant))

    overview = (await made.ask(viewer, "GET", "/api/v1/stats/overview")).json
    usage = (await made.ask(viewer, "GET", "/api/v1/stats/usage")).json["items"]
    whole = (await made.ask(made.root(), "GET", "/api/v1/stats/usage?group_by=tenant")).json["items"]
    by_tenant = await made.ask(viewer, "GET", "/api/v1/stats/usage?group_by=tenant")

    assert (overview["completed"], overview["queue_length"], overview["counts"]["queued"]) == (1, 1, 1)
    assert [(one["model"], one["waiting"]) for one in overview["queues"]] == [("shared", 1)]
    assert [(one["group"], one["completed"]) for one in usage] == [("shared", 1)]
    assert {one["group"]: one["completed"] for one in whole} == {"acme": 1, "bolt": 3}
    assert by_tenant.status == 403


async def test_an_owner_sees_what_each_key_of_the_tenant_used(made: World) -> None:
    owner, viewer = await made.signed_in("owner-acme", "acme"), await made.signed_in("viewer-acme", "acme")
    key = await made.made(owner, "/api/v1/api-keys", {"name": "nightly job", "scopes": ["tasks:submit", "tasks:read"]})
    by_key = Who(key["key"], "acme")
    for who, count in ((by_key, 2), (owner, 1), (made.root("bolt"), 1)):
        for _ in range(count):
            await over(made, who, (await submit(made, who)).json["id"])

    used = (await made.ask(owner, "GET", "/api/v1/stats/usage?group_by=key")).json["items"]

    assert {one["group"]: one["completed"] for one in used} == {f"nightly job #{key['id']}": 2, "": 1}
    assert (await made.ask(viewer, "GET", "/api/v1/stats/usage?group_by=key")).status == 403


async def test_a_budget_that_an_administrator_set_stays_as_it_is(made: World) -> None:
    owner = await made.signed_in("owner-acme", "acme")
    await made.made(made.root("acme"), "/api/v1/budgets", {"name": "cap", "limit_microusd": 5})
    await made.made(owner, "/api/v1/budgets", {"name": "own", "limit_microusd": 5})

    shown = (await made.ask(owner, "GET", "/api/v1/budgets")).json["items"]
    refused = [
        await made.ask(owner, "PATCH", "/api/v1/budgets/cap", {"limit_microusd": 10**9}),
        await made.ask(owner, "POST", "/api/v1/budgets/cap/top-up", {"microusd": 10**9}),
        await made.ask(owner, "DELETE", "/api/v1/budgets/cap"),
    ]

    assert [(one["name"], one["imposed"]) for one in shown] == [("cap", True), ("own", False)]
    assert [(one.status, one.json["code"]) for one in refused] == [(403, "imposed_budget")] * 3
    assert (await made.ask(owner, "DELETE", "/api/v1/budgets/own")).status == 204
    assert (await made.ask(made.root("acme"), "DELETE", "/api/v1/budgets/cap")).status == 204


async def test_a_top_up_of_another_team_cannot_be_looked_up_as_an_action(made: World) -> None:
    await made.made(made.root("acme"), "/api/v1/budgets", {"name": "cap", "limit_microusd": 5})
    await made.made(made.root("acme"), "/api/v1/budgets/cap/top-up", {"microusd": 7})
    store: Any = made.installation.store
    rows = await store._read(lambda reader: reader.rows(("id", "action"), "SELECT id, action FROM actions"))

    assert [row[1] for row in rows] == ["budget_top_up"]
    for tenant in ("default", "acme"):
        heard = await made.ask(made.root(tenant), "GET", f"/api/v1/tasks/actions/{rows[0][0]}")
        assert heard.status == 404


def lines_of(heard: Heard) -> list[dict[str, Any]]:
    return [json.loads(line) for line in heard.text.splitlines()]


async def test_an_export_has_everything_and_nothing_secret_or_others(made: World) -> None:
    owner = await made.signed_in("owner-acme", "acme")
    await made.key("owner-acme", "acme")
    await add_model(made, "acme", "own")
    await made.made(owner, "/api/v1/budgets", {"name": "cap", "limit_microusd": 10**9})
    done = (await submit(made, owner, "own")).json["id"]
    await over(made, owner, done)
    await submit(made, made.root("bolt"), input="not-to-be-seen")

    lines = lines_of(await made.ask(owner, "GET", "/api/v1/tenant/export"))
    by_admin = lines_of(await made.ask(made.root(), "GET", "/api/v1/tenants/acme/export"))

    kinds = [line.get("kind") for line in lines[:-1]]
    assert lines[-1] == {"rows": len(kinds)}
    assert [kinds.count(kind) for kind in ("tenant", "member", "key", "model", "budget", "task")] == [1, 3, 1, 1, 1, 1]
    task = next(line["row"] for line in lines if line.get("kind") == "task")
    assert (task["id"], len(task["attempts"]), task["output"]["text"] != "") == (done, 1, True)
    assert len(task["logs"]) >= 2
    assert not any("hash" in line["row"] for line in lines[:-1] if line["kind"] != "audit")
    assert "not-to-be-seen" not in json.dumps(lines)
    assert [line.get("kind") for line in by_admin] == [line.get("kind") for line in lines]


async def test_an_export_for_a_key_that_may_not_see_requests_has_none(made: World) -> None:
    await submit(made, made.root("acme"), input="the-request", run_at=FAR_OFF)
    key = await made.key("owner-acme", "acme", Permission.TENANT_MANAGE)

    heard = await made.ask(key, "GET", "/api/v1/tenant/export")

    assert heard.status == 200
    assert "the-request" not in heard.text


async def test_an_export_is_not_held_whole(made: World) -> None:
    """Some 40 MB of tasks pass through a few: as many, however many tasks there are."""
    line = json.dumps({"model": "shared", "input": "x" * 40_000, "run_at": FAR_OFF})
    body = "\n".join([line] * 500)
    for _ in range(2):
        made_all = await made.ask(made.root("acme"), "POST", "/api/v1/tasks/bulk", body, "application/x-ndjson")
        assert made_all.status == 201
    sent = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    headers = [(b"authorization", f"Bearer {BOOTSTRAP}".encode()), (b"x-tenant", b"acme")]
    scope = {"type": "http", "method": "GET", "path": "/api/v1/tenant/export", "query_string": b"", "headers": headers}
    tracemalloc.start()
    try:
        await made.app(scope, receive, send)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert sent > 40_000_000
    assert peak < sent / 3


async def removal(it: World, tenant: str) -> int:
    await it.made(it.root(), f"/api/v1/tenants/{tenant}/suspend", None)
    return (await it.made(it.root(), f"/api/v1/tenants/{tenant}?confirm={tenant}", None, "DELETE"))["id"]


async def test_a_tenant_is_removed_with_everything_it_has(made: World) -> None:
    owner, developer = [await made.signed_in(f"{role}-acme", "acme") for role in ("owner", "developer")]
    key = await made.key("developer-acme", "acme")
    await add_model(made, "acme", "own")
    await made.made(owner, "/api/v1/service-accounts", {"name": "ci"})
    await made.made(owner, "/api/v1/budgets", {"name": "cap", "limit_microusd": 10**9})
    await over(made, developer, (await submit(made, developer, "own")).json["id"])
    for _ in range(5):
        await submit(made, developer, run_at=FAR_OFF)
    kept = (await submit(made, made.root("bolt"), run_at=FAR_OFF)).json["id"]
    not_suspended = await made.ask(made.root(), "DELETE", "/api/v1/tenants/acme?confirm=acme")

    action_id = await removal(made, "acme")

    async def is_over() -> bool:
        found = await made.ask(made.root(), "GET", f"/api/v1/tenants/removals/{action_id}")
        return found.json["status"] == "completed" and found.json["removed"] > 6

    await until(is_over, "everything is gone")
    assert (not_suspended.status, not_suspended.json["code"]) == (409, "tenant_in_use")
    tenants = (await made.ask(made.root(), "GET", "/api/v1/tenants")).json["items"]
    assert [one["name"] for one in tenants] == ["bolt", "default", "gone"]
    assert (await made.ask(made.root("acme"), "GET", "/api/v1/tasks")).status == 404
    assert (await made.ask(key, "GET", "/api/v1/tasks")).status == 401
    assert (await made.ask(developer, "GET", "/api/v1/tasks")).status in (401, 404)
    assert (await made.ask(made.root(), "GET", "/api/v1/users/developer-acme")).json["memberships"] == []
    users = (await made.ask(made.root(), "GET", "/api/v1/users?q=svc.")).json["items"]
    assert users == []
    assert [model.name for model in made.installation.models.list()] == ["shared"]
    assert await status(made, made.root("bolt"), kept) == "scheduled"
    store: Any = made.installation.store
    tables = ("tasks", "attempts", "results", "task_logs", "task_metadata", "budgets", "api_keys", "memberships")
    for table in (*tables, "models", "idempotency_keys", "response_cache", "task_cache"):
        query = f"SELECT COUNT(*) FROM {table} WHERE tenant_id NOT IN (SELECT id FROM tenants)"  # noqa: S608 - ours
        assert await store._read(lambda reader, query=query: reader.value(query)) == 0, table


async def test_a_tenant_that_is_being_removed_is_not_resumed(made: World) -> None:
    """It waits for what still runs, here a task that started just before."""
    await add_model(made, "default", "slow", config={"delay_ms": 1500})
    await made.made(made.root(), "/api/v1/tenants/acme/suspend", None)
    await made.made(made.root(), "/api/v1/tenants/acme?confirm=acme", None, "DELETE")

    answers = [
        await made.ask(made.root(), "POST", "/api/v1/tenants/acme/resume"),
        await made.ask(made.root(), "DELETE", "/api/v1/tenants/acme?confirm=acme"),
    ]

    assert all(one.status in (404, 409) for one in answers)


async def test_a_tenant_with_a_running_task_stays(made: World) -> None:
    await add_model(made, "default", "slow", config={"delay_ms": 1000})
    task_id = (await submit(made, made.root("acme"), "slow")).json["id"]
    await until(lambda: _is(made, task_id, "running"), "it runs")
    await made.made(made.root(), "/api/v1/tenants/acme/suspend", None)

    refused = await made.ask(made.root(), "DELETE", "/api/v1/tenants/acme?confirm=acme")

    assert (refused.status, refused.json["code"]) == (409, "tenant_in_use")
    assert await over(made, made.root("acme"), task_id) == "completed"


async def _is(it: World, task_id: int, wanted: str) -> bool:
    return await status(it, it.root("acme"), task_id) == wanted


async def test_a_removal_goes_on_after_a_restart(tmp_path: Path) -> None:
    """The first process only wrote it down, and took the first step."""
    async with world(tmp_path) as made:
        await add_model(made, "default", "shared")
        lines = "\n".join([json.dumps({"model": "shared", "input": "Hi", "run_at": FAR_OFF})] * 600)
        await made.ask(made.root("acme"), "POST", "/api/v1/tasks/bulk", lines, "application/x-ndjson")
        await made.made(made.root(), "/api/v1/tenants/acme/suspend", None)
        text = await made.installation.access.tenants.removable("acme")
        acme = made.installation.access.tenants.get("acme").id
        begun = await made.installation.store.add_action("remove_tenant", text, None)
        await made.installation.store.erase_tenant(acme, 256)
        assert await made.installation.store.unfinished(acme) == 344

    async with inside(tmp_path, bootstrap_api_key=BOOTSTRAP) as again:

        async def is_over() -> bool:
            progress = await again.store.action(begun.id)
            return progress is not None and progress.status == "completed"

        await until(is_over, "the removal is over")
        assert [one.name for one in await again.store.tenants()] == ["default", "bolt", "gone"]
        assert await again.store.unfinished(acme) == 0


async def test_what_one_process_changes_is_known_in_the_others(tmp_path: Path) -> None:
    async with two_sites(tmp_path) as (one, two, _, store):
        directory = Directory(store)
        broker: Any = one.models._broker
        no_passwords: Any = None
        tenants = Tenants(store, one.catalogue, directory, one.models, broker)
        users = Users(store, directory, one.models, no_passwords)
        heard: list[object] = []
        two.process.cache.on_drop(heard.append)

        await tenants.add(new_tenant(name="acme", max_workers=3))
        await until(lambda: two.catalogue.tenant_named("acme"), "the other process knows it", 5)
        await tenants.change("acme", {"state": TenantState.SUSPENDED})

        def is_suspended() -> bool:
            found = two.catalogue.tenant_named("acme")
            return found is not None and found.state is TenantState.SUSPENDED

        await until(is_suspended, "the other process has heard", 5)
        heard.clear()
        await users.add(new_user(username="ann"), None, is_external=True)
        await until(lambda: heard, "the other process is told to look again", 5)
