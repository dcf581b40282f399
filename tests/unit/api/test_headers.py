"""Headers and networks: what browsers are told, who may administrate from where, other sites, HTTPS."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.unit.api.scene import KEY, Scene, client_of, scene

from llm_scheduler.api.origin import Origins
from llm_scheduler.api.protection import Protection
from llm_scheduler.api.server import create_app

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

PAGES = ("/", "/docs")
SITE = "https://app.example.com"


def guarded(api: Scene, key: str | None = KEY, host: str = "192.0.2.1", **choices: Any) -> httpx2.AsyncClient:
    """A client of the same API with these protections."""
    access = replace(api.parts.access, protection=Protection(**choices))
    return client_of(create_app(replace(api.parts, access=access)), key, host)


@pytest.mark.parametrize("path", PAGES)
async def test_pages_hold_nothing_that_their_policy_forbids(api: Scene, path: str) -> None:
    answer = await api.http.get(path)
    policy = answer.headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|<script(?! src=\"/)|\son\w+=|\sstyle=|javascript:", answer.text)
    files = re.findall(r"(?:src|href)=\"(/static/[^\"]+)\"", answer.text)
    assert len(files) == 2
    for file in files:
        found = await api.http.get(file)
        assert found.status_code == 200
        assert found.headers["Content-Type"].startswith("text/css" if file.endswith("css") else "text/javascript")


@pytest.mark.parametrize("path", ["/docs", "/api/v1/models", "/nowhere", "/api/v1/tasks/77", "/healthz"])
async def test_every_answer_says_what_a_browser_must_not_do(api: Scene, path: str) -> None:
    headers = (await api.http.get(path)).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in headers


async def test_pages_give_up_what_they_do_not_need(api: Scene) -> None:
    headers = (await api.http.get("/")).headers

    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_other_sites_are_told_nothing_by_default(api: Scene) -> None:
    for method in ("GET", "OPTIONS"):
        asked = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
        answer = await api.http.request(method, "/api/v1/models", headers=asked)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_a_listed_site_may_use_the_api(api: Scene) -> None:
    async with guarded(api, cors_origins=frozenset({SITE.encode()})) as http:
        answer = await http.get("/api/v1/models", headers={"Origin": SITE})
        problem = await http.get("/api/v1/tasks/77", headers={"Origin": SITE})

    for each in (answer, problem):
        assert each.headers["Access-Control-Allow-Origin"] == SITE
        assert each.headers["Access-Control-Allow-Credentials"] == "true"
        assert "Origin" in each.headers["Vary"]


async def test_a_preflight_is_answered_without_a_key(api: Scene) -> None:
    async with guarded(api, key=None, cors_origins=frozenset({SITE.encode()})) as http:
        asked = {"Origin": SITE, "Access-Control-Request-Method": "POST"}
        answer = await http.options("/api/v1/tasks", headers=asked)

    assert answer.status_code == 204
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "X-CSRF-Token" in answer.headers["Access-Control-Allow-Headers"]
    assert answer.headers["Access-Control-Allow-Origin"] == SITE


@pytest.mark.parametrize(
    "site", ["https://evil.example.com", "https://app.example.com.evil.com", "http://app.example.com", "null", "*", ""]
)
async def test_a_site_that_is_not_listed_exactly_may_not(api: Scene, site: str) -> None:
    async with guarded(api, cors_origins=frozenset({SITE.encode()})) as http:
        for method in ("GET", "OPTIONS"):
            asked = {"Origin": site, "Access-Control-Request-Method": "GET"}
            answer = await http.request(method, "/api/v1/models", headers=asked)
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert "Access-Control-Allow-Credentials" not in answer.headers


async def by_proxy(api: Scene, scheme: str, path: str, method: str = "GET", **choices: Any) -> httpx2.Response:
    headers = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": scheme, "Host": "llm.example.com:8000"}
    async with guarded(api, host="10.0.0.1", origins=Origins(("10.0.0.1",)), **choices) as http:
        return await http.request(method, path, headers=headers)


async def test_browsers_are_told_to_stay_with_https_by_https_only(api: Scene) -> None:
    secure = await by_proxy(api, "https", "/docs", hsts_s=3_600)
    plain = await by_proxy(api, "http", "/docs", hsts_s=3_600)

    assert secure.headers["Strict-Transport-Security"] == "max-age=3600"
    assert "Strict-Transport-Security" not in plain.headers


async def test_where_https_is_required_pages_lead_to_it(api: Scene) -> None:
    answer = await by_proxy(api, "http", "/docs?find=a%20b", is_https_required=True)

    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://llm.example.com/docs?find=a%20b"
    assert (await by_proxy(api, "https", "/docs", is_https_required=True)).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/v1/models"), ("POST", "/docs"), ("GET", "/metrics")])
async def test_where_https_is_required_calls_are_refused(api: Scene, method: str, path: str) -> None:
    answer = await by_proxy(api, "http", path, method, is_https_required=True)

    assert (answer.status_code, answer.json()["code"]) == (403, "https_required")


@pytest.mark.parametrize("host", ["evil.com/x", "a b", "evil.com@good.com", "x\\y", ""])
async def test_an_odd_host_is_led_nowhere(api: Scene, host: str) -> None:
    async with guarded(api, is_https_required=True) as http:
        assert (await http.get("/docs", headers={"Host": host})).status_code == 403


async def test_probes_and_this_machine_need_no_https(api: Scene) -> None:
    async with guarded(api, is_https_required=True) as far, guarded(api, host="::1", is_https_required=True) as near:
        assert (await far.get("/healthz")).status_code == 200
        assert (await near.get("/api/v1/models")).status_code == 200
        assert (await near.get("/api/v1/models", headers={"X-Forwarded-For": "::1"})).status_code == 403


async def test_a_scheme_that_nobody_vouches_for_is_not_believed(api: Scene) -> None:
    async with guarded(api, is_https_required=True) as http:
        answer = await http.get("/api/v1/models", headers={"X-Forwarded-Proto": "https"})

    assert answer.status_code == 403


async def test_metrics_behind_a_local_proxy_are_not_open(api: Scene) -> None:
    async with guarded(api, key=None, host="127.0.0.1") as http:
        assert (await http.get("/metrics")).status_code == 200
        assert (await http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"})).status_code == 401
        assert (await http.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"})).status_code == 401


@pytest.mark.parametrize("path", ["/api/v1/system/network", "/api/v1/stats/daily"])
async def test_administration_is_allowed_from_its_networks_only(api: Scene, path: str) -> None:
    nets = ("10.0.0.0/8", "2001:db8::/32")
    for host, status in (("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("2001:db8::1", 200), ("192.0.2.1", 403)):
        async with guarded(api, host=host, admin_networks=nets) as http:
            answer = await http.get(path)
            assert answer.status_code == status
            assert status == 200 or answer.json()["code"] == "address_not_allowed"


async def test_other_work_is_allowed_from_everywhere(api: Scene) -> None:
    async with guarded(api, admin_networks=("10.0.0.0/8",)) as http:
        assert (await http.get("/api/v1/models")).status_code == 200


async def test_to_act_in_another_tenant_is_administration(api: Scene) -> None:
    async with guarded(api, admin_networks=("10.0.0.0/8",)) as http:
        answer = await http.get("/api/v1/models", headers={"X-Tenant": "default"})

    assert (answer.status_code, answer.json()["code"]) == (403, "address_not_allowed")


async def test_a_client_cannot_write_itself_into_the_networks(api: Scene) -> None:
    async with guarded(api, admin_networks=("10.0.0.0/8",)) as http:
        for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP"):
            answer = await http.get("/api/v1/system/network", headers={name: "10.0.0.1"})
            assert answer.status_code == 403


async def test_the_server_shows_what_it_thinks_of_the_caller(api: Scene) -> None:
    choices: dict[str, Any] = {"admin_networks": ("203.0.113.0/24",), "cors_origins": frozenset({SITE.encode()})}
    answer = (await by_proxy(api, "https", "/api/v1/system/network", **choices)).json()

    assert answer["caller"] == {
        "address": "203.0.113.7",
        "scheme": "https",
        "peer": "10.0.0.1",
        "is_peer_trusted": True,
    }
    assert answer["admin_networks"] == ["203.0.113.0/24"]
    assert answer["trusted_proxies"] == ["10.0.0.1"]
    assert answer["cors_origins"] == [SITE]


async def test_names_cannot_write_headers(tmp_path: Path) -> None:
    """A model's name goes into Location: it holds nothing that could begin a new header."""
    async with scene(tmp_path) as made:
        for name in ("a\r\nSet-Cookie: x=y", "a\nb", "a\0b", "a\x1b[31m", "ą", "a b", "a\u2028b"):
            answer = await made.http.post("/api/v1/models", json={"name": name, "type": "scripted"})
            location = answer.headers.get("Location", "")
            assert answer.status_code == 422 or (location.isascii() and location.isprintable()), name
            assert "Set-Cookie" not in answer.headers
            found = await made.http.get(f"/api/v1/models/{quote(name)}")
            assert "Set-Cookie" not in found.headers
