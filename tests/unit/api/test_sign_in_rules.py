"""What signing in is bound by beside the password: networks, limits, proxies, names, and what administrators do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.api.signing_scene import PASSWORD, SigningScene, signing_scene

from llm_scheduler.api.origin import Origins
from llm_scheduler.api.protection import Protection
from llm_scheduler.domain.access import Role
from llm_scheduler.services.ledger import LocalLedger
from llm_scheduler.services.rate_limits import RateLimits, Rates
from llm_scheduler.services.users import Users

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WRONG = "none of Ann's words"
HERE = "127.0.0.1"


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[SigningScene]:
    async with signing_scene(tmp_path) as made:
        yield made


async def test_an_administrator_signs_in_only_from_where_administration_is_allowed(people: SigningScene) -> None:
    protection = Protection(admin_networks=("192.0.2.0/24",))
    people.signing.sign_in.check_administration = protection.check_administration
    root = await people.add("root")
    await people.add("ann")
    kept = (await people.token("root"))["refresh_token"]
    await people.parts.store.follow_groups(root, {}, is_admin=True)

    refused, others, gone_on = await people.login("root"), await people.login("ann"), await people.refresh(kept)

    assert (refused.status_code, refused.json()["code"]) == (403, "address_not_allowed")
    assert others.status_code == 200
    assert (gone_on.status_code, gone_on.json()["code"]) == (403, "address_not_allowed")
    assert len(await people.parts.store.logins(root)) == 1


async def test_wrong_passwords_count_as_wrong_keys_do(people: SigningScene) -> None:
    """Of an address, whatever names it tries."""
    access = people.parts.access
    ledger = LocalLedger(people.clock)
    limits = RateLimits(ledger, access.directory, people.parts.catalogue, people.parts.meter, Rates(failures=3))
    limited = SigningScene(
        replace(people.parts, access=replace(access, protection=Protection(limits=limits))), people.clock
    )
    await limited.add("ann")
    codes = []
    for number in range(6):
        answer = await limited.login(f"nobody{number}", WRONG)
        codes.append((answer.status_code, answer.json()["code"]))

    assert codes[0] == (401, "wrong_credentials")
    assert codes[-1] == (429, "rate_limited")
    assert (await limited.login("ann")).status_code == 429


async def test_the_cookie_is_secure_where_a_trusted_proxy_says_that_it_came_by_https(people: SigningScene) -> None:
    access = replace(people.parts.access, protection=Protection(Origins((f"{HERE}/32",))))
    behind = SigningScene(replace(people.parts, access=access), people.clock)
    await behind.add("ann")
    body = {"username": "ann", "password": PASSWORD}
    forwarded = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}

    plain = await behind.browser.post("/api/v1/auth/login", json=body)
    by_https = await behind.browser.post("/api/v1/auth/login", json=body, headers=forwarded)
    believed = await people.browser.post("/api/v1/auth/login", json=body, headers=forwarded)

    assert ["; Secure" in one for one in by_https.headers.get_list("set-cookie")] == [True, True]
    assert ["; Secure" in one for one in plain.headers.get_list("set-cookie")] == [False, False]
    assert ["; Secure" in one for one in believed.headers.get_list("set-cookie")] == [False, False]


async def test_a_password_that_an_administrator_gives_is_looked_at_as_ones_own(people: SigningScene) -> None:
    access = people.parts.access
    users = Users(people.parts.store, access.directory, people.parts.models, people.passwords)
    scene = SigningScene(replace(people.parts, access=replace(access, users=users)), people.clock)

    for password in ("password1234", "ann-is-my-name"):
        body = {"username": "ann-is-my-name", "password": password}
        answer = await scene.http.post("/api/v1/users", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "weak_password"), password
    body = {"username": "ann-is-my-name", "password": PASSWORD}
    assert (await scene.http.post("/api/v1/users", json=body)).status_code == 201
    assert (await scene.login("ann-is-my-name")).status_code == 403  # a member of no tenant yet


@pytest.mark.parametrize("how", ["disabled", "removed", "reset"])
async def test_who_is_disabled_removed_or_given_another_password_is_signed_out(people: SigningScene, how: str) -> None:
    access = people.parts.access
    users = Users(people.parts.store, access.directory, people.parts.models, people.passwords)
    scene = SigningScene(replace(people.parts, access=replace(access, users=users)), people.clock)
    await scene.add("ann", work=Role.OWNER)
    token = await scene.token()

    ways: dict[str, tuple[str, str, Any]] = {
        "disabled": ("PATCH", "users/ann", {"state": "disabled"}),
        "removed": ("DELETE", "users/ann", None),
        "reset": ("POST", "users/ann/password", None),
    }
    method, path, body = ways[how]
    assert (await scene.http.request(method, f"/api/v1/{path}", json=body)).is_success

    assert (await scene.me(token["access_token"])).status_code == 401
    assert (await scene.refresh(token["refresh_token"])).status_code == 401


@pytest.mark.parametrize("name", ["svc.1.ci", "a+b", "SVC.1.ci"])
async def test_the_first_user_has_a_name_that_a_person_may_have(people: SigningScene, name: str) -> None:
    token = await people.signing.first_user.invite()

    answer = await people.browser.post(
        "/api/v1/auth/setup", json={"token": token, "username": name, "password": PASSWORD, "cookie": False}
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert await people.signing.first_user.is_missing()
