"""Signing in at an OpenID Connect provider: a real server, a real provider, a browser's way between them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from tests.live import KEY, Server, free_port, wait_until
from tests.rig.oidc_provider import OidcProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
CALLBACK = "/api/v1/auth/oidc/callback"
ROLES = {"staff": "default:viewer", "builders": "default:developer", "wheel": "admin", "ghosts": "nowhere:owner"}


class Grounds:
    """Both processes."""

    def __init__(self, live: Server, provider: OidcProvider) -> None:
        self.live, self.provider = live, provider
        self.browsers: list[httpx2.Client] = []

    def browser(self) -> httpx2.Client:
        """Somebody's browser, at our server."""
        self.browsers.append(httpx2.Client(base_url=f"http://127.0.0.1:{self.live.port}", timeout=60))
        return self.browsers[-1]

    def sign_in(self, subject: str, browser: httpx2.Client | None = None, **claims: Any) -> httpx2.Response:
        """The whole way; the answer of the callback."""
        if claims:
            self.provider.set_user(subject, **claims)
        http = browser or self.browser()
        sent = http.get("/api/v1/auth/oidc/start", params={"target": "/models"})
        assert sent.status_code == 302, sent.text
        return http.get(self.provider.sign_in(sent.headers["location"], subject))

    def me(self, browser: httpx2.Client) -> dict[str, Any]:
        """Who that browser is, by its cookies alone."""
        renewed = browser.post("/api/v1/auth/refresh", headers={"X-CSRF-Token": browser.cookies["llms_csrf"]})
        assert renewed.status_code == 200, renewed.text
        token = renewed.json()["access_token"]
        return browser.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).json()


@pytest.fixture
def grounds(shared: Grounds) -> Iterator[Grounds]:
    yield shared
    for browser in shared.browsers:
        browser.close()
    shared.browsers.clear()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    folder = tmp_path_factory.mktemp("oidc")
    provider = OidcProvider(folder / "provider", free_port())
    live = Server(folder / "server")
    live._settings.update(
        oidc_issuer=provider.issuer,
        oidc_client_id="llms",
        oidc_client_secret="a secret: with / odd % letters",
        oidc_role_map=json.dumps(ROLES),
        public_url=f"http://127.0.0.1:{live.port}",
    )
    provider.start()
    try:
        wait_until("the provider answers", provider.is_up)
        live.start()
        yield Grounds(live, provider)
    finally:
        live.close()
        provider.kill()


def test_somebody_comes_in_by_their_groups_and_goes_where_they_wanted(grounds: Grounds) -> None:
    browser = grounds.browser()

    answer = grounds.sign_in(
        "s-1", browser, preferred_username="Ann", email="ann@example.org", name="Ann E.", groups=["staff", "builders"]
    )

    assert (answer.status_code, answer.headers["location"]) == (302, "/models")
    assert "HttpOnly" in next(one for one in answer.headers.get_list("set-cookie") if one.startswith("llms_refresh"))
    me = grounds.me(browser)
    assert (me["user"]["username"], me["user"]["email"], me["user"]["display_name"]) == (
        "ann",
        "ann@example.org",
        "Ann E.",
    )
    assert (me["tenant"], me["role"], me["user"]["has_password"]) == ("default", "developer", False)


def test_roles_follow_the_groups_at_every_sign_in(grounds: Grounds) -> None:
    roles = []
    for groups in (["builders"], ["wheel", "staff"], ["staff"], ["ghosts", "unknown"], [], "staff"):
        browser = grounds.browser()
        answer = grounds.sign_in("s-2", browser, preferred_username="bob", groups=groups)
        roles.append(grounds.me(browser)["role"] if answer.status_code == 302 else answer.json()["code"])

    assert roles == ["developer", "admin", "viewer", "no_tenant", "no_tenant", "viewer"]


def test_a_name_or_an_address_gives_nobody_anothers_account(grounds: Grounds) -> None:
    first, second = grounds.browser(), grounds.browser()
    grounds.sign_in("s-3", first, preferred_username="carol", email="carol@example.org", groups=["staff"])

    grounds.sign_in("s-4", second, preferred_username="Carol", email="carol@example.org", groups=["staff"])

    one, other = grounds.me(first)["user"], grounds.me(second)["user"]
    assert one["id"] != other["id"]
    assert (one["username"], other["username"]) == ("carol", "carol-2")
    again = grounds.browser()
    grounds.sign_in("s-3", again)
    assert grounds.me(again)["user"]["id"] == one["id"]


def test_an_answer_for_another_browser_or_another_errand_is_refused(grounds: Grounds) -> None:
    grounds.provider.set_user("s-5", groups=["staff"])
    mine, theirs = grounds.browser(), grounds.browser()
    sent = mine.get("/api/v1/auth/oidc/start").headers["location"]
    theirs.get("/api/v1/auth/oidc/start")
    back = grounds.provider.sign_in(sent, "s-5")

    no_cookie = httpx2.get(back)
    stolen = theirs.get(back)
    forged = mine.get(back.replace("state=", "state=x"))
    mixed_up = mine.get(back + "&iss=https://evil.example")
    good = mine.get(back)
    replayed = mine.get(back)

    assert [answer.status_code for answer in (no_cookie, stolen, forged, mixed_up)] == [401] * 4
    assert {answer.json()["code"] for answer in (no_cookie, stolen, forged, mixed_up)} == {"oidc_refused"}
    assert good.status_code == 302
    assert replayed.status_code == 401


def test_a_code_that_was_caught_is_worth_nothing_without_its_verifier(grounds: Grounds) -> None:
    """PKCE: the thief begins an errand of their own and slips the other's code in."""
    grounds.provider.set_user("s-6", groups=["wheel"])
    victim, thief = grounds.browser(), grounds.browser()
    caught = grounds.provider.sign_in(victim.get("/api/v1/auth/oidc/start").headers["location"], "s-6")
    own = thief.get("/api/v1/auth/oidc/start").headers["location"]
    state = parse_qs(urlsplit(own).query)["state"][0]
    code = parse_qs(urlsplit(caught).query)["code"][0]

    answer = thief.get(CALLBACK, params={"state": state, "code": code})

    assert (answer.status_code, answer.json()["code"]) == (401, "oidc_refused")


def test_who_refuses_at_the_provider_is_told_so(grounds: Grounds) -> None:
    browser = grounds.browser()
    sent = browser.get("/api/v1/auth/oidc/start").headers["location"]
    state = parse_qs(urlsplit(sent).query)["state"][0]

    answer = browser.get(CALLBACK, params={"state": state, "error": "access_denied\r\nSet-Cookie: x=y"})

    assert (answer.status_code, answer.json()["code"]) == (401, "oidc_refused")
    assert "access_denied" in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_a_browser_that_is_not_let_in_comes_back_to_the_door(grounds: Grounds) -> None:
    """People were left before a page of JSON; a program still has the problem itself."""
    browser = grounds.browser()
    sent = browser.get("/api/v1/auth/oidc/start").headers["location"]
    state = parse_qs(urlsplit(sent).query)["state"][0]
    params = {"state": state, "error": "access_denied"}

    answer = browser.get(CALLBACK, params=params, headers={"Accept": "text/html,*/*;q=0.8"})

    assert (answer.status_code, answer.headers["location"]) == (302, "/sign-in?error=oidc_refused")
    assert "llms_refresh" not in browser.cookies


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "/%0d%0ax: y", "x"])
def test_nobody_is_sent_to_another_site_afterwards(grounds: Grounds, target: str) -> None:
    browser = grounds.browser()

    answer = browser.get("/api/v1/auth/oidc/start", params={"target": target})

    if answer.status_code == 302:
        back = browser.get(grounds.provider.sign_in(answer.headers["location"], "s-1"))
        assert back.headers["location"] == target
        assert target.startswith("/%")
    else:
        assert answer.status_code == 422


def test_what_the_provider_is_asked_for_cannot_be_guessed_or_replayed(grounds: Grounds) -> None:
    first = grounds.browser().get("/api/v1/auth/oidc/start").headers["location"]
    second = grounds.browser().get("/api/v1/auth/oidc/start").headers["location"]

    asked, again = (parse_qs(urlsplit(url).query) for url in (first, second))
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"http://127.0.0.1:{grounds.live.port}{CALLBACK}"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[name][0]) >= 43
        assert asked[name] != again[name]


def test_the_way_in_is_offered_and_secrets_stand_in_no_log(grounds: Grounds) -> None:
    offered = grounds.browser().get("/api/v1/auth/providers").json()

    assert offered["oidc"] == {"start": "/api/v1/auth/oidc/start"}
    for secret in ("odd % letters", KEY):
        assert secret not in grounds.live.log


def test_a_provider_that_is_away_is_503_and_passwords_still_work(grounds: Grounds) -> None:
    settings = grounds.live._settings | {"oidc_issuer": f"http://127.0.0.1:{free_port()}"}
    fresh = Server(grounds.live.folder.parent / "fresh", **settings)
    try:
        fresh.start()
        with httpx2.Client(base_url=f"http://127.0.0.1:{fresh.port}", timeout=60) as http:
            answer = http.get("/api/v1/auth/oidc/start")
            password = http.post("/api/v1/auth/login", json={"username": "x", "password": "y"})
    finally:
        fresh.close()

    assert (answer.status_code, answer.json()["code"]) == (503, "oidc_unavailable")
    assert "Retry-After" in answer.headers
    assert password.status_code == 401


def test_nobody_gets_the_name_of_a_service_account_and_others_get_one_that_will_do(grounds: Grounds) -> None:
    refused = grounds.sign_in("s-svc", preferred_username="SVC.1.ci", groups=["staff"])
    browser = grounds.browser()
    grounds.sign_in("s-odd", browser, preferred_username="..Zoë+Work@example.org", groups=["staff"])

    assert (refused.status_code, refused.json()["code"]) == (401, "oidc_refused")
    assert grounds.me(browser)["user"]["username"] == "zo-work@example.org"
