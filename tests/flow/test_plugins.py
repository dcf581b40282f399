"""The example's package is built, installed and used through a running server; broken ones beside it hurt nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.cluster import Member
from tests.live import KEY, ROOT
from tests.rig.package import install_project, with_path, write_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLE = ROOT / "examples" / "plugin"
ILL = """
from llm_scheduler.domain.placement import ShareRule

class Ill:
    name = "ill"
    share_rule = ShareRule.HEAD_ORDER

    def place(self, task, context):
        raise ValueError("never well")
"""
CLASSIFY = {"text": "Two goals in extra time", "labels": ["politics", "sports"]}


class Plugged(Member):
    """A server whose path has the folder of packages."""

    def __init__(self, folder: Path, site: Path) -> None:
        super().__init__(folder)
        self.site = site

    def command(self) -> list[str]:
        return ["env", f"PYTHONPATH={self.site}", *super().command()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, and packages that are wrong in three ways."""
    folder = tmp_path_factory.mktemp("site")
    install_project(EXAMPLE, folder)
    strategies, providers = "llm_scheduler.strategies", "llm_scheduler.providers"
    write_package(folder, "ill_package", ILL, {strategies: {"ill": "Ill", "fair": "Ill"}})
    write_package(folder, "broken_package", "import nowhere_to_be_found", {providers: {"broken": "Kind"}})
    return folder


@pytest.fixture
def server(tmp_path: Path, site: Path) -> Iterator[Plugged]:
    made = Plugged(tmp_path / "data", site)
    try:
        made.start()
        yield made
    finally:
        made.close()


def run(site: Path, *arguments: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=with_path(site) | environ,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def plugins(server: Plugged) -> dict[str, Any]:
    return {f"{one['kind']}:{one['name']}": one for one in server.call("GET", "/api/v1/plugins")["items"]}


def test_the_examples_own_tests_pass_with_the_installed_package(site: Path) -> None:
    out = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(EXAMPLE / "pyproject.toml"), str(EXAMPLE))

    assert "passed" in out


def test_a_plugins_strategy_and_task_type_work_through_a_server(server: Plugged) -> None:
    """The model says where the word is found; a day's low priority stands behind all else."""
    server.add_model("toy", strategy="night_owl", config={"text": "I would say: SPORTS."})
    server.add_model("silly", config={"text": "No idea."}, retry={"max_retries": 0})
    task = server.call("POST", "/api/v1/tasks", {"model": "toy", "type": "classify", "input": CLASSIFY})
    other = server.call("POST", "/api/v1/tasks", {"model": "silly", "type": "classify", "input": CLASSIFY})

    assert server.wait_for(task["id"], "completed")["output"]["text"] == "sports"
    failed = server.wait_for(other["id"], "failed")
    assert failed["error"]["code"] == "bad_answer"
    attempts = server.call("GET", f"/api/v1/tasks/{other['id']}/attempts")["items"]
    assert attempts[0]["usage"]["total_tokens"] > 0
    refused = server.call("POST", "/api/v1/tasks", {"model": "toy", "type": "classify", "input": "no labels"}, 422)
    assert "labels" in json.dumps(refused)
    unknown = server.call("POST", "/api/v1/tasks", {"model": "toy", "type": "dance", "input": "x"}, 422)
    assert "chat, classify, completion, embedding" in json.dumps(unknown)


def test_a_strategy_that_always_fails_loses_nothing_and_is_seen(server: Plugged) -> None:
    server.add_model("m", strategy="ill")
    tasks = [server.call("POST", "/api/v1/tasks", {"model": "m", "input": "Hi"}) for _ in range(5)]

    for task in tasks:
        server.wait_for(task["id"], "completed")

    assert plugins(server)["strategy:ill"]["faults"]["raised"] >= 5
    metrics = server.http.get("/metrics").text
    assert 'plugin_faults_total{kind="raised",plugin="strategy:ill"}' in metrics
    assert server.log.count("plugin_fault") == 1
    asked = ("-m", "llm_scheduler", "plugins", "list", "--live", "--url", f"http://127.0.0.1:{server.port}")
    assert " raised" in run(server.site, *asked, LLMS_API_KEY=KEY)


def test_what_cannot_be_used_is_listed_with_its_reason(server: Plugged) -> None:
    found = plugins(server)

    states = {name: one["state"] for name, one in found.items()}
    assert states == {
        "strategy:fair": "refused",
        "strategy:ill": "active",
        "strategy:night_owl": "active",
        "task_type:classify": "active",
        "provider:broken": "broken",
    }
    assert "nowhere_to_be_found" in found["provider:broken"]["problem"]
    assert "built in" in found["strategy:fair"]["problem"]
    assert found["strategy:night_owl"]["package"] == "llms-night-owl"


def test_the_command_line_lists_them_without_a_server(site: Path) -> None:
    items = json.loads(run(site, "-m", "llm_scheduler", "plugins", "list", "--json"))["items"]
    table = run(site, "-m", "llm_scheduler", "plugins", "list")

    assert {one["name"]: one["state"] for one in items}["night_owl"] == "active"
    assert "llms-night-owl 1.0.0" in table
    assert "nowhere_to_be_found" in table


def test_a_server_starts_when_the_package_of_a_strategy_is_gone(tmp_path: Path, site: Path) -> None:
    """Its models go on with the default order; what waits is not lost."""
    server = Plugged(tmp_path / "data", site)
    try:
        server.start()
        server.add_model("m", strategy="night_owl")
        server.call("POST", "/api/v1/models/m/pause")
        task = server.call("POST", "/api/v1/tasks", {"model": "m", "input": "Hi"})
        server.stop()
        server.site = tmp_path

        server.start()
        server.call("POST", "/api/v1/models/m/resume")

        server.wait_for(task["id"], "completed")
        assert "strategy_missing" in server.log
    finally:
        server.close()
