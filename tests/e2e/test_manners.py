"""Small things that people come to rely on: keys, the palette, copying, saved views, pausing, questions before harm."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.e2e.conftest import PASSWORD, url_of
from tests.live import KEY, wait_until
from tests.rig.browser import Look, chromium, visitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser
    from tests.live import Server
    from tests.rig.browser import Visitor

PLAIN = "plain.test"
"""A name for this machine that browsers do not trust as they do `127.0.0.1`."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(f"--host-resolver-rules=MAP {PLAIN} 127.0.0.1") as running:
        yield running


def test_the_palette_leads_to_views_models_and_tasks(browser: Browser, running: Server) -> None:
    """By a part of the name or the number; what is chosen stays in sight while the arrows go down."""
    for name in ("palette-model", "palette-second", "palette-third"):
        running.add_model(name)
    task = running.call("POST", "/api/v1/tasks", {"model": "palette-model", "input": "Hi"})["id"]
    with visitor(browser, url_of(running), Look()) as who:
        who.sign_in_by_key(KEY)
        who.open("/")
        expect(who.heading("Overview")).to_be_visible()
        for typed, heading in (("worke", "Workers"), ("palette-mo", "palette-model"), (f"#{task}", f"Task {task}")):
            who.page.keyboard.press("Control+k")
            expect(who.page.get_by_role("combobox")).to_be_focused()
            who.page.keyboard.type(typed)
            expect(who.page.get_by_role("option").first).to_contain_text(heading)
            who.page.keyboard.press("Enter")
            expect(who.heading()).to_contain_text(heading)

        who.page.keyboard.press("Control+k")
        options = who.page.get_by_role("option")
        expect(options.nth(10)).to_be_attached()
        for _ in range(10):
            who.page.keyboard.press("ArrowDown")
        expect(options.nth(10)).to_have_attribute("aria-selected", "true")
        expect(options.nth(10)).to_be_in_viewport(ratio=0.9)
        assert who.watch.faults == []


def test_the_keys_are_told_and_do_what_is_told(browser: Browser, running: Server) -> None:
    """`?` shows them; `/` goes to the search, `.` stops what is live: paused asks for nothing, whoever looks."""
    with visitor(browser, url_of(running), Look()) as who:
        who.sign_in_by_key(KEY)
        who.open("/tasks")
        expect(who.heading("Tasks")).to_be_visible()
        who.page.keyboard.press("?")
        for key in ("keys.palette", "keys.search", "keys.pause"):
            expect(who.dialog()).to_contain_text(who.words(key))
        who.page.keyboard.press("Escape")
        expect(who.page.get_by_role("dialog")).to_have_count(0)

        who.page.keyboard.press("/")
        expect(who.page.get_by_role("textbox", name=who.words("tasks:filter.search"))).to_be_focused()
        who.page.keyboard.press("Escape")
        who.heading().click()
        asked: list[str] = []
        who.page.on("request", lambda request: asked.append(request.url))
        wait_until("the list is asked for again", lambda: who.page.wait_for_timeout(200) or asked, 20)
        who.page.keyboard.press(".")
        expect(who.page.get_by_role("button", name=who.words("refresh.resume"))).to_be_visible()
        who.settle()
        asked.clear()
        who.page.evaluate("() => window.dispatchEvent(new Event('focus'))")
        who.page.wait_for_timeout(6_000)
        assert asked == []


def test_a_view_is_saved_chosen_removed_and_taken_back(browser: Browser, running: Server) -> None:
    """Filters under a name, and the columns, outlive a reload; a view that was removed by mistake comes back."""
    with visitor(browser, url_of(running), Look()) as who:
        who.sign_in_by_key(KEY)
        who.open("/tasks?status=failed&priority=low")
        who.button("tasks:views.label").click()
        who.field("tasks:views.name").fill("Low and lost")
        who.button("tasks:views.save").click()
        who.open("/tasks")
        who.button("tasks:views.label").click()
        who.page.get_by_role("link", name="Low and lost").click()
        expect(who.page).to_have_url(re.compile(r"/tasks\?status=failed&priority=low$"))

        who.button("tasks:views.remove", name="Low and lost").click()
        expect(who.page.get_by_role("link", name="Low and lost")).to_have_count(0)
        who.button("action.undo").click()
        expect(who.page.get_by_role("link", name="Low and lost")).to_be_visible()
        who.heading().click()

        who.button("tasks:columns").click()
        who.page.get_by_role("checkbox", name=who.words("tasks:column.type")).check()
        who.page.reload()
        expect(who.page.get_by_role("columnheader", name=who.words("tasks:column.type"))).to_be_visible()
        who.check()


def test_the_exact_time_is_there_for_who_points_at_it(browser: Browser, running: Server) -> None:
    """With its year, seconds and zone, beside how long ago it was."""
    running.add_model("timed")
    task = running.call("POST", "/api/v1/tasks", {"model": "timed", "input": "Hi"})
    with visitor(browser, url_of(running), Look()) as who:
        who.sign_in_by_key(KEY)
        who.open("/tasks?model=timed")
        moment = who.page.locator("time").first
        expect(moment).to_have_attribute("datetime", task["created_at"])
        year = task["created_at"][:4]
        expect(moment).to_have_attribute("title", re.compile(rf"{year}.*\d:\d\d:\d\d.*(UTC|GMT|[A-Z]{{3,4}}).* · \S"))


def test_nothing_is_destroyed_unasked(browser: Browser, running: Server) -> None:
    """A task, a model, a budget: each question is put, and a no leaves everything as it was."""
    running.add_model("kept")
    task = running.call("POST", "/api/v1/tasks", {"model": "kept", "input": "Hi"})["id"]
    running.wait_for(task, "completed")
    running.call("POST", "/api/v1/budgets", {"name": "kept", "limit_microusd": 1_000_000, "period": "month"})
    running.call("POST", "/api/v1/users", {"username": "kept", "password": PASSWORD})
    running.call("PUT", "/api/v1/members/kept", {"role": "viewer"})
    with visitor(browser, url_of(running), Look()) as who:
        who.sign_in("admin", PASSWORD)
        for path, name in (
            (f"/tasks/{task}", who.words("task:action.delete")),
            ("/models/kept", who.words("models:action.remove")),
            ("/usage", who.words("usage:budgets.remove")),
            ("/settings/members", f"{who.words('action.remove')} kept"),
        ):
            who.open(path)
            says_no_to(who, name)
        who.open("/settings/users")
        row = who.page.get_by_role("row").filter(has=who.page.get_by_text("kept", exact=True)).first
        row.locator(".ant-table-row-expand-icon").click()
        says_no_to(who, f"{who.words('action.remove')} kept, default")
        who.check()

    assert running.call("GET", f"/api/v1/tasks/{task}")["status"] == "completed"
    assert [one["username"] for one in running.call("GET", "/api/v1/members")["items"]].count("kept") == 1
    assert [one["name"] for one in running.call("GET", "/api/v1/budgets")["items"]] == ["kept"]
    assert running.call("GET", "/api/v1/models/kept")["status"] == "active"


def says_no_to(who: Visitor, name: str) -> None:
    """The button asks; the answer is no."""
    who.page.get_by_role("button", name=re.compile(rf"^(delete )?{re.escape(name)}$")).first.click()
    dialog = who.dialog()
    expect(dialog).to_be_visible()
    dialog.get_by_role("button").first.click()
    expect(dialog).to_be_hidden()


def test_what_is_copied_over_plain_http_is_in_the_clipboard(browser: Browser, running: Server) -> None:
    """Browsers keep the clipboard to themselves there; the dialog that shows a key once keeps the focus to itself."""
    with visitor(browser, f"http://{PLAIN}:{running.port}", Look()) as who:
        who.sign_in("admin", PASSWORD)
        who.open("/settings/keys")
        assert who.page.evaluate("() => !isSecureContext && !navigator.clipboard")
        who.button("settings:keys.add").first.click()
        who.field("settings:keys.name", who.dialog()).fill("copied")
        who.button("settings:keys.make", who.dialog()).click()
        shown = who.page.locator("[data-secret]")
        expect(shown).to_be_visible()
        button = who.page.get_by_role("button", name=who.words("settings:copyIt"))
        button.click()
        expect(who.page.get_by_role("tooltip")).to_have_text(who.words("action.copied"))
        expect(button).to_be_focused()
        key = shown.inner_text().strip()
        who.button("settings:haveIt").click()

        who.page.keyboard.press("Control+k")
        expect(who.page.get_by_role("combobox")).to_be_focused()
        who.page.keyboard.press("Control+v")
        expect(who.page.get_by_role("combobox")).to_have_value(key)
        # Chromium says aloud that it passes over a header which means nothing there.
        assert [fault for fault in who.watch.faults if "Cross-Origin-Opener-Policy" not in fault] == []
