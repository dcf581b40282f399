"""Run Lighthouse on views of a server with traffic, signed in; `tools/lighthouse.sh` fetches it first.

The browser is ours and stays signed in by its cookies; Lighthouse drives it by its debugging port.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import sync_playwright
from tests.live import free_port, server, wait_until
from tests.rig.browser import ARGS, BUILT, Look, Visitor, Watch
from tests.rig.process import program
from tools.screenshots import Traffic

PASSWORD: Final = "a long sentence for Lighthouse"  # noqa: S105 - of a server that lives for this run
VIEWS: Final = {"Overview": "/", "Tasks": "/tasks"}
GOALS: Final = {"accessibility": 95, "best-practices": 95, "performance": 85}
FIGURES: Final = (
    "first-contentful-paint",
    "largest-contentful-paint",
    "total-blocking-time",
    "cumulative-layout-shift",
)


def marks(lighthouse: str, url: str, port: int, folder: Path) -> dict[str, Any]:
    """Lighthouse's report of one page, as on a desk."""
    out = folder / "report.json"
    command = [lighthouse, url, "--port", str(port), "--preset=desktop", "--disable-storage-reset", "--quiet"]
    command += ["--output=json", f"--output-path={out}", f"--only-categories={','.join(GOALS)}"]
    subprocess.run(command, check=True, timeout=300)
    return json.loads(out.read_text())


def told(name: str, report: dict[str, Any]) -> bool:
    """Print the marks; whether all goals are reached."""
    reached = {key: round(report["categories"][key]["score"] * 100) for key in GOALS}
    figures = ", ".join(f"{key} {report['audits'][key].get('displayValue')}" for key in FIGURES)
    print(f"{name}: {', '.join(f'{key} {value} (goal {GOALS[key]})' for key, value in reached.items())}")
    print(f"  {figures}")
    for audit in report["audits"].values():
        if audit.get("score") == 0 and audit.get("scoreDisplayMode") == "binary":
            print(f"  {audit['id']}: {audit['title']}")
    return all(value >= GOALS[key] for key, value in reached.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lighthouse", help="its program")
    lighthouse = parser.parse_args().lighthouse
    if not BUILT.exists():
        parser.error("the dashboard is not built: make web")
    port, is_good = free_port(), True
    with (
        tempfile.TemporaryDirectory(prefix="llms-lighthouse-", ignore_cleanup_errors=True) as name,
        server(Path(name) / "data", admin_password=PASSWORD) as running,
        sync_playwright() as playwright,
    ):
        traffic = Traffic(running)
        traffic.start()
        try:
            wait_until("tasks are over", lambda: running.counts().get("completed", 0) > 100, 120, 0.5)
            context = playwright.chromium.launch_persistent_context(
                f"{name}/profile",
                executable_path=program("chromium"),
                args=[*ARGS, f"--remote-debugging-port={port}"],
                locale="en-US",
            )
            url = f"http://127.0.0.1:{running.port}"
            Visitor(context.pages[0], Look(), url, Watch()).sign_in("admin", PASSWORD)
            for view, path in VIEWS.items():
                is_good = told(view, marks(lighthouse, url + path, port, Path(name))) and is_good
            context.close()
        finally:
            traffic.stop()
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
