"""Tenants, users, members and service accounts over the API, by an administrator."""

from typing import Any

import pytest
from tests.unit.api.scene import Scene


async def made(scene: Scene, path: str, status: int = 201, **body: Any) -> dict[str, Any]:
    answer = await scene.http.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def refused(scene: Scene, method: str, path: str, status: int, code: str, **more: Any) -> dict[str, Any]:
    answer = await scene.http.request(method, f"/api/v1/{path}", **more)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()


async def test_a_tenant_is_made_changed_and_listed(api: Scene) -> None:
    scene = api
    added = await made(scene, "tenants", name="acme", weight=2, quotas={"max_queued": 5, "model_workers": {"m": 1}})

    changed = await scene.http.patch(
        "/api/v1/tenants/acme", json={"name": "acme-2", "quotas": {"rpm": 60, "allowed_models": ["m", "m"]}}
    )

    assert added["quotas"] == {"max_queued": 5, "rpm": None, "model_workers": {"m": 1}, "allowed_models": None}
    assert changed.json()["quotas"] == {"max_queued": 5, "rpm": 60, "model_workers": {"m": 1}, "allowed_models": ["m"]}
    assert (await scene.http.get("/api/v1/tenants/acme-2")).json() == changed.json()
    assert [one["name"] for one in (await scene.http.get("/api/v1/tenants")).json()["items"]] == ["acme-2", "default"]
    await refused(scene, "GET", "tenants/acme", 404, "tenant_not_found")
    await refused(scene, "POST", "tenants", 409, "tenant_name_taken", json={"name": "acme-2"})
    lifted = await scene.http.patch("/api/v1/tenants/acme-2", json={"quotas": {"model_workers": None, "rpm": None}})
    assert (lifted.json()["quotas"]["model_workers"], lifted.json()["quotas"]["rpm"]) == ({}, None)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Acme"},
        {"name": ""},
        {"name": "a" * 64},
        {"name": "a", "weight": 0},
        {"name": "a", "max_workers": -1},
        {"name": "a", "quotas": {"rpm": 0}},
        {"name": "a", "quotas": {"nonsense": 1}},
        {"name": "a", "store_payloads": "some"},
    ],
)
async def test_a_tenant_that_makes_no_sense_is_refused(api: Scene, body: dict[str, Any]) -> None:
    await refused(api, "POST", "tenants", 422, "invalid_request", json=body)


async def test_the_installations_own_tenant_stays(api: Scene) -> None:
    await refused(api, "POST", "tenants/default/suspend", 409, "tenant_in_use")
    await refused(api, "PATCH", "tenants/default", 409, "tenant_in_use", json={"name": "other"})
    await refused(api, "DELETE", "tenants/default?confirm=default", 409, "tenant_in_use")
    assert (await api.http.patch("/api/v1/tenants/default", json={"weight": 3})).json()["weight"] == 3


async def test_a_list_comes_in_pages(api: Scene) -> None:
    for name in ("b", "a", "c"):
        await made(api, "tenants", name=name)

    pages, cursor = [], ""
    while cursor is not None:
        page = (await api.http.get(f"/api/v1/tenants?limit=2{cursor and '&cursor=' + cursor}")).json()
        pages.append([one["name"] for one in page["items"]])
        cursor = page["next_cursor"]

    assert pages == [["a", "b"], ["c", "default"]]
    await refused(api, "GET", "tenants?cursor=%21", 422, "invalid_request")
    await refused(api, "GET", "tenants?cursor=_w%3D%3D", 422, "invalid_request")


async def test_a_user_without_a_password_is_shown_one_once(api: Scene) -> None:
    scene = api
    ann = await made(scene, "users", username="ann", display_name="Ann", email="ann@example.org")
    bob = await made(scene, "users", username="bob", password="correct horse battery")
    eve = await made(scene, "users", username="eve", is_external=True)

    assert len(ann["initial_password"]) >= 20
    assert (ann["must_change_password"], ann["has_password"]) == (True, True)
    assert (bob["initial_password"], bob["must_change_password"], bob["has_password"]) == (None, False, True)
    assert (eve["initial_password"], eve["has_password"]) == (None, False)
    shown = (await scene.http.get("/api/v1/users/ann")).json()
    assert shown == {key: value for key, value in ann.items() if key != "initial_password"}
    assert scene.parts.access.users.get("ann").password_hash == f"hashed:{ann['initial_password']}"
    found = (await scene.http.get("/api/v1/users?q=EXAMPLE")).json()["items"]
    assert [one["username"] for one in found] == ["ann"]
    await refused(scene, "POST", "users", 409, "username_taken", json={"username": "ann"})


@pytest.mark.parametrize(
    "body",
    [
        {"username": "Ann"},
        {"username": "-ann"},
        {"username": "ann b"},
        {"username": "a" * 101},
        {"username": "svc.1.ci"},
        {"username": "ann", "password": "short"},
        {"username": "ann", "email": "nowhere"},
        {"username": "ann", "is_admin": 1},
        {"username": "ann", "is_external": True, "password": "correct horse battery"},
    ],
)
async def test_a_user_that_makes_no_sense_is_refused(api: Scene, body: dict[str, Any]) -> None:
    await refused(api, "POST", "users", 422, "invalid_request", json=body)


async def test_a_reset_password_ends_every_sign_in(api: Scene) -> None:
    ann = await made(api, "users", username="ann")

    reset = (await api.http.post("/api/v1/users/ann/password")).json()

    assert reset["initial_password"] not in (None, ann["initial_password"])
    assert api.parts.access.users.get("ann").epoch == 1


async def test_when_somebody_was_last_here_is_told_as_it_is_now(api: Scene) -> None:
    ann = await made(api, "users", username="ann")
    await made(api, "users", username="bob")
    assert (await api.http.get("/api/v1/users/ann")).json()["last_seen_at"] is None

    await api.parts.store.note_seen([ann["id"]])

    items = (await api.http.get("/api/v1/users")).json()["items"]
    seen = {one["username"]: one["last_seen_at"] for one in items}
    assert seen["ann"] is not None
    assert seen["bob"] is None
    assert (await api.http.get("/api/v1/users/ann")).json()["last_seen_at"] == seen["ann"]
    changed = await api.http.patch("/api/v1/users/ann", json={"display_name": "Ann"})
    assert changed.json()["last_seen_at"] == seen["ann"]


async def test_the_last_administrator_stays_one(api: Scene) -> None:
    await made(api, "users", username="ann", is_admin=True)

    await refused(api, "DELETE", "users/ann", 409, "last_admin")
    await refused(api, "PATCH", "users/ann", 409, "last_admin", json={"is_admin": False})
    await refused(api, "PATCH", "users/ann", 409, "last_admin", json={"state": "disabled"})

    await made(api, "users", username="bob", is_admin=True)
    assert (await api.http.delete("/api/v1/users/ann")).status_code == 204
    await refused(api, "GET", "users/ann", 404, "user_not_found")


async def test_a_disabled_user_is_signed_out(api: Scene) -> None:
    await made(api, "users", username="ann")

    for _ in range(2):
        await api.http.patch("/api/v1/users/ann", json={"state": "disabled"})

    user = api.parts.access.users.get("ann")
    assert (user.state, user.epoch) == ("disabled", 1)


async def test_members_are_added_changed_and_taken_out(api: Scene) -> None:
    scene = api
    await made(scene, "users", username="ann")

    answers = [await scene.http.put("/api/v1/members/ann", json={"role": role}) for role in ("viewer", "owner")]

    assert [answer.status_code for answer in answers] == [201, 200]
    assert [one["role"] for one in (await scene.http.get("/api/v1/members")).json()["items"]] == ["owner"]
    shown = (await scene.http.get("/api/v1/users/ann")).json()["memberships"]
    assert shown == [{"tenant": "default", "role": "owner"}]
    assert (await scene.http.delete("/api/v1/members/ann")).status_code == 204
    await refused(scene, "DELETE", "members/ann", 404, "member_not_found")
    await refused(scene, "PUT", "members/nobody", 404, "user_not_found", json={"role": "viewer"})
    await refused(scene, "PUT", "members/ann", 422, "invalid_request", json={"role": "admin"})


async def test_a_service_account_is_the_tenants_own(api: Scene) -> None:
    scene = api
    ci = await made(scene, "service-accounts", name="ci")

    assert (ci["username"], ci["role"]) == ("svc.1.ci", "developer")
    assert [one["name"] for one in (await scene.http.get("/api/v1/service-accounts")).json()["items"]] == ["ci"]
    assert [one["kind"] for one in (await scene.http.get("/api/v1/members")).json()["items"]] == ["service"]
    await refused(scene, "POST", "service-accounts", 409, "username_taken", json={"name": "ci"})
    await refused(scene, "POST", "users/svc.1.ci/password", 422, "invalid_request")
    await refused(scene, "PATCH", "users/svc.1.ci", 422, "invalid_request", json={"is_admin": True})
    changed = await scene.http.put("/api/v1/members/svc.1.ci", json={"role": "viewer"})
    assert changed.json()["role"] == "viewer"
    assert (await scene.http.delete("/api/v1/service-accounts/ci")).status_code == 204
    await refused(scene, "DELETE", "service-accounts/ci", 404, "member_not_found")
    await refused(scene, "GET", "users/svc.1.ci", 404, "user_not_found")


async def test_the_own_tenant_says_what_it_uses(api: Scene) -> None:
    for _ in range(3):
        await api.submit()

    own = (await api.http.get("/api/v1/tenant")).json()

    assert (own["name"], own["use"]) == ("default", {"unfinished": 3, "running": 0, "running_by_model": {}})


async def test_a_tenant_that_is_not_suspended_or_not_meant_stays(api: Scene) -> None:
    await made(api, "tenants", name="acme")

    await refused(api, "DELETE", "tenants/acme?confirm=other", 422, "invalid_request")
    await refused(api, "DELETE", "tenants/acme", 422, "invalid_request")
    await refused(api, "DELETE", "tenants/acme?confirm=acme", 409, "tenant_in_use")
    await refused(api, "DELETE", "tenants/other?confirm=other", 404, "tenant_not_found")
