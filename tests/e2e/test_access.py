"""Every view is fit for people who see little, hear it read, or use no mouse: axe finds nothing serious in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.e2e.conftest import PASSWORD, every_look, url_of
from tests.e2e.opened import OPENERS, add_root, fill
from tests.live import KEY, Server, server
from tests.rig.browser import Look, visitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser
    from tests.rig.browser import Visitor

SECTIONS = (
    "profile",
    "keys",
    "tenant",
    "members",
    "users",
    "tenants",
    "audit",
    "network",
    "secrets",
    "plugins",
    "system",
)
VIEWS = {
    "overview": "/",
    "tasks": "/tasks",
    "tasks filtered": "/tasks?status=failed&model=moody",
    "tasks none": "/tasks?q=nothing-like-it",
    "tasks peek": "/tasks?peek=2",
    "task": "/tasks/2",
    "task request": "/tasks/2?tab=request",
    "task response": "/tasks/2?tab=response",
    "task logs": "/tasks/2?tab=logs",
    "task waiting": "/tasks/6",
    "dead letters": "/dead-letters",
    "models": "/models",
    "wizard": "/models?add=1",
    "model": "/models/moody",
    "workers": "/workers",
    "playground": "/playground",
    "usage": "/usage",
    "model endpoints": "/models/moody?tab=endpoints",
    "model learned": "/models/m?tab=learned",
    "settings unknown": "/settings/nowhere",
    "task unknown": "/tasks/999999",
    "not found": "/nowhere",
    **{f"settings {section}": f"/settings/{section}" for section in SECTIONS},
}
OUTSIDE = {"sign-in": "/sign-in", "setup": "/setup#token=of-a-link"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a task in every common state."""
    with server(tmp_path_factory.mktemp("filled")) as running:
        fill(running)
        yield running


@every_look
def test_no_view_has_a_serious_fault(browser: Browser, filled: Server, look: Look) -> None:
    """Labels, roles, contrast and focus of each view, with its pictures drawn and its lists filled."""
    found: dict[str, list[str]] = {}
    with visitor(browser, url_of(filled), look) as who:
        for name, path in OUTSIDE.items():
            found[name] = looked_over(who, path)
        who.sign_in_by_key(KEY)
        who.watch.awaited.add(404)
        for name, path in VIEWS.items():
            found[name] = looked_over(who, path)

        told = [f"{name}: {fault}" for name, faults in found.items() for fault in faults]
        assert not told, "\n".join(told)
        assert who.watch.faults == []


def looked_over(who: Visitor, path: str) -> list[str]:
    """What axe, the ruler and the reader find on a page that has come to rest."""
    who.open(path)
    expect(who.page.locator("main h1, main h2, main .ant-result-title").first).to_be_visible()
    who.settle()
    return who.looked_over()


@every_look
def test_what_opens_over_a_page_has_no_serious_fault_either(browser: Browser, filled: Server, look: Look) -> None:
    """Menus, dialogs, drawers and questions of every view; the palette and the map of keys."""
    found: dict[str, list[str]] = {}
    with visitor(browser, url_of(filled), look) as who:
        who.sign_in(add_root(filled, look), PASSWORD)

        def look_over(name: str) -> None:
            found[name] = who.looked_over()

        for opened in OPENERS:
            opened(who, look_over)

        told = [f"{name}: {fault}" for name, faults in found.items() for fault in faults]
        assert not told, "\n".join(told)
        assert who.watch.faults == []


def test_the_keys_alone_lead_to_a_task(browser: Browser, filled: Server) -> None:
    """Views by `g` and a letter, rows by `j` and `k`, the row by Enter, the palette by its number."""
    with visitor(browser, url_of(filled), Look()) as who:
        who.sign_in_by_key(KEY)
        who.open("/")
        expect(who.heading("Overview")).to_be_visible()
        who.page.keyboard.press("g")
        who.page.keyboard.press("t")
        expect(who.heading("Tasks")).to_be_visible()
        expect(who.page.get_by_role("link", name="6", exact=True)).to_be_visible()
        for key in ("j", "j", "k", "Enter"):
            who.page.keyboard.press(key)
        expect(who.heading()).to_contain_text("Task 6")

        who.page.keyboard.press("Control+k")
        expect(who.page.get_by_role("combobox")).to_be_focused()
        who.page.keyboard.type("2")
        who.page.keyboard.press("Enter")
        expect(who.heading()).to_contain_text("Task 2")
        assert who.watch.faults == []
