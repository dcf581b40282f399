"""The dashboard behind a proxy that shows it under a path, as `docs/deploy.md` says: one build serves any prefix."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest
from playwright.sync_api import expect
from tests.e2e.conftest import PASSWORD
from tests.live import Server, free_port, wait_until
from tests.rig.browser import Look, visitor
from tests.rig.nginx import Nginx
from tests.rig.oidc_provider import OidcProvider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

PREFIX = "/llm"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
both_ways = pytest.mark.parametrize("is_stripping", [True, False], ids=["stripping", "leaving"])


@contextmanager
def shown_under(prefix: str, folder: Path, *, is_stripping: bool, **settings: str) -> Iterator[tuple[str, Server]]:
    """The address at which nginx shows a server, and the server."""
    running = Server(folder / "data", root_path=prefix, **settings)
    proxy = Nginx(folder / "nginx", [running.port], prefix, is_stripping=is_stripping)
    running._settings["public_url"] = proxy.url
    try:
        running.start()
        running.add_model("slow", config={"delay_ms": 300, "tokens_per_s": 8, "chunks": 10})
        proxy.start()
        yield proxy.url + prefix, running
    finally:
        proxy.close()
        running.close()


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[OidcProvider]:
    """Where an organisation's people sign in; its page asks for a subject."""
    process = OidcProvider(tmp_path / "provider", free_port())
    process.start()
    try:
        wait_until("the provider answers", process.is_up)
        process.set_user("s-1", preferred_username="ann", groups=["staff"])
        yield process
    finally:
        process.kill()


@both_ways
@pytest.mark.parametrize("prefix", [PREFIX, pytest.param("/tools/llm", marks=pytest.mark.nightly)])
def test_everything_works_under_a_prefix(browser: Browser, tmp_path: Path, prefix: str, is_stripping: bool) -> None:
    """The printed link, page, files, API, cookies of the sign-in, a reload deep inside, and an answer that streams."""
    with (
        shown_under(prefix, tmp_path, is_stripping=is_stripping) as (url, running),
        visitor(browser, url, Look()) as who,
    ):
        asked: list[str] = []
        who.page.on("request", lambda request: asked.append(request.url))
        link = re.search(rf"{re.escape(url)}/setup#token=\S+", running.log)
        assert link is not None, running.log
        who.page.goto(link[0])
        who.field("access:setup.password").fill(PASSWORD)
        who.field("access:setup.again").fill(PASSWORD)
        who.button("access:setup.make").click()
        expect(who.heading("Overview")).to_be_visible()
        assert who.page.url.startswith(f"{url}/?")
        who.page.reload()
        expect(who.heading("Overview")).to_be_visible()

        who.go("playground")
        assert who.page.url == f"{url}/playground"
        who.field("playground:message").fill("Hello")
        who.button("playground:send").click()
        log = who.page.get_by_role("log")
        who.watch_growing(log.get_by_role("listitem").last, 3)
        expect(log).to_contain_text("This is the scripted answer to task 1, attempt 1.")
        log.get_by_role("link").last.click()
        expect(who.heading()).to_contain_text("Task 1")
        assert who.page.url == f"{url}/tasks/1"

        who.page.reload()
        expect(who.heading()).to_contain_text("Task 1")
        who.check()
        assert [one for one in asked if not one.startswith((f"{url}/", "data:", "blob:"))] == []
        assert any(one.endswith("/events") for one in asked)


@both_ways
def test_a_sign_in_elsewhere_leads_back_to_where_it_began(
    browser: Browser, tmp_path: Path, provider: OidcProvider, is_stripping: bool
) -> None:
    """Under the prefix, filters and all; the return went to the same path at the proxy's root, where nothing is."""
    settings = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": "llms",
        "oidc_client_secret": "a long enough secret of a client",
        "oidc_role_map": '{"staff": "default:viewer"}',
    }
    with (
        shown_under(PREFIX, tmp_path, is_stripping=is_stripping, **settings) as (url, _),
        visitor(browser, url, Look()) as who,
    ):
        # The provider's page asks for a style sheet in the Internet.
        who.page.route(re.compile("^https://"), lambda route: route.fulfill(content_type="text/css", body=""))
        who.open("/tasks?status=failed")
        elsewhere = who.page.get_by_role("link", name=who.words("access:sso"))
        elsewhere.click()
        who.page.get_by_role("button", name="Deny").click()
        who.sees("access:elsewhere.oidc_refused")
        assert who.page.url == f"{url}/sign-in?error=oidc_refused"
        who.check()

        who.open("/tasks?status=failed")
        elsewhere.click()
        who.page.get_by_placeholder("sub").fill("s-1")
        who.page.get_by_role("button", name="Authorize").click()
        expect(who.heading("Tasks")).to_be_visible()
        assert who.page.url == f"{url}/tasks?status=failed"
        who.page.reload()
        expect(who.heading("Tasks")).to_be_visible()
        expect(who.page.get_by_role("button", name=who.words("account.label"))).to_contain_text("ann")
        who.check()


def test_the_prefix_alone_and_an_unknown_path_lead_somewhere(tmp_path: Path) -> None:
    """`/llm` without its slash is the proxy's to redirect; below it every path that no program asks for is the page."""
    with shown_under("/llm", tmp_path, is_stripping=False) as (url, _):
        page = httpx2.get(f"{url}/tasks/1", headers={"Accept": "text/html"})
        health = httpx2.get(f"{url}/healthz")

    assert '<base href="/llm/" />' in page.text
    assert health.status_code == 200
