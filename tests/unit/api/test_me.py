"""What people do with their own account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.api.signing_scene import PASSWORD, SigningScene, bearer, code_of, signing_scene

from llm_scheduler.domain.access import Role
from llm_scheduler.services.happenings import Device

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx2

NEW = "other words of Ann's"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[SigningScene]:
    async with signing_scene(tmp_path) as made:
        await made.add("ann", work=Role.OWNER, default=Role.VIEWER)
        await made.add("bob", password="bob's own four words")
        yield made


async def send(api: SigningScene, token: str, method: str, path: str, body: Any = None) -> httpx2.Response:
    return await api.browser.request(method, f"/api/v1/me{path}", headers=bearer(token), json=body)


async def test_one_sees_who_one_is_and_where_else_one_may_act(api: SigningScene) -> None:
    token = (await api.token(tenant="work"))["access_token"]

    me = (await api.me(token)).json()
    elsewhere = (await api.me(token, **{"X-Tenant": "default"})).json()

    assert me["user"]["username"] == "ann"
    assert (me["kind"], me["key"], me["tenant"], me["role"]) == ("user", None, "work", "owner")
    assert {(one["name"], one["role"]) for one in me["tenants"]} == {("work", "owner"), ("default", "viewer")}
    assert "members:manage" in me["permissions"]
    assert (elsewhere["tenant"], elsewhere["role"]) == ("default", "viewer")
    assert "password_hash" not in str(me)


async def test_a_foreign_tenant_is_not_there(api: SigningScene) -> None:
    token = (await api.token("bob", password="bob's own four words"))["access_token"]

    assert (await api.me(token, **{"X-Tenant": "default"})).status_code == 404
    assert (await api.login("bob", "bob's own four words", tenant="default")).status_code == 404
    assert (await api.login("bob", "bob's own four words", tenant="nowhere")).status_code == 404


async def test_the_profile_is_changed_in_part_and_emptied_by_null(api: SigningScene) -> None:
    token = (await api.token())["access_token"]

    await send(api, token, "PATCH", "", {"display_name": "Ann", "email": "ann@example.org"})
    changed = await send(api, token, "PATCH", "", {"display_name": None})
    nothing = await send(api, token, "PATCH", "", {})
    wrong = [await send(api, token, "PATCH", "", body) for body in ({"email": "no address"}, {"is_admin": True})]

    assert (changed.json()["display_name"], changed.json()["email"]) == (None, "ann@example.org")
    assert nothing.status_code == 200
    assert [answer.status_code for answer in wrong] == [422, 422]


async def test_a_new_password_ends_the_other_sign_ins(api: SigningScene) -> None:
    here, there = await api.token(), await api.token()

    answer = await send(api, here["access_token"], "POST", "/password", passwords(PASSWORD, NEW))

    assert answer.json() == {"ended_sessions": 1}
    assert (await api.me(here["access_token"])).status_code == 200
    assert (await api.me(there["access_token"])).status_code == 401
    assert (await api.refresh(there["refresh_token"])).status_code == 401
    assert (await api.login(password=PASSWORD)).status_code == 401
    assert (await api.login(password=NEW)).status_code == 200


@pytest.mark.parametrize(
    ("current", "new", "status", "code"),
    [
        ("wrong words", NEW, 401, "wrong_credentials"),
        (PASSWORD, "short", 422, "weak_password"),
        (PASSWORD, "password123", 422, "weak_password"),
        (PASSWORD, "x" * 2000, 422, "invalid_request"),
    ],
)
async def test_a_password_is_not_changed_by_a_stranger_nor_to_a_weak_one(
    api: SigningScene, current: str, new: str, status: int, code: str
) -> None:
    token = (await api.token())["access_token"]

    answer = await send(api, token, "POST", "/password", passwords(current, new))

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await api.login(password=PASSWORD)).status_code == 200


async def test_a_stolen_token_guesses_no_password(api: SigningScene) -> None:
    token = (await api.token())["access_token"]

    statuses = [
        (await send(api, token, "POST", "/password", passwords(f"guess {number}", NEW))).status_code
        for number in range(7)
    ]

    assert statuses == [401] * 5 + [429] * 2


async def test_sign_ins_are_listed_and_ended_ones_own_only(api: SigningScene) -> None:
    bob = await api.token("bob", password="bob's own four words")
    async with api.client(key=None, host="192.0.2.5") as elsewhere:
        elsewhere.headers["User-Agent"] = "A\tbrowser"
        there = (await api.login(http=elsewhere)).json()
    here = await api.token()

    items = (await api.me(here["access_token"], "/sessions")).json()["items"]
    foreign = await send(api, here["access_token"], "DELETE", f"/sessions/{bob['session_id']}")
    ended = await send(api, here["access_token"], "DELETE", f"/sessions/{there['session_id']}")
    again = await send(api, here["access_token"], "DELETE", f"/sessions/{there['session_id']}")

    assert [(one["id"], one["is_current"]) for one in items] == [
        (here["session_id"], True),
        (there["session_id"], False),
    ]
    assert (items[1]["address"], items[1]["agent"]) == ("192.0.2.5", "Abrowser")
    assert (foreign.status_code, ended.status_code, again.status_code) == (404, 204, 404)
    assert (await api.me(there["access_token"])).status_code == 401
    assert (await api.me(bob["access_token"])).status_code == 200
    assert (await send(api, here["access_token"], "DELETE", "/sessions/x")).status_code == 422


async def test_a_second_factor_begins_with_the_password_and_counts_after_its_first_code(api: SigningScene) -> None:
    token = (await api.token())["access_token"]

    refused = await send(api, token, "POST", "/totp", {"password": "wrong words"})
    begun = (await send(api, token, "POST", "/totp", {"password": PASSWORD})).json()
    assert (await api.login()).status_code == 200
    wrong = await send(api, token, "POST", "/totp/confirm", {"ticket": begun["ticket"], "code": "000000"})
    body = {"ticket": begun["ticket"], "code": code_of(begun["secret"], api.clock)}
    confirmed = await send(api, token, "POST", "/totp/confirm", body)
    again = await send(api, token, "POST", "/totp/confirm", body)

    assert (refused.status_code, wrong.status_code, confirmed.status_code, again.status_code) == (401, 401, 200, 409)
    assert len(set(confirmed.json()["recovery_codes"])) == 10
    assert begun["secret"] in begun["uri"]
    assert (await api.login()).json()["code"] == "totp_required"
    assert (await send(api, token, "POST", "/totp", {"password": PASSWORD})).status_code == 409


async def test_a_ticket_is_good_for_its_owner_and_ten_minutes(api: SigningScene) -> None:
    token = (await api.token())["access_token"]
    bob = (await api.token("bob", password="bob's own four words"))["access_token"]
    begun = (await send(api, token, "POST", "/totp", {"password": PASSWORD})).json()

    def body() -> dict[str, str]:
        return {"ticket": begun["ticket"], "code": code_of(begun["secret"], api.clock)}

    assert (await send(api, bob, "POST", "/totp/confirm", body())).status_code == 422
    assert (await send(api, token, "POST", "/totp/confirm", {**body(), "ticket": "v1.x.y"})).status_code == 422
    api.clock.pass_s(601)
    assert (await send(api, token, "POST", "/totp/confirm", body())).status_code == 422


async def test_a_second_factor_is_removed_with_the_password_only(api: SigningScene) -> None:
    token = (await api.token())["access_token"]
    begun = (await send(api, token, "POST", "/totp", {"password": PASSWORD})).json()
    await send(
        api,
        token,
        "POST",
        "/totp/confirm",
        {"ticket": begun["ticket"], "code": code_of(begun["secret"], api.clock)},
    )

    refused = await send(api, token, "DELETE", "/totp", {"password": "wrong words"})
    removed = await send(api, token, "DELETE", "/totp", {"password": PASSWORD})

    assert (refused.status_code, removed.status_code) == (401, 204)
    assert (await api.login()).status_code == 200


async def test_who_signs_in_elsewhere_has_nothing_to_change_here(api: SigningScene) -> None:
    zoe = await api.parts.store.account(await api.add("zoe", password=None))
    assert zoe is not None
    signed = await api.signing.sign_in.open(zoe, None, Device())

    for path, body in (("/password", passwords("x", NEW)), ("/totp", {"password": "x"})):
        answer = await send(api, signed.access.text, "POST", path, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "signs_in_elsewhere")


async def test_who_was_here_is_kept_once_a_minute_and_not_lost_to_a_fault(api: SigningScene) -> None:
    token = (await api.token())["access_token"]
    assert (await api.me(token)).json()["user"]["last_seen_at"] is None

    await api.signing.presence.keep()

    seen = (await api.me(token)).json()["user"]["last_seen_at"]
    assert seen is not None
    api.clock.pass_s(120)
    await api.signing.presence.keep()
    assert (await api.me(token)).json()["user"]["last_seen_at"] > seen


async def test_what_happens_is_told_without_secrets(api: SigningScene) -> None:
    token = (await api.token())["access_token"]
    await send(api, token, "POST", "/password", passwords(PASSWORD, NEW))
    await send(api, token, "PATCH", "", {"display_name": "Ann"})
    await api.login("my password in the wrong field", "x")

    told = {one.action: one for one in api.happened}

    assert {"login.opened", "account.password_changed", "account.changed"} <= told.keys()
    assert told["account.password_changed"].facts == {"fields": ["must_change_password"]}
    for secret in (PASSWORD, NEW, token, "wrong field"):
        assert secret not in str(api.happened)


def passwords(current: str, new: str) -> dict[str, str]:
    return {"current_password": current, "new_password": new}
