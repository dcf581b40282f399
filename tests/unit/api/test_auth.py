"""Signing in, staying in, signing out; and what attackers try there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.api.scene import KEY, client_of
from tests.unit.api.signing_scene import (
    PASSWORD,
    SigningScene,
    bearer,
    code_of,
    kid_of,
    signing_over,
    signing_scene,
)

from llm_scheduler.api.server import create_app
from llm_scheduler.domain.access import Role, UserState
from llm_scheduler.domain.tenant import Tenant, TenantState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import httpx2

WRONG = "none of Ann's words"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[SigningScene]:
    async with signing_scene(tmp_path) as made:
        yield made


def told(answer: httpx2.Response) -> dict[str, Any]:
    """The problem, without what differs from request to request."""
    return {name: value for name, value in answer.json().items() if name != "request_id"}


def cookies_of(answer: httpx2.Response) -> dict[str, str]:
    return {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}


async def test_who_signs_in_may_what_their_role_allows(api: SigningScene) -> None:
    await api.add("ann", work=Role.VIEWER)

    token = (await api.token())["access_token"]
    seen = await api.browser.get("/api/v1/models", headers=bearer(token))
    done = await api.browser.post("/api/v1/models", headers=bearer(token), json={"name": "x", "type": "scripted"})

    assert (await api.me(token)).json()["tenant"] == "work"
    assert (seen.status_code, done.status_code) == (200, 403)


async def test_names_are_the_same_in_capitals(api: SigningScene) -> None:
    await api.add("ann")

    assert (await api.login(" Ann ")).status_code == 200


async def test_nothing_tells_who_exists(api: SigningScene) -> None:
    """Unknown, wrong, disabled, without a password: the same words, the same status, one hash each."""
    await api.add("ann")
    await api.set_state(await api.add("dora"), UserState.DISABLED)
    await api.add("elsewhere", password=None)

    answers, hashes = [], []
    for name, password in (("nobody", WRONG), ("ann", WRONG), ("dora", PASSWORD), ("elsewhere", WRONG)):
        before = api.passwords.computed
        answers.append(await api.login(name, password))
        hashes.append(api.passwords.computed - before)

    assert [answer.status_code for answer in answers] == [401] * 4
    assert hashes == [1] * 4
    assert all(told(answer) == told(answers[0]) for answer in answers)
    assert {*answers[0].headers} == {*answers[1].headers} == {*answers[2].headers}


@pytest.mark.parametrize("name", ["ann", "nobody"])
async def test_who_fails_often_waits_longer_each_time_whether_they_exist_or_not(api: SigningScene, name: str) -> None:
    await api.add("ann")
    waits: list[int] = []

    for _ in range(5):
        assert (await api.login(name, WRONG)).status_code == 401
    for _ in range(11):
        refused = await api.login(name, WRONG)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
        waits.append(int(refused.headers["Retry-After"]))
        api.clock.pass_s(waits[-1])
        assert (await api.login(name, WRONG)).status_code == 401

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


async def test_a_refused_attempt_costs_no_hash(api: SigningScene) -> None:
    for _ in range(5):
        await api.login("nobody", WRONG)
    before = api.passwords.computed

    assert (await api.login("nobody", WRONG)).status_code == 429

    assert api.passwords.computed == before


async def test_many_attempts_at_once_are_no_more_than_one_after_the_other(api: SigningScene) -> None:
    await api.add("ann")

    answers = await asyncio.gather(*(api.login("ann", f"{WRONG} {number}") for number in range(16)))

    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 11


async def test_an_address_is_throttled_over_all_names_and_another_one_is_not(api: SigningScene) -> None:
    await api.add("ann")
    for number in range(5):
        await api.login(f"name{number}", WRONG)

    async with api.client(key=None, host="192.0.2.9") as elsewhere:
        assert (await api.login("ann", PASSWORD)).status_code == 429
        assert (await api.login("ann", PASSWORD, elsewhere)).status_code == 200


async def test_neighbours_in_one_ipv6_network_are_one_address(api: SigningScene) -> None:
    for number in range(5):
        async with api.client(key=None, host=f"2001:db8::{number + 1}") as one:
            assert (await api.login(f"name{number}", WRONG, one)).status_code == 401

    async with api.client(key=None, host="2001:db8::77") as neighbour:
        assert (await api.login("somebody", WRONG, neighbour)).status_code == 429


async def test_the_right_password_frees_the_name_and_gives_its_address_no_further_attempts(api: SigningScene) -> None:
    """Else whoever has an account could go on guessing others' for ever."""
    await api.add("ann")
    for number in range(4):
        assert (await api.login(f"victim{number}", WRONG)).status_code == 401
    assert (await api.login("ann", PASSWORD)).status_code == 200

    assert (await api.login("victim4", WRONG)).status_code == 401
    assert (await api.login("victim5", WRONG)).status_code == 429


async def test_failures_fade(api: SigningScene) -> None:
    for _ in range(5):
        await api.login("nobody", WRONG)

    api.clock.pass_s(5 * 300)

    for _ in range(5):
        assert (await api.login("nobody", WRONG)).status_code == 401


async def test_too_many_sign_ins_at_once_are_told_to_come_again(api: SigningScene) -> None:
    clients = [api.client(key=None, host=f"198.51.100.{number}") for number in range(60)]

    answers = await asyncio.gather(
        *(api.login(f"name{number}", WRONG, http) for number, http in enumerate(clients)),
    )

    busy = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {401, 503}
    assert busy[0].json()["code"] == "sign_in_busy"
    assert len(answers) - len(busy) >= 18
    for http in clients:
        await http.aclose()


async def test_the_cookie_is_hidden_strict_and_goes_to_the_sign_in_only(api: SigningScene) -> None:
    await api.add("ann")

    answer = await api.login(cookie=True)

    found = cookies_of(answer)
    assert answer.json()["refresh_token"] is None
    assert answer.json()["csrf_token"] in found["llms_csrf"]
    for mark in ("HttpOnly", "SameSite=Strict", "Path=/api/v1/auth;"):
        assert mark in found["llms_refresh"]
    assert "Secure" not in found["llms_refresh"]
    assert "HttpOnly" not in found["llms_csrf"]


async def test_over_https_the_cookies_are_secure(tmp_path: Path) -> None:
    async with signing_scene(tmp_path, public_url="https://llms.example") as api:
        await api.add("ann")

        found = cookies_of(await api.login(cookie=True))

    assert all(line.endswith("; Secure") for line in found.values())
    assert len(found) == 2


async def test_a_cookie_alone_renews_nothing(api: SigningScene) -> None:
    await api.add("ann")
    csrf = (await api.login(cookie=True)).json()["csrf_token"]

    async def renew(**headers: str) -> httpx2.Response:
        return await api.browser.post("/api/v1/auth/refresh", headers=headers)

    for headers in ({}, {"X-CSRF-Token": "x" * 43}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        refused = await renew(**headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    forced = await renew(**{"Origin": "https://evil.example", "X-CSRF-Token": csrf})
    assert forced.status_code == 403
    assert (await renew(**{"X-CSRF-Token": csrf})).status_code == 200
    assert (await renew(Origin="http://api.test")).status_code == 200


async def test_the_csrf_text_of_one_sign_in_is_none_for_another(api: SigningScene) -> None:
    await api.add("ann")
    others = (await api.login(cookie=True)).json()["csrf_token"]
    api.browser.cookies.clear()
    await api.login(cookie=True)

    refused = await api.browser.post("/api/v1/auth/refresh", headers={"X-CSRF-Token": others})

    assert refused.status_code == 403


async def test_another_sites_page_signs_nobody_in(api: SigningScene) -> None:
    await api.add("ann")
    body = {"username": "ann", "password": PASSWORD}

    answer = await api.browser.post("/api/v1/auth/login", json=body, headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403


async def test_a_refresh_gives_new_tokens_and_the_login_goes_on(api: SigningScene) -> None:
    await api.add("ann")
    first = await api.token()

    second = (await api.refresh(first["refresh_token"])).json()
    third = (await api.refresh(second["refresh_token"])).json()

    assert first["session_id"] == third["session_id"]
    assert (await api.me(third["access_token"])).status_code == 200
    assert (await api.me(first["access_token"])).status_code == 200  # until its 15 minutes are over


async def test_of_two_tabs_one_renews_and_the_other_is_told_to_look_again(api: SigningScene) -> None:
    await api.add("ann")
    token = (await api.token())["refresh_token"]

    answers = await asyncio.gather(*(api.refresh(token) for _ in range(8)))

    won = [answer for answer in answers if answer.status_code == 200]
    lost = [answer.json()["code"] for answer in answers if answer.status_code == 409]
    assert (len(won), lost) == (1, ["refreshed_elsewhere"] * 7)
    assert (await api.refresh(won[0].json()["refresh_token"])).status_code == 200


async def test_an_old_refresh_token_ends_the_sign_in_and_is_told_of(api: SigningScene) -> None:
    await api.add("ann")
    first = await api.token()
    second = (await api.refresh(first["refresh_token"])).json()
    api.clock.pass_s(11)

    reused = await api.refresh(first["refresh_token"])

    assert (reused.status_code, reused.json()["code"]) == (401, "refresh_reused")
    assert (await api.refresh(second["refresh_token"])).json()["code"] == "session_over"
    assert (await api.me(second["access_token"])).status_code == 401
    assert "login.refresh_reused" in [one.action for one in api.happened]


async def test_a_token_two_uses_old_ends_it_at_once(api: SigningScene) -> None:
    await api.add("ann")
    first = (await api.token())["refresh_token"]
    second = (await api.refresh(first)).json()["refresh_token"]
    await api.refresh(second)

    assert (await api.refresh(first)).json()["code"] == "refresh_reused"


async def test_who_only_guesses_the_number_of_a_sign_in_cannot_end_it(api: SigningScene) -> None:
    await api.add("ann")
    token = await api.token()
    login, _, _ = token["refresh_token"].split(".")

    for generation in ("0", "1", "2"):
        guessed = await api.refresh(f"{login}.{generation}.{'A' * 64}")
        assert guessed.json()["code"] == "session_over"

    assert (await api.refresh(token["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    "text", ["", "1", "1.1", "1.1.short", "x.1." + "A" * 64, "-1.1." + "A" * 64, "9" * 17 + ".1." + "A" * 64]
)
async def test_what_is_no_refresh_token_is_refused(api: SigningScene, text: str) -> None:
    assert (await api.refresh(text)).status_code in (401, 422)


async def test_a_sign_in_that_rests_too_long_is_over_and_none_lasts_for_ever(api: SigningScene) -> None:
    await api.add("ann")
    day_s = 86_400
    resting, living = (await api.token())["refresh_token"], (await api.token())["refresh_token"]

    for _ in range(6):
        api.clock.pass_s(13 * day_s)
        living = (await api.refresh(living)).json()["refresh_token"]

    assert (await api.refresh(resting)).json()["code"] == "session_over"
    api.clock.pass_s(11 * day_s)
    last = await api.refresh(living)
    api.clock.pass_s(2 * day_s)
    assert last.status_code == 200
    assert (await api.refresh(last.json()["refresh_token"])).json()["code"] == "session_over"


async def test_a_refresh_switches_the_tenant_and_a_foreign_one_is_not_there(api: SigningScene) -> None:
    await api.add("ann", work=Role.OWNER, default=Role.VIEWER)
    await api.parts.store.save_tenant(Tenant(9, "foreign"))  # type: ignore[arg-type]
    await api.parts.models.load()
    first = await api.token(tenant="work")

    foreign = await api.refresh(first["refresh_token"], tenant="foreign")
    switched = (await api.refresh(first["refresh_token"], tenant="default")).json()
    stayed = (await api.refresh(switched["refresh_token"])).json()

    assert foreign.status_code == 404
    assert (switched["tenant"], switched["role"]) == ("default", "viewer")
    assert stayed["tenant"] == "default"
    assert (await api.me(stayed["access_token"])).json()["role"] == "viewer"


async def test_who_belongs_to_no_active_tenant_is_told_so(api: SigningScene) -> None:
    await api.add("ann")
    await api.parts.store.save_tenant(Tenant(7, "work", state=TenantState.SUSPENDED))  # type: ignore[arg-type]
    await api.parts.models.load()

    answer = await api.login()

    assert (answer.status_code, answer.json()["code"]) == (403, "no_tenant")


async def test_signing_out_ends_tokens_of_both_kinds(api: SigningScene) -> None:
    await api.add("ann")
    token, other = await api.token(), await api.token()

    answer = await api.browser.post("/api/v1/auth/logout", json={"refresh_token": token["refresh_token"]})

    assert answer.status_code == 204
    assert (await api.me(token["access_token"])).status_code == 401
    assert (await api.refresh(token["refresh_token"])).status_code == 401
    assert (await api.me(other["access_token"])).status_code == 200


async def test_signing_out_with_the_cookie_drops_it(api: SigningScene) -> None:
    await api.add("ann")
    csrf = (await api.login(cookie=True)).json()["csrf_token"]

    refused = await api.browser.post("/api/v1/auth/logout")
    answer = await api.browser.post("/api/v1/auth/logout", headers={"X-CSRF-Token": csrf})

    assert (refused.status_code, answer.status_code) == (403, 204)
    assert all("Max-Age=0" in line for line in cookies_of(answer).values())
    assert not api.browser.cookies


async def test_signing_out_everywhere_ends_every_token(api: SigningScene) -> None:
    await api.add("ann")
    await api.add("bob", password="bob's own four words")
    tokens = [await api.token() for _ in range(3)]
    bob = await api.token("bob", password="bob's own four words")

    answer = await api.browser.post("/api/v1/auth/logout-everywhere", headers=bearer(tokens[0]["access_token"]))

    assert answer.json() == {"ended_sessions": 3}
    assert [(await api.me(one["access_token"])).status_code for one in tokens] == [401] * 3
    assert [(await api.refresh(one["refresh_token"])).status_code for one in tokens] == [401] * 3
    assert (await api.me(bob["access_token"])).status_code == 200


async def test_a_user_who_is_disabled_is_out_at_once(api: SigningScene) -> None:
    ann = await api.add("ann")
    token = await api.token()

    await api.set_state(ann, UserState.DISABLED)

    assert (await api.me(token["access_token"])).status_code == 401
    assert (await api.refresh(token["refresh_token"])).status_code == 401


async def test_a_password_that_somebody_else_chose_only_lets_choose_ones_own(api: SigningScene) -> None:
    ann = await api.add("ann")
    await api.parts.store.change_account(ann, {"must_change_password": 1})
    await api.parts.access.directory.load()

    token = (await api.token())["access_token"]
    before = await api.browser.get("/api/v1/models", headers=bearer(token))
    body = {"current_password": PASSWORD, "new_password": "words that are mine"}
    changed = await api.browser.post("/api/v1/me/password", headers=bearer(token), json=body)

    assert before.status_code == 403
    assert changed.status_code == 200
    assert (await api.browser.get("/api/v1/models", headers=bearer(token))).status_code == 200


async def test_a_second_factor_is_asked_for_and_each_code_is_good_once(api: SigningScene) -> None:
    await api.add("ann")
    secret, codes = await with_totp(api)

    without = await api.login()
    code = code_of(secret, api.clock, 1)
    right = await api.login(totp=code)
    again = await api.login(totp=code)
    recovered = await api.login(totp=codes[0].upper())
    twice = await api.login(totp=codes[0])

    assert (without.status_code, without.json()["code"]) == (401, "totp_required")
    assert right.status_code == 200
    assert (again.status_code, again.json()["code"]) == (401, "wrong_totp")
    assert recovered.status_code == 200
    assert twice.status_code == 401
    me = (await api.me(recovered.json()["access_token"])).json()["user"]
    assert (me["has_totp"], me["recovery_codes_left"]) == (True, 9)


async def test_one_code_lets_in_one_of_many_who_bring_it_at_once(api: SigningScene) -> None:
    await api.add("ann")
    secret, codes = await with_totp(api)

    for code in (code_of(secret, api.clock, 1), codes[3]):
        answers = await asyncio.gather(*(api.login(totp=code) for _ in range(5)))
        assert [answer.status_code for answer in answers].count(200) == 1
        api.clock.pass_s(3600)


async def test_the_second_factor_is_not_guessed_faster_than_a_password(api: SigningScene) -> None:
    await api.add("ann")
    await with_totp(api)

    statuses = [(await api.login(totp=f"00000{number}")).status_code for number in range(7)]

    assert statuses == [401] * 5 + [429] * 2


async def test_asking_what_is_needed_first_counts_as_no_failure(api: SigningScene) -> None:
    await api.add("ann")
    secret, _ = await with_totp(api)

    for _ in range(10):
        assert (await api.login()).json()["code"] == "totp_required"

    assert (await api.login(totp=code_of(secret, api.clock, 1))).status_code == 200


async def test_the_first_user_is_made_once_with_the_token_of_the_last_start(api: SigningScene) -> None:
    first_user = api.signing.first_user
    old, token = await first_user.invite(), await first_user.invite()
    body = {"token": old, "username": "Ann", "password": PASSWORD, "cookie": False}

    async def setup(**changes: Any) -> httpx2.Response:
        return await api.browser.post("/api/v1/auth/setup", json={**body, **changes})

    assert (await api.browser.get("/api/v1/auth/providers")).json()["needs_setup"] is True
    assert (await setup()).json()["code"] == "wrong_setup_token"
    assert (await setup(token=token, password="short")).json()["code"] == "weak_password"
    made = await setup(token=token)
    assert made.status_code == 201
    assert (await setup(token=token, username="eve")).json()["code"] == "setup_closed"
    assert await first_user.invite() is None

    me = (await api.me(made.json()["access_token"])).json()
    directory = api.parts.access.directory
    await directory.load()
    assert (me["user"]["username"], me["role"], me["user"]["is_admin"]) == ("ann", "admin", True)
    membership = directory.membership(me["user"]["id"], 1)  # type: ignore[arg-type]
    assert membership is not None
    assert membership.role is Role.OWNER
    assert (await api.browser.get("/api/v1/auth/providers")).json()["needs_setup"] is False


async def test_of_many_first_users_at_once_there_is_one(api: SigningScene) -> None:
    token = await api.signing.first_user.invite()
    bodies = [
        {"token": token, "username": f"ann{number}", "password": PASSWORD, "cookie": False} for number in range(8)
    ]

    answers = await asyncio.gather(*(api.browser.post("/api/v1/auth/setup", json=body) for body in bodies))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


async def test_processes_that_start_side_by_side_each_print_a_token_that_holds(tmp_path: Path) -> None:
    async with signing_scene(tmp_path, is_shared=True) as api:
        first, _ = await api.signing.first_user.invite(), await api.signing.first_user.invite()
        body = {"token": first, "username": "ann", "password": PASSWORD}

        assert (await api.browser.post("/api/v1/auth/setup", json=body)).status_code == 201


async def test_what_was_signed_before_a_rotation_holds_until_it_is_over(api: SigningScene) -> None:
    await api.add("ann")
    before = (await api.token())["access_token"]

    async with client_of(api.app) as admin:
        rotated = await admin.post("/api/v1/auth/signing-keys/rotate")
    api.clock.pass_s(6)
    after = (await api.token())["access_token"]

    assert kid_of(after) == rotated.json()["kid"] != kid_of(before)
    assert [(await api.me(one)).status_code for one in (before, after)] == [200, 200]
    api.clock.pass_s(901)
    assert (await api.me(before)).status_code == 401


async def test_a_stolen_signing_key_is_dropped_and_sign_ins_go_on(api: SigningScene) -> None:
    await api.add("ann")
    before = await api.token()

    async with client_of(api.app) as admin:
        await admin.post("/api/v1/auth/signing-keys/rotate", json={"keep_old": False})

    assert (await api.me(before["access_token"])).status_code == 401
    after = (await api.refresh(before["refresh_token"])).json()
    assert (await api.me(after["access_token"])).status_code == 200


async def test_only_administrators_change_the_signing_key(api: SigningScene) -> None:
    await api.add("ann")
    token = (await api.token())["access_token"]

    answer = await api.browser.post("/api/v1/auth/signing-keys/rotate", headers=bearer(token))

    assert answer.status_code == 403


async def test_who_signed_in_at_one_process_is_known_at_another_with_the_next_request(api: SigningScene) -> None:
    """The other process has heard of neither the user, nor the sign-in, nor the key that signed the token."""
    from dataclasses import replace

    other = signing_over(api.parts, api.clock)
    await other.directory.load()
    app = create_app(replace(api.parts, access=other))
    await api.add("ann")
    token = (await api.token())["access_token"]

    async with client_of(app, key=None) as http:
        assert (await http.get("/api/v1/me", headers=bearer(token))).status_code == 200
        await api.browser.post("/api/v1/auth/logout-everywhere", headers=bearer(token))
        await other.directory.refresh()
        assert (await http.get("/api/v1/me", headers=bearer(token))).status_code == 401


async def test_secrets_stand_in_no_record_as_they_are(api: SigningScene, tmp_path: Path) -> None:
    await api.add("ann")
    secret, codes = await with_totp(api)
    token = await api.token(totp=code_of(secret, api.clock, 1))
    setup = await api.signing.first_user.invite()
    await api.parts.store.close()

    kept = contents(tmp_path)

    assert setup is None
    for one in (PASSWORD, secret, codes[0], token["refresh_token"][-64:], token["refresh_token"][-32:]):
        assert one.encode() not in kept
    assert token["access_token"].encode() not in kept


async def test_the_installations_own_key_is_no_person(api: SigningScene) -> None:
    async with client_of(api.app, KEY) as http:
        me = (await http.get("/api/v1/me")).json()
        refused = await http.get("/api/v1/me/sessions")
        everywhere = await http.post("/api/v1/auth/logout-everywhere")

    assert (me["kind"], me["user"], me["role"]) == ("bootstrap", None, "admin")
    assert {place["name"] for place in me["tenants"]} == {"default", "work"}
    assert (refused.status_code, refused.json()["code"]) == (403, "sign_in_needed")
    assert everywhere.status_code == 403


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def with_totp(api: SigningScene) -> tuple[str, list[str]]:
    """Ann's second factor in force: secret and recovery codes."""
    headers = bearer((await api.token())["access_token"])
    begun = (await api.browser.post("/api/v1/me/totp", headers=headers, json={"password": PASSWORD})).json()
    body = {"ticket": begun["ticket"], "code": code_of(begun["secret"], api.clock)}
    confirmed = await api.browser.post("/api/v1/me/totp/confirm", headers=headers, json=body)
    assert confirmed.status_code == 200, confirmed.text
    return begun["secret"], confirmed.json()["recovery_codes"]
