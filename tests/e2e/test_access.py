"""Every view is fit for people who see little, hear it read, or use no mouse: axe finds nothing serious in it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error, expect
from tests.e2e.conftest import url_of
from tests.live import KEY, Server, server
from tests.rig.browser import Look, visitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser
    from tests.rig.browser import Visitor

LOOKS = tuple(Look("en", theme, width) for theme in ("light", "dark") for width in (1280, 390))
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
    "settings": "/settings",
    "not found": "/nowhere",
}
OUTSIDE = {"sign-in": "/sign-in", "setup": "/setup#token=of-a-link"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
every_look = pytest.mark.parametrize(
    "look", [pytest.param(look, marks=[] if not look.is_phone else pytest.mark.nightly, id=str(look)) for look in LOOKS]
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a task in every common state."""
    with server(tmp_path_factory.mktemp("filled")) as running:
        running.add_model("m", config={"delay_ms": 20})
        running.add_model("moody", config={"errors": [{"every": 1, "code": "invalid_request", "message": "no"}]})
        running.add_model("still")
        running.call("POST", "/api/v1/models/still/pause")
        budget = {"name": "team", "limit_microusd": 5_000_000, "period": "month"}
        running.call("POST", "/api/v1/budgets", budget)
        ids = [
            running.call("POST", "/api/v1/tasks", {"model": model, "input": "Hi", "metadata": {"team": "search"}})["id"]
            for model in ("m", "m", "moody", "moody", "still", "still")
        ]
        assert ids == [1, 2, 3, 4, 5, 6]
        for one in ids[:2]:
            running.wait_for(one, "completed")
        for one in ids[2:4]:
            running.wait_for(one, "failed")
        yield running


@every_look
def test_no_view_has_a_serious_fault(browser: Browser, filled: Server, look: Look) -> None:
    """Labels, roles, contrast and focus of each view, with its pictures drawn and its lists filled."""
    found: dict[str, list[str]] = {}
    with visitor(browser, url_of(filled), look) as who:
        for name, path in OUTSIDE.items():
            found[name] = looked_over(who, path)
        who.sign_in_by_key(KEY)
        for name, path in VIEWS.items():
            found[name] = looked_over(who, path)

        assert [f"{name}: {fault}" for name, faults in found.items() for fault in faults] == []
        assert who.watch.faults == []


def looked_over(who: Visitor, path: str) -> list[str]:
    """What axe, the ruler and the reader find on a page that has come to rest."""
    who.open(path)
    expect(who.page.locator("main h1, main h2, main .ant-result-title").first).to_be_visible()
    settle(who)
    return [*who.axe(), *who.too_wide(), *who.raw_keys()]


def settle(who: Visitor) -> None:
    """Nothing loads any more; a view that never rests is looked over as it is."""
    with contextlib.suppress(Error):
        who.page.wait_for_load_state("networkidle", timeout=3_000)
    expect(who.page.locator(".ant-skeleton")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_opens_over_a_page_has_no_serious_fault_either(browser: Browser, filled: Server, theme: str) -> None:
    """Menus, dialogs, the palette and the map of keys."""
    look = Look("en", "dark" if theme == "dark" else "light", 1280)
    with visitor(browser, url_of(filled), look) as who:
        who.sign_in_by_key(KEY)
        who.open("/tasks")
        expect(who.heading()).to_be_visible()
        settle(who)
        for name, keys in {"palette": "Control+k", "keys": "?"}.items():
            who.page.keyboard.press(keys)
            expect(who.dialog()).to_be_visible()
            assert who.axe() == [], name
            who.page.keyboard.press("Escape")
            expect(who.page.get_by_role("dialog")).to_have_count(0)
        for key in ("tasks:views.label", "tasks:columns", "tasks:export.label"):
            who.button(key).click()
            assert who.axe() == [], key
            who.page.keyboard.press("Escape")
            who.heading().click()
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
