"""What signing in, accounts, tenants, members and keys leave in the audit log: who, from where, what changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.api.scene import KEY, Scene, client_of
from tests.unit.api.signing_scene import PASSWORD, SigningScene, bearer, code_of, signing_scene

from llm_scheduler.security.drawing import drawn
from llm_scheduler.services.api_keys import ApiKeys
from llm_scheduler.services.happenings import Chronicler, Device, Happening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WRONG = "none of Ann's words"
HERE = "127.0.0.1"


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[SigningScene]:
    async with signing_scene(tmp_path) as made:
        audit, access = made.parts.access.audit, made.parts.access
        made.signing.sign_in.tell = Chronicler(audit, access.directory, made.clock).tell
        yield made


async def log(scene: Scene) -> list[dict[str, Any]]:
    """Oldest first."""
    await scene.parts.access.audit.step()
    async with client_of(scene.app, KEY) as http:
        answer = await http.get("/api/v1/audit?limit=500")
    assert answer.status_code == 200, answer.text
    return answer.json()["items"][::-1]


def told(entry: dict[str, Any]) -> tuple[str, str, str, str]:
    return entry["action"], entry["actor"]["name"], entry["target"]["name"], entry["outcome"]


async def test_a_sign_in_says_who_came_in_and_where(people: SigningScene) -> None:
    await people.add("ann")

    await people.token()
    await people.login("ann", WRONG)

    entries = await log(people)
    assert [told(one) for one in entries] == [
        ("login.open", "ann", "ann", "done"),
        ("login.open", "", "ann", "failed"),
    ]
    assert (entries[0]["tenant"], entries[0]["address"]) == ("work", HERE)
    assert entries[0]["after"] == {"tenant": "work", "role": "owner"}
    assert entries[1]["after"] == {"status": 401, "code": "wrong_credentials"}


async def test_what_nobody_is_called_is_not_written_down(people: SigningScene) -> None:
    """It may be a password that was typed into the wrong field."""
    await people.login("hunter2-hunter2", WRONG)

    [entry] = await log(people)

    assert told(entry) == ("login.open", "", "", "failed")
    assert "hunter2" not in repr(await people.parts.store.audit_rows(0, 100))


async def test_a_flood_of_wrong_passwords_is_counted(people: SigningScene) -> None:
    for number in range(40):
        await people.login(f"nobody{number}", WRONG)

    assert len(await log(people)) == 10


async def test_one_deed_is_one_entry(people: SigningScene) -> None:
    """Though the services tell of it, too."""
    await people.add("ann")
    first, second = await people.token(), await people.token()
    headers = bearer(second["access_token"])
    http = people.browser

    await http.patch("/api/v1/me", headers=headers, json={"display_name": "Ann"})
    await http.post("/api/v1/auth/logout", json={"refresh_token": first["refresh_token"]})
    await http.post("/api/v1/auth/logout", json={"refresh_token": first["refresh_token"]})
    begun = (await http.post("/api/v1/me/totp", headers=headers, json={"password": PASSWORD})).json()
    code = code_of(begun["secret"], people.clock)
    confirmed = await http.post(
        "/api/v1/me/totp/confirm", headers=headers, json={"ticket": begun["ticket"], "code": code}
    )
    new = "four other words of Ann"
    await http.post("/api/v1/me/password", headers=headers, json={"current_password": PASSWORD, "new_password": new})
    await http.post("/api/v1/auth/logout-everywhere", headers=headers)

    entries = await log(people)
    assert [told(one) for one in entries] == [
        ("login.open", "ann", "ann", "done"),
        ("login.open", "ann", "ann", "done"),
        ("account.change", "ann", "ann", "done"),
        ("login.end", "ann", "ann", "done"),
        ("account.totp_begin", "ann", "ann", "done"),
        ("account.totp_add", "ann", "ann", "done"),
        ("account.password", "ann", "ann", "done"),
        ("login.end_everywhere", "ann", "ann", "done"),
    ]
    assert (entries[2]["before"], entries[2]["after"]) == ({"display_name": None}, {"display_name": "Ann"})
    text = repr(await people.parts.store.audit_rows(0, 100))
    secrets = [begun["secret"], begun["ticket"], new, PASSWORD, *confirmed.json()["recovery_codes"]]
    secrets += [first["refresh_token"], second["refresh_token"], second["access_token"]]
    assert not [one for one in secrets if one in text]


async def test_a_refresh_token_that_was_used_twice_is_told_of_and_staying_in_is_not(people: SigningScene) -> None:
    await people.add("ann")
    old = (await people.token())["refresh_token"]
    assert (await people.refresh(old)).status_code == 200
    people.clock.pass_s(60)

    assert (await people.refresh(old)).json()["code"] == "refresh_reused"

    entries = await log(people)
    assert [told(one) for one in entries] == [
        ("login.open", "ann", "ann", "done"),
        ("login.refresh_reused", "", "ann", "failed"),
    ]


async def test_what_happens_without_a_request_is_told_of(people: SigningScene) -> None:
    people.signing.sign_in.tell(Happening("setup.done", True, Device(agent="LLMS_ADMIN_PASSWORD"), username="admin"))

    assert [told(one) for one in await log(people)] == [("setup.done", "", "admin", "done")]


async def test_administration_of_people_is_told_with_what_was_before_and_after(api: Scene) -> None:
    http = api.http
    steps: list[tuple[str, str, int, Any, str, str]] = [
        ("POST", "tenants", 201, {"name": "acme"}, "tenant.add", "acme"),
        ("PATCH", "tenants/acme", 200, {"quotas": {"rpm": 5}}, "tenant.change", "acme"),
        ("POST", "tenants/acme/suspend", 200, None, "tenant.suspend", "acme"),
        ("POST", "tenants/acme/resume", 200, None, "tenant.resume", "acme"),
        ("POST", "users", 201, {"username": "ann"}, "user.add", "ann"),
        ("PATCH", "users/ann", 200, {"is_admin": True}, "user.change", "ann"),
        ("POST", "users/ann/password", 200, None, "user.password", "ann"),
        ("PUT", "members/ann", 201, {"role": "viewer"}, "member.set", "ann"),
        ("PUT", "members/ann", 200, {"role": "owner"}, "member.set", "ann"),
        ("DELETE", "members/ann", 204, None, "member.remove", "ann"),
        ("DELETE", "users/ann", 409, None, "user.remove", "ann"),
        ("POST", "service-accounts", 201, {"name": "ci"}, "service_account.add", "ci"),
        ("DELETE", "service-accounts/ci", 204, None, "service_account.remove", "ci"),
        ("GET", "tenant/export", 200, None, "tenant.export", "default"),
        ("GET", "tenants/acme/export", 200, None, "tenant.export", "acme"),
    ]
    given: list[str] = []
    for method, path, status, body, _, _ in steps:
        answer = await http.request(method, f"/api/v1/{path}", json=body)
        assert answer.status_code == status, (path, answer.text)
        if "initial_password" in answer.text:
            given.append(answer.json()["initial_password"])

    entries = (await log(api))[1:]  # the scene's model is the first
    assert [(one["action"], one["target"]["name"]) for one in entries] == [step[4:] for step in steps]
    changed, promoted = entries[1], entries[5]
    assert (changed["before"]["quotas"]["rpm"], changed["after"]["quotas"]["rpm"]) == (None, 5)
    assert (promoted["before"], promoted["after"]) == ({"is_admin": False}, {"is_admin": True})
    assert (entries[8]["before"], entries[8]["after"]) == ({"role": "viewer"}, {"role": "owner"})
    assert (entries[6]["after"], entries[10]["outcome"]) == ({"given": ["password"]}, "failed")
    assert {one["tenant"] for one in entries[:7]} == {None}
    assert {one["tenant"] for one in entries[7:10]} == {"default"}
    assert len(given) == 2
    assert not [one for one in given if one in repr(await api.parts.store.audit_rows(0, 100))]


async def test_a_keys_life_is_told_without_the_key(people: SigningScene) -> None:
    access = people.parts.access
    keys = ApiKeys(people.parts.store, access.directory, people.clock, drawn)
    scene = SigningScene(replace(people.parts, access=replace(access, api_keys=keys)), people.clock)
    await scene.add("ann")
    headers = bearer((await scene.token())["access_token"])
    http = scene.browser

    made = (await http.post("/api/v1/api-keys", headers=headers, json={"name": "laptop"})).json()
    one = f"/api/v1/api-keys/{made['id']}"
    await http.patch(one, headers=headers, json={"rpm": 9})
    renewed = (await http.post(f"{one}/renew", headers=headers)).json()
    await http.delete(one, headers=headers)

    entries = (await log(scene))[1:]
    assert [(entry["action"], entry["target"]["name"]) for entry in entries] == [
        ("api_key.make", str(made["id"])),
        ("api_key.change", str(made["id"])),
        ("api_key.renew", str(made["id"])),
        ("api_key.revoke", str(made["id"])),
    ]
    assert {entry["tenant"] for entry in entries} == {"work"}
    assert (entries[1]["before"], entries[1]["after"]) == ({"rpm": None}, {"rpm": 9})
    assert entries[2]["after"]["new_id"] == renewed["id"]
    text = repr(await people.parts.store.audit_rows(0, 100))
    assert made["key"] not in text
    assert renewed["key"] not in text
