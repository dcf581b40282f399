"""People from outside, at the door and behind other sites' pages: guesses, forged tokens, borrowed cookies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.live import server, wait_until
from tests.security.house import PASSWORD, House, house
from tests.security.wire import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
EVIL = "https://evil.example"
GUESSES = 10


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("strangers"), trusted_proxies="127.0.0.1") as made:
        yield made


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Behind no proxy."""
    with house(tmp_path_factory.mktemp("alone")) as made:
        yield made


def login(home: House, username: str, password: str, **headers: str) -> httpx2.Response:
    body = {"username": username, "password": password, "cookie": False}
    return home.ask(None, "POST", "/api/v1/auth/login", body, **headers)


def test_brute_force_waits_and_the_right_password_does_not_help_meanwhile(home: House) -> None:
    statuses = [
        login(home, "viewer-bolt", f"wrong-{turn}", X_Forwarded_For="198.51.100.1").status_code for turn in range(12)
    ]
    held = login(home, "viewer-bolt", PASSWORD, X_Forwarded_For="198.51.100.2")

    assert statuses[:5] == [401] * 5
    assert statuses.count(429) >= 4
    assert held.status_code in (200, 429), "by another address the name still waits, at most some seconds"
    assert all(status in (401, 429) for status in statuses)
    assert login(home, "viewer-acme", PASSWORD, X_Forwarded_For="198.51.100.3").status_code == 200


def test_neither_words_nor_time_tell_who_exists(home: House) -> None:
    """Each guess from an address of its own, at a name of its own: none is throttled."""
    for number in range(GUESSES):
        home.add_user(f"known-{number}", "acme")
    took: dict[str, list[float]] = {"known": [], "unknown": []}
    said: set[str] = set()
    for number in range(GUESSES):
        for kind in took:
            began = time.monotonic()
            answer = login(home, f"{kind}-{number}", "wrong", X_Forwarded_For=f"203.0.113.{number + 10}")
            took[kind].append(time.monotonic() - began)
            problem = {name: value for name, value in answer.json().items() if name != "request_id"}
            said.add(json.dumps([answer.status_code, problem, sorted({*answer.headers})]))

    known, unknown = median(took["known"]), median(took["unknown"])
    print(f"median of a known name {known * 1e3:.1f} ms, of an unknown one {unknown * 1e3:.1f} ms")
    assert len(said) == 1, said
    assert 0.5 < known / unknown < 2


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def opened(text: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def signed(head: dict[str, Any], claims: dict[str, Any], key: bytes, digest: Any = hashlib.sha256) -> str:
    text = f"{part(head)}.{part(claims)}"
    return f"{text}.{part(hmac.new(key, text.encode(), digest).digest())}"


def test_no_forged_token_lets_anybody_in(home: House) -> None:
    token = home.token("viewer-acme")
    first, second, third = token.split(".")
    head, claims = opened(first), opened(second)
    up = {**claims, "role": "admin", "tid": 1, "tenant": "default"}
    late = {**claims, "exp": claims["exp"] + 10**6}
    other = chr(ord(third[10]) ^ 1) if third[10] not in "-_/z" else "A"
    forged = {
        "no algorithm": f"{part({**head, 'alg': 'none'})}.{second}.",
        "no algorithm, in capitals": f"{part({**head, 'alg': 'NoNe'})}.{second}.",
        "no algorithm, signature kept": f"{part({**head, 'alg': 'none'})}.{second}.{third}",
        "no signature": f"{first}.{second}.",
        "another algorithm": signed({**head, "alg": "HS512"}, claims, b"secret", hashlib.sha512),
        "RS256 over our signature": f"{part({**head, 'alg': 'RS256'})}.{second}.{third}",
        "an empty key": signed(head, claims, b""),
        "a foreign key": signed(head, claims, b"k" * 32),
        "the key's id as the key": signed(head, claims, head["kid"].encode()),
        "a key id that is a path": signed({**head, "kid": "../../../../dev/null"}, claims, b""),
        "a key id of SQL": signed({**head, "kid": "' UNION SELECT 'k' -- "}, claims, b"k"),
        "a key in the header": signed({**head, "jwk": {"kty": "oct", "k": part(b"k" * 32)}}, claims, b"k" * 32),
        "a key's address in the header": signed({**head, "jku": "http://127.0.0.1:1/"}, claims, b"k" * 32),
        "claims that were changed": f"{first}.{part(up)}.{third}",
        "a later end": f"{first}.{part(late)}.{third}",
        "a signature that was changed": f"{first}.{second}.{third[:10]}{other}{third[11:]}",
        "two dots": "..",
        "nothing but a head": f"{first}..",
    }

    assert home.ask(token, "GET", "/api/v1/me").status_code == 200
    for number, (what, text) in enumerate(forged.items()):
        # From an address each: else some would be refused for being too many.
        answer = home.ask(text, "GET", "/api/v1/me", X_Forwarded_For=f"192.0.2.{number + 100}")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), what


def test_a_refresh_token_that_is_used_again_ends_the_sign_in(home: House) -> None:
    first = home.sign_in("developer-acme")
    tokens, newest = [first["refresh_token"]], ""
    for _ in range(2):
        answer = home.ask(None, "POST", "/api/v1/auth/refresh", {"refresh_token": tokens[-1]})
        tokens.append(answer.json()["refresh_token"])
        newest = answer.json()["access_token"]
    home.done(newest, "GET", "/api/v1/me")

    stolen = home.ask(None, "POST", "/api/v1/auth/refresh", {"refresh_token": tokens[0]})

    assert (stolen.status_code, stolen.json()["code"]) == (401, "refresh_reused")
    home.refused(401, newest, "GET", "/api/v1/me")
    home.refused(401, None, "POST", "/api/v1/auth/refresh", {"refresh_token": tokens[-1]})


def cookies_of(answer: httpx2.Response) -> dict[str, str]:
    return {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}


def browser(home: House, username: str, **headers: str) -> dict[str, str]:
    """Who signed in with cookies: their Set-Cookie lines."""
    body = {"username": username, "password": PASSWORD}
    answer = home.ask(None, "POST", "/api/v1/auth/login", body, **headers)
    assert answer.status_code == 200, answer.text
    assert "refresh_token" not in answer.text or answer.json()["refresh_token"] is None
    return cookies_of(answer)


def test_the_cookies_are_hidden_strict_narrow_and_secure_over_https(home: House) -> None:
    plain, secure = (
        browser(home, "owner-acme"),
        browser(home, "owner-acme", X_Forwarded_For="192.0.2.9", X_Forwarded_Proto="https"),
    )

    for cookies in (plain, secure):
        assert "; HttpOnly" in cookies["llms_refresh"]
        assert "; Path=/api/v1/auth;" in cookies["llms_refresh"]
        assert "HttpOnly" not in cookies["llms_csrf"], "a page of ours has to read it"
        assert all("; SameSite=Strict" in line and "Domain=" not in line for line in cookies.values())
    assert all("; Secure" in line for line in secure.values())
    assert not any("; Secure" in line for line in plain.values())


@pytest.mark.parametrize("path", ["/api/v1/auth/refresh", "/api/v1/auth/logout"])
@pytest.mark.parametrize("origin", [EVIL, "null", "https://127.0.0.1.evil.example", "", "http://[", "://"])
def test_cookies_that_another_sites_page_sends_do_nothing(home: House, path: str, origin: str) -> None:
    """An Origin that is no address was a 500."""
    cookies = browser(home, "owner-bolt")
    sent = "; ".join(line.partition(";")[0] for line in cookies.values())

    assert home.refused(403, None, "POST", path, Cookie=sent, Origin=origin) == "csrf_failed"
    assert home.refused(403, None, "POST", path, Cookie=sent) == "csrf_failed"
    assert home.refused(403, None, "POST", path, Cookie=sent, X_CSRF_Token="wrong") == "csrf_failed"
    own = f"http://127.0.0.1:{home.live.port}"
    answer = home.ask(None, "POST", "/api/v1/auth/refresh", Cookie=sent, Origin=own)
    assert answer.status_code == 200, "neither has ended it"
    evil = home.ask(None, "POST", "/api/v1/auth/login", {"username": "owner-bolt", "password": PASSWORD}, Origin=EVIL)
    assert (evil.status_code, cookies_of(evil)) == (403, {})


def test_cookies_open_no_route_but_those_of_signing_in(home: House) -> None:
    sent = "; ".join(line.partition(";")[0] for line in browser(home, "owner-acme").values())

    for method, path in (("GET", "/api/v1/me"), ("POST", "/api/v1/tasks"), ("POST", "/api/v1/auth/logout-everywhere")):
        home.refused(401, None, method, path, Cookie=sent)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
def test_another_site_is_told_nothing_and_asks_in_vain(home: House, method: str) -> None:
    token = home.token("owner-acme")
    asked = home.ask(
        None, "OPTIONS", "/api/v1/tasks", Origin=EVIL, Access_Control_Request_Method=method,
        Access_Control_Request_Headers="authorization",
    )  # fmt: skip
    actual = home.ask(token, method, "/api/v1/tasks", Origin=EVIL)

    assert asked.status_code in (401, 405)
    for answer in (asked, actual):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_an_address_that_the_client_writes_changes_nothing(alone: House) -> None:
    statuses: list[int] = []
    for turn in range(12):
        said = f"198.51.100.{turn}"
        headers = {"X_Forwarded_For": said, "Forwarded": f"for={said}", "X_Real_IP": said}
        statuses.append(login(alone, f"nobody-{turn}", "wrong", **headers).status_code)
    key = alone.key(made_owner(alone), networks=["198.51.100.7/32"])

    assert 429 in statuses, "each attempt was taken for another client's"
    alone.refused(403, key, "GET", "/api/v1/tasks", X_Forwarded_For="198.51.100.7")
    alone.refused(403, key, "GET", "/api/v1/tasks", X_Real_IP="198.51.100.7")


def made_owner(home: House) -> str:
    """A key that makes keys, without a sign-in: the address may be throttled."""
    account = home.done(
        home.root, "POST", "/api/v1/service-accounts", {"name": "keys", "role": "owner"}, X_Tenant="acme"
    )
    body = {"name": "k", "user": account["username"]}
    return home.done(home.root, "POST", "/api/v1/api-keys", body, X_Tenant="acme")["key"]


def test_behind_a_proxy_what_the_client_wrote_before_counts_for_nothing(home: House) -> None:
    statuses = [
        login(home, f"nobody-{turn}", "wrong", X_Forwarded_For=f"198.51.100.{turn}, 203.0.113.250").status_code
        for turn in range(12)
    ]

    assert 429 in statuses


def test_of_many_who_bring_the_setup_token_at_once_one_is_the_first_user(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with server(tmp_path_factory.mktemp("setup")) as live:
        token = wait_until("a link is printed", lambda: re.findall(r"/setup#token=(\S+)", live.log))[-1]
        with httpx2.Client(base_url=f"http://127.0.0.1:{live.port}", timeout=60) as http:

            def ask(number: int, token: str = token) -> int:
                body = {"token": token, "username": f"first-{number}", "password": PASSWORD, "cookie": False}
                return http.post("/api/v1/auth/setup", json=body).status_code

            wrong = [ask(90, "x" * 32), ask(91, token[:-1]), ask(92, token.swapcase())]
            with ThreadPoolExecutor(8) as many:
                statuses = sorted(many.map(ask, range(8)))
            later = ask(99)

        users = live.call("GET", "/api/v1/users")["items"]
    assert wrong == [401] * 3
    assert statuses == [201] + [409] * 7
    assert later == 409
    assert len(users) == 1


PREFIXED = [
    "/llm//api/v1/tasks", "/llm/llm/api/v1/tasks", "/llm/./api/v1/tasks", "/llm/docs/../api/v1/tasks", "//api/v1/tasks",
    "/llm/%2e%2e/api/v1/tasks", "/llm%2fapi/v1/tasks", "/LLM/api/v1/tasks", "/llm/healthz/../api/v1/tasks",
    "/llmapi/v1/tasks", "/llm;/api/v1/tasks", "/llm/healthz/api/v1/tasks", "/api/v1/tasks", "/llm/api/v1/tasks",
    "/llm/docs/..;/api/v1/tasks", "/llm/metrics/../api/v1/tasks", "/llm/llm/healthz", "/llm/llm/metrics",
]  # fmt: skip


def test_no_form_of_a_prefix_is_a_way_past_the_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    with server(tmp_path_factory.mktemp("prefixed"), root_path="/llm") as live:
        for path in PREFIXED:
            asked = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n"
            heard = spoken(live.port, asked.encode())
            assert heard.statuses[0] in (400, 401, 404), (path, heard.data[:300])
            assert b'"items"' not in heard.data, path
        assert live.http.get("/llm/api/v1/tasks").status_code == 200
        assert live.http.get("/llm/healthz", headers={"Authorization": ""}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/nowhere", "/api/v1/me", "/setup"])
def test_every_page_says_what_it_may_load_and_that_nobody_frames_it(home: House, path: str) -> None:
    answer = home.ask(None, "GET", path, Accept="text/html")
    policy = answer.headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    scripts = re.findall(r"script-src ([^;]*)", policy)
    assert scripts in ([], ["'self'"])
    assert "unsafe-eval" not in policy
    assert answer.headers["x-frame-options"] == "DENY"


def test_names_that_people_type_write_no_line_of_the_log(home: House) -> None:
    forged = '\n{"event":"forged","level":"critical"}\r\nforged line \x1b[31m'
    login(home, f"x{forged}"[:100], "wrong", X_Forwarded_For="203.0.113.77", User_Agent="agent \t forged-agent")
    home.ask("llms_wrong", "GET", "/api/v1/tasks", X_Tenant="forged-tenant")

    lines = home.live.log.splitlines()

    assert not [line for line in lines if line.lstrip().startswith(("forged", '{"event":"forged'))]
    assert "\x1b[31m" not in home.live.log
    assert PASSWORD not in home.live.log
