"""A key is made and used; a colleague is let in as a viewer and refused what changes things: by clicking and typing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from playwright.sync_api import expect
from tests.e2e.conftest import PASSWORD, every_look, url_of
from tests.rig.browser import visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator
    from tests.live import Server
    from tests.rig.browser import Look, Visitor

OWN = "another long sentence for the tests"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@every_look
def test_a_key_is_made_shown_once_used_and_revoked(browser: Browser, running: Server, look: Look) -> None:
    """The text is seen when the key is made and never again; a program and a person get in with it, until it goes."""
    name, model = f"nightly {look}", f"for-keys-{look}"
    running.add_model(model)
    with visitor(browser, url_of(running), look) as who:
        who.sign_in("admin", PASSWORD)
        who.open("/settings/keys")
        key = make_key(who, name)

        task = submit(running, key, model)
        running.wait_for(task["id"], "completed")
        with visitor(browser, url_of(running), look) as program:
            sign_in_by_typed_key(program, key)
            expect(program.page.get_by_role("link", name=str(task["id"]), exact=True)).to_be_visible()
            program.check()

        who.page.get_by_role("button", name=f"{who.words('action.more')}: {name}").click()
        who.page.get_by_role("menuitem", name=who.words("settings:keys.revoke")).click()
        who.button("settings:keys.revoke", who.dialog()).click()
        who.sees("settings:keys.revoked", name=name)
        expect(who.page.get_by_text(name, exact=True)).to_have_count(0)
        who.check()

    answer = httpx2.get(f"{url_of(running)}/api/v1/me", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 401


def make_key(who: Visitor, name: str) -> str:
    """What the page shows this once."""
    who.button("settings:keys.add").first.click()
    who.field("settings:keys.name", who.dialog()).fill(name)
    who.check()
    who.button("settings:keys.make", who.dialog()).click()
    shown = who.page.locator("[data-secret]")
    expect(shown).to_be_visible()
    key = shown.inner_text().strip()
    who.check()
    who.button("settings:haveIt").click()
    expect(who.page.get_by_text(name, exact=True).first).to_be_visible()
    assert key not in who.page.content()
    who.page.reload()
    expect(who.page.get_by_text(name, exact=True).first).to_be_visible()
    assert key not in who.page.content()
    return key


def submit(running: Server, key: str, model: str) -> Any:
    """As a program does."""
    order = {"model": model, "input": "Hi"}
    answer = httpx2.post(f"{url_of(running)}/api/v1/tasks", headers={"Authorization": f"Bearer {key}"}, json=order)
    assert answer.status_code == 201, answer.text
    return answer.json()


def sign_in_by_typed_key(who: Visitor, key: str) -> None:
    """A key that may not see figures lands where it may be."""
    who.open("/sign-in")
    who.page.get_by_role("tab", name=who.words("access:byKey")).click()
    who.page.get_by_role("textbox", name=who.words("access:key"), exact=True).fill(key)
    who.button("access:keyUse").click()
    expect(who.heading(who.words("nav.tasks"))).to_be_visible()


@every_look
def test_a_viewer_is_made_and_sees_states_and_nothing_that_changes_them(
    browser: Browser, running: Server, look: Look
) -> None:
    """A first password that must be changed; then no button that would be refused, no request, no answer."""
    username, model = f"viewer-{look}", f"seen-{look}"
    running.add_model(model)
    task = running.call("POST", "/api/v1/tasks", {"model": model, "input": "a secret of the owner"})["id"]
    running.wait_for(task, "completed")
    with visitor(browser, url_of(running), look) as admin:
        admin.sign_in("admin", PASSWORD)
        admin.open("/settings/users")
        first = make_user(admin, username)
        make_viewer(admin, username)

    with visitor(browser, url_of(running), look) as who:
        who.sign_in(username, first)
        change_password(who, first)
        sees_no_more_than_states(who, model, task)
        is_told_what_is_not_allowed(who)

    assert refused(running, username, model) == (403, "forbidden")


def make_user(admin: Visitor, username: str) -> str:
    """The first password, which is shown this once."""
    admin.button("settings:users.add").first.click()
    dialog = admin.dialog()
    admin.field("settings:profile.username", dialog).fill(username)
    admin.button("action.add", dialog).click()
    shown = admin.page.locator("[data-secret]")
    expect(shown).to_be_visible()
    first = shown.inner_text().strip()
    admin.check()
    admin.button("settings:haveIt").click()
    expect(row_of(admin, username)).to_be_visible()
    return first


def row_of(admin: Visitor, username: str) -> Locator:
    """Of the table of users."""
    return admin.page.get_by_role("row").filter(has=admin.page.get_by_text(username, exact=True)).first


def make_viewer(admin: Visitor, username: str) -> None:
    """Member of a tenant, by the row that unfolds."""
    row_of(admin, username).locator(".ant-table-row-expand-icon").click()
    inside = admin.page.locator(".ant-table-expanded-row").filter(visible=True)
    admin.choose("settings:users.tenant", "default", inside)
    admin.choose("settings:members.role", admin.words("settings:role.viewer"), inside)
    admin.button("action.add", inside).click()
    expect(
        inside.get_by_role("combobox", name=f"{admin.words('settings:members.role')}: {username}, default")
    ).to_be_visible()
    admin.check()


def change_password(who: Visitor, first: str) -> None:
    """Nothing else opens before."""
    who.sees("settings:profile.mustChange")
    who.open("/tasks")
    who.sees("settings:profile.mustChange")
    who.check()
    who.field("settings:profile.currentPassword").fill(first)
    who.field("settings:profile.newPassword").fill(OWN)
    who.field("settings:profile.again").fill(OWN)
    who.button("settings:profile.changePassword").click()
    expect(who.page.get_by_text(who.words("settings:profile.mustChange"))).to_have_count(0)
    who.check()


def sees_no_more_than_states(who: Visitor, model: str, task: int) -> None:
    """Models without their buttons, a task without what was asked and answered."""
    who.go("models")
    expect(who.page.get_by_role("link", name=model, exact=True)).to_be_visible()
    expect(who.button("models:add")).to_have_count(0)
    expect(who.page.get_by_role("button", name=re.compile(re.escape(model)))).to_have_count(0)
    who.open(f"/tasks/{task}")
    who.sees("status.completed")
    for tab in ("request", "response"):
        who.page.get_by_role("tab", name=who.words(f"task:tab.{tab}")).click()
        who.sees("task:response.hidden")
    for key in ("retry", "cancel", "delete", "duplicate", "playground"):
        expect(who.button(f"task:action.{key}")).to_have_count(0)
    assert "a secret of the owner" not in who.page.content()
    who.check()


def is_told_what_is_not_allowed(who: Visitor) -> None:
    """The menu does not offer it; who types its address is told why."""
    for path in ("/playground", "/settings/users", "/settings/members"):
        who.open(path)
        who.sees("error.forbiddenTitle")
        who.sees("error.forbidden")
        who.check()
    who.open("/settings/keys")
    who.button("settings:keys.add").first.click()
    expect(who.dialog()).to_be_visible()
    expect(who.page.get_by_text(who.words("settings:keys.user"), exact=True)).to_have_count(0)
    who.check()


def refused(running: Server, username: str, model: str) -> tuple[int, str]:
    """What the server itself says to a viewer who submits."""
    with httpx2.Client(base_url=url_of(running)) as http:
        signed = http.post("/api/v1/auth/login", json={"username": username, "password": OWN})
        assert signed.status_code == 200, signed.text
        headers = {"Authorization": f"Bearer {signed.json()['access_token']}"}
        answer = http.post("/api/v1/tasks", headers=headers, json={"model": model, "input": "Hi"})
    return answer.status_code, answer.json()["code"]
