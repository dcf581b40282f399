"""What people do with the dashboard, from the first start on, by clicking and typing.

One journey is told in every language, theme and width; two of the looks run each time, all by `-m nightly`. Nothing may
go wrong unseen meanwhile: no error in the console, no failed request, no page that scrolls sideways.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.e2e.conftest import PASSWORD, every_look, url_of
from tests.live import server, wait_until
from tests.rig.browser import visitor

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser
    from tests.live import Server
    from tests.rig.browser import Look, Visitor

MANY = 2_500

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def add_scripted(who: Visitor) -> None:
    """The wizard, from the provider to the test call."""
    who.button("models:add").first.click()
    dialog = who.dialog()
    dialog.get_by_role("radio", name=who.words("models:preset.scripted")).check()
    for _ in range(3):
        who.button("action.next", dialog).click()
    who.button("models:wizard.addAndTest", dialog).click()
    expect(who.page.get_by_role("status").or_(who.page.get_by_role("alert")).first).to_be_visible()
    expect(who.page.get_by_text("This is the scripted answer", exact=False)).to_be_visible()
    who.page.keyboard.press("Escape")
    expect(who.page.get_by_role("main").get_by_role("link", name="scripted", exact=True)).to_be_visible()


def unfold_filters(who: Visitor) -> None:
    """On a phone they are behind a button."""
    if who.look.is_phone:
        button = who.page.get_by_role("button", name=re.compile(who.words("tasks:filter.label")))
        if button.get_attribute("aria-expanded") != "true":
            button.click()


@every_look
def test_the_first_person_sets_up_signs_in_and_has_an_answer(browser: Browser, tmp_path: Path, look: Look) -> None:
    """One-time link, sign-in, a model by the wizard, a message that streams, and the task in the list."""
    with server(tmp_path / "data") as running, visitor(browser, url_of(running), look) as who:
        token = re.search(r"/setup#token=(\S+)", running.log)
        assert token is not None, running.log
        who.open("/")
        who.sees("access:needsSetup")
        who.check()
        who.open(f"/setup#token={token[1]}")
        who.check()
        who.field("access:setup.password").fill(PASSWORD)
        who.field("access:setup.again").fill(PASSWORD)
        who.button("access:setup.make").click()
        expect(who.heading(who.words("nav.overview"))).to_be_visible()
        who.check()

        sign_out(who)
        who.sign_in("admin", PASSWORD)
        expect(who.heading(who.words("nav.overview"))).to_be_visible()

        who.go("models")
        add_scripted(who)
        who.check()

        running.call("PATCH", "/api/v1/models/scripted", {"config": {"tokens_per_s": 8, "chunks": 12}})
        who.go("playground")
        who.field("playground:message").fill("Hello, scheduler")
        who.button("playground:send").click()
        log = who.page.get_by_role("log")
        who.watch_growing(log.get_by_role("listitem").last, 3)
        expect(log).to_contain_text("This is the scripted answer to task", use_inner_text=True)
        link = log.get_by_role("link").last
        expect(link).to_be_visible()
        task = re.search(r"/tasks/(\d+)", link.get_attribute("href") or "")
        assert task is not None
        who.check()

        who.go("tasks")
        unfold_filters(who)
        who.choose("tasks:filter.model", "scripted")
        expect(who.page).to_have_url(re.compile(r"/tasks\?model=scripted"))
        who.page.reload()
        who.page.get_by_role("link", name=task[1], exact=True).click()
        expect(who.heading()).to_contain_text(task[1])
        who.page.get_by_role("tab", name=who.words("task:tab.response")).click()
        expect(who.page.get_by_text(f"This is the scripted answer to task {task[1]}", exact=False)).to_be_visible()
        who.check()


def sign_out(who: Visitor) -> None:
    who.page.get_by_role("button", name=who.words("account.label")).click()
    who.page.get_by_role("menuitem", name=who.words("account.signOut")).click()
    expect(who.button("access:signIn")).to_be_visible()


@every_look
def test_a_failed_task_is_run_again_and_a_dead_letter_mended(browser: Browser, running: Server, look: Look) -> None:
    """The cause is mended, then one task; the others of that cause; what is wrong in itself is edited first."""
    never = {"errors": [{"every": 1, "code": "invalid_request", "message": "no such field"}]}
    moody, steady = f"moody-{look}", f"steady-{look}"
    running.add_model(moody, config=never)
    running.add_model(steady)
    first = running.call("POST", "/api/v1/tasks", {"model": moody, "input": "Hi"})["id"]
    wrong = {"messages": [{"role": "user", "content": "Hi"}], "script": never}
    second = running.call("POST", "/api/v1/tasks", {"model": steady, "input": wrong})["id"]
    third = running.call("POST", "/api/v1/tasks", {"model": moody, "input": "Hi again"})["id"]
    for one in (first, second, third):
        running.wait_for(one, "failed")

    with visitor(browser, url_of(running), look) as who:
        who.sign_in("admin", PASSWORD)
        running.call("PATCH", f"/api/v1/models/{moody}", {"config": {"errors": None}})
        who.open(f"/tasks/{first}")
        who.sees("status.failed")
        who.button("task:action.retry").click()
        who.sees("status.completed")
        who.check()

        who.go("deadLetters")
        expect(who.page.get_by_role("link", name=str(third), exact=True)).to_be_visible()
        expect(who.page.get_by_role("link", name=str(first), exact=True)).to_have_count(0)
        who.button("deadLetters:requeue", who.page.get_by_role("row").filter(has_text=moody).first).click()
        who.check()
        who.button("deadLetters:requeue", who.dialog()).click()
        who.sees("deadLetters:requeued", count=1)
        expect(who.page.get_by_role("link", name=str(third), exact=True)).to_have_count(0)
        who.check()

        who.page.get_by_role("button", name=f"{who.words('deadLetters:edit')} {second}").click()
        text = who.dialog().get_by_role("textbox")
        expect(text).to_have_value(re.compile("no such field"))
        who.check()
        text.fill("not JSON")
        who.button("deadLetters:requeue", who.dialog()).click()
        expect(who.dialog().get_by_role("alert")).to_be_visible()
        text.fill('{"messages": [{"role": "user", "content": "Mended"}]}')
        who.button("deadLetters:requeue", who.dialog()).click()
        who.sees("deadLetters:none")
        who.check()

    assert running.wait_for(second, "completed")["input"]["messages"][0]["content"] == "Mended"
    assert running.wait_for(third, "completed")["failures"] == 0


@every_look
def test_a_model_is_scaled_paused_and_resumed(browser: Browser, running: Server, look: Look) -> None:
    """What is paused stays paused: its tasks wait, and go on once it runs again."""
    name = f"m-{look}"
    running.add_model(name)

    with visitor(browser, url_of(running), look) as who:
        who.sign_in("admin", PASSWORD)
        who.go("models")
        who.page.get_by_role("button", name=f"{who.words('models:action.open')} {name}").click()
        who.page.get_by_role("menuitem", name=who.words("models:action.scale")).click()
        who.dialog().get_by_role("spinbutton").fill("7")
        who.button("action.save", who.dialog()).click()
        who.sees("models:told.scaled", name=name, count=7)
        assert running.call("GET", f"/api/v1/models/{name}")["max_workers"] == 7

        who.page.get_by_role("button", name=f"{who.words('models:action.pause')} {name}").click()
        who.check()
        who.button("models:action.pause", who.dialog()).click()
        wait_until("the model is paused", lambda: status_of(running, name) == "paused")
        waiting = running.call("POST", "/api/v1/tasks", {"model": name, "input": "Hi"})["id"]
        who.open(f"/tasks/{waiting}")
        who.sees("task:why.title")
        who.check()

        who.go("models")
        who.page.get_by_role("button", name=f"{who.words('models:action.resume')} {name}").click()
        wait_until("the model is active", lambda: status_of(running, name) == "active")
        running.wait_for(waiting, "completed")
        who.check()


def status_of(running: Server, name: str) -> str:
    return running.call("GET", f"/api/v1/models/{name}")["status"]


@every_look
def test_what_matches_is_exported_and_cancelled_as_a_whole(browser: Browser, running: Server, look: Look) -> None:
    """The filter of the list is that of export and bulk action; a phone shows the same list, without selection."""
    busy, other = f"busy-{look}", f"other-{look}"
    for name in (busy, other):
        running.add_model(name)
        running.call("POST", f"/api/v1/models/{name}/pause")
    running.bulk([{"model": busy, "input": "Hi", "metadata": {"run": "=1+1"}} for _ in range(MANY)])
    running.bulk([{"model": other, "input": "Hi"} for _ in range(10)])

    with visitor(browser, url_of(running), look) as who:
        who.sign_in("admin", PASSWORD)
        who.open(f"/tasks?status=queued&model={busy}")
        newest = running.call("GET", f"/api/v1/tasks?limit=1&model={busy}")["items"][0]["id"]
        expect(who.page.get_by_role("link", name=str(newest), exact=True)).to_be_visible()
        who.button("tasks:export.label").click()
        with who.page.expect_download() as download:
            who.page.get_by_role("menuitem", name=who.words("tasks:export.csv"), exact=True).click()
        with download.value.path().open(newline="") as saved:
            rows = list(csv.DictReader(saved))
        assert len(rows) == MANY
        assert {row["model"] for row in rows} == {busy}
        who.check()

        if not look.is_phone:
            cancel_everything(who)
            assert running.counts(f"?model={busy}") == {"cancelled": MANY}
            assert running.counts(f"?model={other}") == {"queued": 10}


def cancel_everything(who: Visitor) -> None:
    """Select what is loaded, then all that matches, and cancel it."""
    who.page.locator("thead, .ant-table-header").get_by_role("checkbox").first.check()
    who.page.get_by_role("button", name=re.compile("^" + re.escape(who.words("tasks:selectMatching")))).click()
    bar = who.page.get_by_role("toolbar")
    expect(bar).to_contain_text(f"{MANY}")
    who.button("tasks:act.cancel", bar).click()
    who.button("tasks:act.cancel", who.dialog()).click()
    cancel = who.words("tasks:act.cancel")
    who.sees("tasks:act.finished", action=cancel, changed=MANY, count=MANY)
    who.check()


@every_look
def test_a_wrong_password_says_so_and_a_lost_server_too(browser: Browser, tmp_path: Path, look: Look) -> None:
    """Failures are shown, and the page stays: old figures are marked as such, and a retry mends it."""
    with (
        server(tmp_path / "data", admin_password=PASSWORD) as running,
        visitor(browser, url_of(running), look) as who,
    ):
        who.watch.awaited.add(401)
        who.open("/tasks")
        expect(who.page).to_have_url(re.compile(r"/sign-in\?to="))
        who.field("access:username").fill("admin")
        who.field("access:password").last.fill("something else entirely")
        who.button("access:signIn").click()
        expect(who.page.get_by_role("alert")).to_be_visible()
        who.field("access:password").last.fill(PASSWORD)
        who.button("access:signIn").click()
        expect(who.heading(who.words("nav.tasks"))).to_be_visible()
        who.check()

        running.stop()
        expect(who.page.locator("[data-stale=true]")).to_be_visible()
        old = who.page.get_by_role("status").and_(who.page.locator(".stale"))
        expect(old).to_contain_text(who.words("refresh.stale", time="@").split("@")[0])
        assert who.too_wide() == []
        expect(who.heading(who.words("nav.tasks"))).to_be_visible()
        assert who.watch.faults
        who.watch.faults.clear()
        running.start()
        expect(who.page.locator("[data-stale=false]")).to_be_visible()
        assert not any("console" in fault or "page" in fault for fault in who.watch.faults)
