"""What people see when something is not there, not allowed, broken, or when the server cannot be reached."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.e2e.conftest import every_look, url_of
from tests.live import KEY
from tests.rig.browser import Look, visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route
    from tests.live import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@every_look
def test_what_is_not_there_says_so_and_leads_on(browser: Browser, running: Server, look: Look) -> None:
    """A page, a task, a model and a section of the settings that do not exist."""
    with visitor(browser, url_of(running), look) as who:
        who.watch.awaited.add(404)
        who.sign_in_by_key(KEY)
        for path in ("/tasks/999999", "/models/nowhere", "/settings/nowhere", "/nowhere/at/all"):
            who.open(path)
            who.sees("error.notFoundTitle")
            assert who.looked_over() == []
            who.check()
        who.sees("error.notFound", path="/nowhere/at/all")
        who.button("error.home").click()
        expect(who.heading(who.words("nav.overview"))).to_be_visible()
        who.check()


@every_look
def test_what_a_key_may_not_see_is_said_in_its_place(browser: Browser, running: Server, look: Look) -> None:
    """The views that are left are in the menu; the address of another one tells what is missing."""
    account = running.call("POST", "/api/v1/service-accounts", {"name": f"reader-{look}", "role": "developer"})
    order = {"name": "few", "user": account["username"], "scopes": ["tasks:read"]}
    key = running.call("POST", "/api/v1/api-keys", order)["key"]

    with visitor(browser, url_of(running), look) as who:
        # What the page asks for before it knows who is there.
        who.watch.awaited.add(403)
        who.sign_in_by_key(key)
        who.open("/")
        expect(who.heading(who.words("nav.tasks"))).to_be_visible()
        for path in ("/models", "/usage", "/playground"):
            who.open(path)
            who.sees("error.forbidden")
            assert who.looked_over() == []
            who.check()


@every_look
def test_an_error_of_the_server_is_shown_with_its_number(browser: Browser, running: Server, look: Look) -> None:
    """Of what failed one part says so; trying again mends it."""
    problem = {"status": 500, "code": "internal", "detail": "The record is on fire.", "request_id": "req-7"}

    def fails(route: Route) -> None:
        route.fulfill(status=500, content_type="application/problem+json", body=json.dumps(problem))

    with visitor(browser, url_of(running), look) as who:
        who.watch.awaited.add(500)
        who.sign_in_by_key(KEY)
        who.page.route("**/api/v1/workers", fails)
        who.open("/workers")
        alert = who.page.get_by_role("alert")
        expect(alert).to_contain_text("The record is on fire.")
        expect(alert).to_contain_text(who.words("error.requestId", id="req-7"))
        assert who.looked_over() == []
        who.check()

        who.page.unroute("**/api/v1/workers")
        who.button("action.retry").click()
        expect(who.page.get_by_role("table").first).to_be_visible()
        who.check()


def test_a_part_that_does_not_come_is_said_too(browser: Browser, running: Server) -> None:
    """A list that only fills a box has no place of its own for its error; nor has a task to begin with."""
    problem = {"status": 500, "code": "internal", "detail": "No models today."}
    with visitor(browser, url_of(running), Look()) as who:
        who.watch.awaited |= {404, 500}
        who.sign_in_by_key(KEY)
        who.page.route(
            re.compile(r"/api/v1/models(\?|$)"),
            lambda route: route.fulfill(status=500, content_type="application/problem+json", body=json.dumps(problem)),
        )
        who.open("/tasks")
        expect(who.page.locator(".stale")).to_have_text(who.words("refresh.missing", message="No models today."))
        assert who.looked_over() == []
        who.page.unroute_all()
        who.go("workers")
        expect(who.page.locator(".stale")).to_have_count(0)

        running.add_model("part")
        who.open("/playground?task=999999")
        expect(who.page.locator(".ant-message-error")).to_contain_text("999999")
        who.check()


@every_look
def test_a_page_that_breaks_or_does_not_come_says_so(browser: Browser, running: Server, look: Look) -> None:
    """An answer that no server gives, then a chunk that does not come: never a blank page, and the menu still works."""
    with visitor(browser, url_of(running), look) as who:
        who.sign_in_by_key(KEY)
        who.page.route("**/api/v1/workers", lambda route: route.fulfill(json={}))
        who.open("/workers")
        who.sees("error.brokenTitle")
        assert who.watch.faults
        who.watch.faults.clear()
        assert who.looked_over() == []
        who.page.unroute("**/api/v1/workers")
        who.button("error.reload").click()
        expect(who.page.get_by_role("table").first).to_be_visible()
        who.check()

        chunk = re.compile(r"/assets/Usage-[^/]*\.js")
        who.page.route(chunk, lambda route: route.abort())
        who.open("/usage")
        who.sees("error.notLoadedTitle")
        assert who.looked_over() == []
        who.watch.faults.clear()
        who.page.unroute(chunk)
        who.button("error.reload").click()
        expect(who.heading(who.words("nav.usage"))).to_be_visible()
        who.check()


@every_look
def test_a_browser_without_a_network_says_that_all_is_old(browser: Browser, running: Server, look: Look) -> None:
    """What was there stays and is marked; what is sent meanwhile fails at once instead of waiting for ever."""
    model = f"far-{look}"
    running.add_model(model)
    with visitor(browser, url_of(running), look) as who:
        who.sign_in_by_key(KEY)
        who.open(f"/models/{model}")
        expect(who.heading()).to_contain_text(model)
        who.settle()

        who.page.context.set_offline(True)
        expect(who.page.locator(".stale")).to_be_visible()
        assert who.looked_over() == []
        who.button("models:action.pause").click()
        who.button("models:action.pause", who.dialog()).click()
        expect(who.page.locator(".ant-message-error")).to_be_visible()
        expect(who.heading()).to_contain_text(model)

        who.watch.faults.clear()
        who.page.context.set_offline(False)
        expect(who.page.locator(".stale")).to_have_count(0)
        assert not any("console" in fault or "page" in fault for fault in who.watch.faults)
    assert running.call("GET", f"/api/v1/models/{model}")["status"] == "active"
