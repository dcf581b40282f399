"""Packages as an installer leaves them: a module and its metadata in a folder, or a project built and unpacked."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_package(folder: Path, name: str, source: str, entries: Mapping[str, Mapping[str, str]]) -> None:
    """Put a package of one module into the folder.

    Args:
        folder: to stand on `sys.path`.
        name: of package and module.
        source: of the module.
        entries: by group: attribute of the module by the entry point's name.
    """
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines: list[str] = []
    for group, named in entries.items():
        lines.append(f"[{group}]")
        lines += [f"{entry} = {name}:{attribute}" for entry, attribute in named.items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def install_project(project: Path, folder: Path) -> None:
    """Build the project's wheel with its own backend (hatchling) and unpack it: that is what installing one is."""
    folder.mkdir(parents=True, exist_ok=True)
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=project, capture_output=True, text=True, timeout=120
    )
    assert made.returncode == 0, made.stderr[-2000:]
    wheel = folder / made.stdout.split()[-1]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    wheel.unlink()


def with_path(folder: Path) -> dict[str, str]:
    """An environment in which the folder stands on `sys.path`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}
