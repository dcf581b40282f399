"""Keys, members and what a viewer is refused, in the settings; passed over while the dashboard has no such sections."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx2
import pytest
from playwright.sync_api import expect
from tests.e2e.conftest import PASSWORD, url_of
from tests.rig.browser import LOCALES, Look, visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from tests.live import Server

SECTIONS = json.loads((LOCALES / "en" / "settings.json").read_text()).get("section", {})
LOOKS = [Look("en", "light", 1280), Look("zh", "dark", 1280)]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
has_sections = pytest.mark.skipif(
    not {"keys", "members"} <= set(SECTIONS), reason="the settings have no keys and members yet"
)
both = pytest.mark.parametrize("look", LOOKS, ids=str)


@has_sections
@both
def test_a_key_is_made_shown_once_and_works(browser: Browser, running: Server, look: Look) -> None:
    """The text is seen when the key is made and never again; with it a program gets in."""
    name = f"nightly {look}"
    with visitor(browser, url_of(running), look) as who:
        who.sign_in("admin", PASSWORD)
        who.open("/settings/keys")
        who.button("settings:keys.add").first.click()
        who.dialog().get_by_label(who.words("settings:keys.name"), exact=True).fill(name)
        who.button("settings:keys.make", who.dialog()).click()
        text = who.page.locator("[data-secret]")
        expect(text).to_be_visible()
        key = text.inner_text().strip()
        who.check()
        who.button("settings:haveIt").click()
        expect(who.page.get_by_text(name, exact=True).first).to_be_visible()
        assert key not in who.page.content()
        who.page.reload()
        expect(who.page.get_by_text(name, exact=True).first).to_be_visible()
        assert key not in who.page.content()
        who.check()

    answer = httpx2.get(f"{url_of(running)}/api/v1/me", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200


@has_sections
@both
def test_a_viewer_sees_states_and_nothing_that_changes_them(browser: Browser, running: Server, look: Look) -> None:
    """No button that would be refused, no request or answer; the sections of an administrator are not there."""
    username, model = f"vera-{look}", f"seen-{look}"
    running.call("POST", "/api/v1/users", {"username": username, "password": PASSWORD})
    running.call("POST", "/api/v1/members", {"username": username, "role": "viewer"})
    running.add_model(model)
    task = running.call("POST", "/api/v1/tasks", {"model": model, "input": "a secret of the owner"})["id"]
    running.wait_for(task, "completed")

    with visitor(browser, url_of(running), look) as who:
        who.sign_in(username, PASSWORD)
        who.open("/models")
        expect(who.page.get_by_role("link", name=model, exact=True)).to_be_visible()
        expect(who.button("models:add")).to_have_count(0)
        who.open(f"/tasks/{task}")
        who.sees("status.completed")
        assert "a secret of the owner" not in who.page.content()
        who.check()
        who.open("/settings/members")
        expect(who.page.get_by_text(SECTIONS["users"], exact=True)).to_have_count(0)
        who.check()

        with visitor(browser, url_of(running), look) as admin:
            admin.sign_in("admin", PASSWORD)
            admin.open("/settings/members")
            expect(admin.page.get_by_text(username, exact=True).first).to_be_visible()
            admin.check()
