"""What opens over a page: each function opens everything of one place and calls `seen` while it is open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from playwright.sync_api import expect
from pyotp.totp import TOTP
from tests.e2e.conftest import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator
    from tests.live import Server
    from tests.rig.browser import Look, Visitor

    Seen = Callable[[str], None]


def fill(running: Server) -> None:
    """A task in every common state, for three models, and a budget."""
    running.add_model("m", config={"delay_ms": 20})
    running.add_model("moody", config={"errors": [{"every": 1, "code": "invalid_request", "message": "no"}]})
    running.add_model("still")
    running.call("POST", "/api/v1/models/still/pause")
    running.call("POST", "/api/v1/budgets", {"name": "team", "limit_microusd": 5_000_000, "period": "month"})
    ids = [
        running.call("POST", "/api/v1/tasks", {"model": model, "input": "Hi", "metadata": {"team": "search"}})["id"]
        for model in ("m", "m", "moody", "moody", "still", "still")
    ]
    assert ids == [1, 2, 3, 4, 5, 6]
    for one in ids[:2]:
        running.wait_for(one, "completed")
    for one in ids[2:4]:
        running.wait_for(one, "failed")


def add_root(running: Server, look: Look) -> str:
    """An administrator with the password of all, for one look: its second factor is switched on."""
    username = f"root-{look}"
    running.call("POST", "/api/v1/users", {"username": username, "password": PASSWORD, "is_admin": True})
    return username


def at(who: Visitor, path: str) -> None:
    """A page that has come to rest."""
    who.open(path)
    expect(who.heading()).to_be_visible()
    who.settle()


def away(who: Visitor) -> None:
    """Whatever is open closes."""
    who.page.keyboard.press("Escape")
    expect(who.page.get_by_role("dialog")).to_have_count(0)


def dialog_of(who: Visitor, opener: Locator, seen: Seen, name: str) -> Locator:
    """Click, wait for the dialog, look at it."""
    opener.click()
    dialog = who.dialog()
    expect(dialog).to_be_visible()
    seen(name)
    return dialog


def menu_of(who: Visitor, opener: Locator, seen: Seen, name: str) -> None:
    """Click, wait for the menu, look at it; it stays open."""
    opener.click()
    expect(who.page.get_by_role("menuitem").first).to_be_visible()
    seen(name)


def row_menu(who: Visitor, name: str) -> Locator:
    """The dots at the end of a row."""
    return who.page.get_by_role("button", name=f"{who.words('action.more')}: {name}", exact=True)


def chosen(who: Visitor, key: str) -> Locator:
    """An entry of the menu that is open."""
    return who.page.get_by_role("menuitem", name=who.words(key), exact=True)


def unfold(who: Visitor, text: str) -> None:
    """The row with this text shows what is beneath it."""
    row = who.page.get_by_role("row").filter(has=who.page.get_by_text(text, exact=True)).first
    row.locator(".ant-table-row-expand-icon").click()
    expect(who.page.locator(".ant-table-expanded-row").filter(visible=True).first).to_be_visible()
    who.settle()


def everywhere(who: Visitor, seen: Seen) -> None:
    """Palette, map of keys, account, refresh; on a phone the menu."""
    at(who, "/tasks")
    for name, keys in {"palette": "Control+k", "map of keys": "?"}.items():
        who.page.keyboard.press(keys)
        expect(who.dialog()).to_be_visible()
        seen(name)
        away(who)
    account = who.page.get_by_role("button", name=re.compile("^" + re.escape(who.words("account.label")) + ":"))
    refresh = who.page.get_by_role("button", name=re.compile("^" + re.escape(who.words("refresh.label")) + ":"))
    for name, opener in {"account": account, "refresh": refresh}.items():
        menu_of(who, opener, seen, name)
        who.page.keyboard.press("Escape")
        expect(who.page.get_by_role("menu").filter(visible=True)).to_have_count(0)
    if who.look.is_phone:
        dialog_of(who, who.page.get_by_role("button", name=who.words("nav.menu"), exact=True), seen, "menu")
        away(who)


def of_tasks(who: Visitor, seen: Seen) -> None:
    """Saved views, columns, export; the question before a task is cancelled."""
    at(who, "/tasks")
    for key in ("tasks:views.label", *(() if who.look.is_phone else ("tasks:columns",)), "tasks:export.label"):
        who.button(key).click()
        seen(key)
        who.page.keyboard.press("Escape")
        who.heading().click()
    at(who, "/tasks/6")
    dialog_of(who, who.button("task:action.cancel"), seen, "cancel a task")
    away(who)


def of_models(who: Visitor, seen: Seen) -> None:
    """The wizard's four steps, scale, test, pause; edit, and a new endpoint."""
    at(who, "/models")
    dialog = dialog_of(who, who.button("models:add"), seen, "wizard: provider")
    who.button("action.next", dialog).click()
    who.field("models:wizard.apiKey", dialog).fill("none")
    seen("wizard: connection")
    who.button("action.next", dialog).click()
    expect(who.field("models:wizard.rpm", dialog)).to_be_visible()
    seen("wizard: limits")
    who.button("action.next", dialog).click()
    expect(who.button("models:wizard.addAndTest", dialog)).to_be_visible()
    seen("wizard: check")
    away(who)
    dots = who.page.get_by_role("button", name=f"{who.words('models:action.open')} m", exact=True)
    menu_of(who, dots, seen, "menu of a model")
    dialog_of(who, chosen(who, "models:action.scale"), seen, "scale")
    away(who)
    dots.click()
    chosen(who, "models:action.test").click()
    expect(who.dialog().get_by_role("status")).to_be_visible()
    seen("test call")
    away(who)
    dialog_of(
        who, who.page.get_by_role("button", name=f"{who.words('models:action.pause')} m", exact=True), seen, "pause"
    )
    away(who)
    at(who, "/models/m?tab=endpoints")
    dialog_of(who, who.button("models:action.edit"), seen, "edit a model")
    away(who)
    dialog_of(who, who.button("models:endpoint.add").first, seen, "new endpoint")
    away(who)


def of_dead_letters(who: Visitor, seen: Seen) -> None:
    """Edit one, queue all again."""
    at(who, "/dead-letters")
    who.page.get_by_role("button", name=re.compile("^" + re.escape(who.words("deadLetters:edit")))).first.click()
    expect(who.dialog().get_by_role("textbox")).to_be_visible()
    seen("edit a dead letter")
    away(who)
    dialog_of(who, who.button("deadLetters:discardAll"), seen, "discard all")
    away(who)


def of_budgets(who: Visitor, seen: Seen) -> None:
    """A new one, and more money."""
    at(who, "/usage")
    dialog_of(who, who.button("usage:budgets.add"), seen, "new budget")
    away(who)
    dialog_of(who, who.button("usage:budgets.topUp").first, seen, "top up")
    away(who)


def of_keys(who: Visitor, seen: Seen) -> None:
    """A new key, its text, its menu; renewed, changed, revoked."""
    at(who, "/settings/keys")
    dialog = dialog_of(who, who.button("settings:keys.add").first, seen, "new key")
    dialog.get_by_role("radio", name=re.compile("^" + re.escape(who.words("settings:keys.bundle.some")))).check()
    dialog.get_by_text(who.words("settings:keys.limits"), exact=True).click()
    seen("new key: everything")
    dialog.get_by_role("radio", name=re.compile("^" + re.escape(who.words("settings:keys.bundle.read")))).check()
    who.field("settings:keys.name", dialog).fill("looked at")
    who.button("settings:keys.make", dialog).click()
    expect(who.page.locator("[data-secret]")).to_be_visible()
    seen("key shown")
    who.button("settings:haveIt").click()
    unfold(who, "looked at")
    seen("details of a key")
    menu_of(who, row_menu(who, "looked at"), seen, "menu of a key")
    dialog_of(who, chosen(who, "settings:keys.renew"), seen, "renew a key")
    away(who)
    row_menu(who, "looked at").click()
    dialog_of(who, chosen(who, "action.edit"), seen, "change a key")
    away(who)
    row_menu(who, "looked at").click()
    dialog_of(who, chosen(who, "settings:keys.revoke"), seen, "revoke a key")
    away(who)


def of_people(who: Visitor, seen: Seen) -> None:
    """Members, service accounts, users: added, looked into, reset, deleted."""
    at(who, "/settings/members")
    for key in ("settings:members.add", "settings:services.add"):
        dialog_of(who, who.button(key).first, seen, key)
        away(who)
    at(who, "/settings/users")
    dialog = dialog_of(who, who.button("settings:users.add"), seen, "new user")
    name = f"newcomer-{who.look}"
    who.field("settings:profile.username", dialog).fill(name)
    who.button("action.add", dialog).click()
    expect(who.page.locator("[data-secret]")).to_be_visible()
    seen("first password")
    who.button("settings:haveIt").click()
    unfold(who, name)
    seen("details of a user")
    menu_of(who, row_menu(who, name), seen, "menu of a user")
    dialog_of(who, chosen(who, "settings:users.reset"), seen, "reset a password")
    away(who)
    row_menu(who, name).click()
    dialog_of(who, chosen(who, "action.delete"), seen, "delete a user")
    away(who)


def of_tenants(who: Visitor, seen: Seen) -> None:
    """A new one with all its limits; suspended, removed, and how far that is."""
    at(who, "/settings/tenants")
    name = f"acme-{who.look}"
    dialog = dialog_of(who, who.button("settings:tenants.add"), seen, "new tenant")
    who.button("settings:tenants.addModel", dialog).click()
    dialog.get_by_role("switch").check()
    seen("new tenant: everything")
    who.button("action.remove", dialog).click()
    dialog.get_by_role("switch").uncheck()
    who.field("settings:tenants.name", dialog).fill(name)
    who.button("action.add", dialog).click()
    expect(who.page.get_by_role("dialog")).to_have_count(0)
    unfold(who, name)
    seen("details of a tenant")
    menu_of(who, row_menu(who, name), seen, "menu of a tenant")
    dialog_of(who, chosen(who, "action.edit"), seen, "change a tenant")
    away(who)
    row_menu(who, name).click()
    dialog = dialog_of(who, chosen(who, "settings:tenants.suspend"), seen, "suspend a tenant")
    who.button("settings:tenants.suspend", dialog).click()
    expect(who.page.get_by_role("dialog")).to_have_count(0)
    expect(who.page.get_by_text(who.words("settings:tenants.states.suspended"), exact=True).first).to_be_visible()
    row_menu(who, name).click()
    dialog = dialog_of(who, chosen(who, "action.remove"), seen, "remove a tenant")
    dialog.get_by_role("textbox").fill(name)
    who.button("action.remove", dialog).click()
    expect(who.dialog().get_by_role("status")).to_be_visible()
    expect(who.page.get_by_role("dialog")).to_have_count(1)
    seen("removal of a tenant")
    away(who)


def of_second_factor(who: Visitor, seen: Seen) -> None:
    """Password, picture, codes; the question before every sign-in ends."""
    at(who, "/settings/profile")
    dialog = dialog_of(who, who.button("settings:totp.begin"), seen, "second factor: password")
    who.field("settings:profile.currentPassword", dialog).fill(PASSWORD)
    who.button("settings:totp.next", dialog).click()
    expect(who.page.get_by_role("img", name=who.words("settings:totp.picture"))).to_be_visible()
    expect(who.page.get_by_role("dialog")).to_have_count(1)
    seen("second factor: picture")
    secret = re.search(r"\b[A-Z2-7]{32}\b", who.dialog().inner_text())
    assert secret is not None
    who.field("settings:totp.code", who.dialog()).fill(TOTP(secret[0]).now())
    who.button("settings:totp.confirm", who.dialog()).click()
    expect(who.page.locator("[data-secret]")).to_be_visible()
    seen("second factor: recovery codes")
    who.button("settings:haveIt").click()
    who.sees("settings:totp.on")
    dialog_of(who, who.button("settings:sessions.everywhere"), seen, "sign out everywhere")
    away(who)


def of_the_installation(who: Visitor, seen: Seen) -> None:
    """Sealing anew, a stolen key, a line of the audit log and its chain."""
    at(who, "/settings/secrets")
    for key in ("settings:secrets.rotate", "settings:secrets.signStolen"):
        dialog_of(who, who.button(key), seen, key)
        away(who)
    at(who, "/settings/audit")
    who.page.locator(".ant-table-row-expand-icon").first.click()
    seen("line of the audit log")
    who.button("settings:audit.verify").click()
    expect(who.page.get_by_text(re.compile(who.words("settings:audit.guarded")))).to_be_visible()
    seen("chain of the audit log")


OPENERS: Final = (
    everywhere,
    of_tasks,
    of_models,
    of_dead_letters,
    of_budgets,
    of_keys,
    of_people,
    of_tenants,
    of_second_factor,
    of_the_installation,
)
