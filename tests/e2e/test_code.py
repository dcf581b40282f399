"""The code that the playground shows is the call that it makes: each sample is run as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import EACH_TIME, PASSWORD, url_of
from tests.live import KEY
from tests.rig.browser import visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from tests.live import Server
    from tests.rig.browser import Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
SAID = "What a fine morning"
ASKED = 'Say it\'s "so" for $HOME'


def test_every_sample_runs_and_says_the_same(browser: Browser, running: Server) -> None:
    running.add_model("sampled", config={"text": f"{SAID}: {{prompt}}"})
    with visitor(browser, url_of(running), EACH_TIME[0]) as who:
        who.sign_in("admin", PASSWORD)
        who.open("/playground")
        who.choose("playground:model", "sampled")
        who.field("playground:message").fill(ASKED)
        samples = {name: sample_of(who, name) for name in ("curl", "python", "openai", "cli")}
        who.check()

    commands = {
        "curl": ["bash", "-c", samples["curl"]],
        "python": [sys.executable, "-c", samples["python"].replace("import httpx\n", "import httpx2 as httpx\n")],
        "openai": [sys.executable, "-c", samples["openai"]],
        "cli": ["bash", "-c", samples["cli"]],
    }
    for name, command in commands.items():
        assert SAID in output_of(command), name
    assert output_of(commands["openai"]).strip() == f"{SAID}: {ASKED}"


def sample_of(who: Visitor, name: str) -> str:
    """The text in its tab."""
    who.page.get_by_role("tab", name=who.words(f"playground:{name}"), exact=True).click()
    return who.page.get_by_role("tabpanel").locator("pre").filter(visible=True).inner_text()


def output_of(command: list[str]) -> str:
    """What it prints, run by somebody who has a key."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = os.environ | {"LLMS_API_KEY": KEY, "PATH": path}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
