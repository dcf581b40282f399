"""The dashboard behind a proxy that shows it under a path, as `docs/deploy.md` says: one build serves any prefix."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest
from playwright.sync_api import expect
from tests.e2e.conftest import PASSWORD
from tests.live import server
from tests.rig.browser import Look, visitor
from tests.rig.nginx import Nginx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@contextmanager
def shown_under(prefix: str, folder: Path, *, is_stripping: bool) -> Iterator[str]:
    """The address at which nginx shows a server."""
    with server(folder / "data", root_path=prefix, admin_password=PASSWORD) as running:
        running.add_model("slow", config={"delay_ms": 300, "tokens_per_s": 20, "chunks": 10})
        proxy = Nginx(folder / "nginx", [running.port], prefix, is_stripping=is_stripping)
        try:
            proxy.start()
            yield proxy.url + prefix
        finally:
            proxy.close()


@pytest.mark.parametrize("is_stripping", [True, False], ids=["stripping", "leaving"])
@pytest.mark.parametrize("prefix", ["/llm", pytest.param("/tools/llm", marks=pytest.mark.nightly)])
def test_everything_works_under_a_prefix(browser: Browser, tmp_path: Path, prefix: str, is_stripping: bool) -> None:
    """Page, files, API, sign-in with its cookies, a reload deep inside, and an answer that streams."""
    with (
        shown_under(prefix, tmp_path, is_stripping=is_stripping) as url,
        visitor(browser, url, Look()) as who,
    ):
        asked: list[str] = []
        who.page.on("request", lambda request: asked.append(request.url))
        who.sign_in("admin", PASSWORD)
        expect(who.heading("Overview")).to_be_visible()
        assert who.page.url == f"{url}/"
        who.page.reload()
        expect(who.heading("Overview")).to_be_visible()

        who.go("playground")
        assert who.page.url == f"{url}/playground"
        who.field("playground:message").fill("Hello")
        who.button("playground:send").click()
        expect(who.page.get_by_role("log")).to_contain_text("This is the scripted answer to task 1, attempt 1.")
        who.page.get_by_role("log").get_by_role("link").last.click()
        expect(who.heading()).to_contain_text("Task 1")
        assert who.page.url == f"{url}/tasks/1"

        who.page.reload()
        expect(who.heading()).to_contain_text("Task 1")
        who.check()
        assert [one for one in asked if not one.startswith((f"{url}/", "data:", "blob:"))] == []
        assert any(one.endswith("/events") for one in asked)


def test_the_prefix_alone_and_an_unknown_path_lead_somewhere(tmp_path: Path) -> None:
    """`/llm` without its slash is the proxy's to redirect; below it every path that no program asks for is the page."""
    with shown_under("/llm", tmp_path, is_stripping=False) as url:
        page = httpx2.get(f"{url}/tasks/1", headers={"Accept": "text/html"})
        health = httpx2.get(f"{url}/healthz")

    assert '<base href="/llm/" />' in page.text
    assert health.status_code == 200
