"""The peers' own environments: pinned, in a folder outside the project, made once.

One for each peer, because arq and taskiq-redis ask for versions of the Redis client that exclude each other.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench import rig

HERE = Path(__file__).parent
PYTHON_PEERS = ("arq", "saq", "taskiq", "dramatiq", "celery", "openai_sdk")
SHOWN = frozenset(
    {
        "redis",
        "hiredis",
        "aiohttp",
        "urllib3",
        "uvloop",
        "bullmq",
        "ioredis",
        "undici",
        "kombu",
        "taskiq-redis",
        "openai",
        "httpx2",
    }
)
"""Beside the peer's own package, the versions that go to the table."""


def install(name: str, cache: Path) -> list[str]:
    """The command line of a peer's program, its packages being there.

    Raises:
        SystemExit: a tool is missing or an installation fails.
    """
    return _install_python(name, cache / name) if name in PYTHON_PEERS else _install_node(cache / name)


def _install_python(name: str, folder: Path) -> list[str]:
    return [str(environment(name, folder)), "-m", f"bench.peers.{name}_side"]


def environment(name: str, folder: Path) -> Path:
    """The Python of an environment with what `requirements/{name}.txt` asks for, made if it is not there.

    Raises:
        SystemExit: uv is missing or the installation fails.
    """
    wanted = HERE / "requirements" / f"{name}.txt"
    python = folder / "bin" / "python"
    if not _is_current(folder, wanted):
        uv = _tool("uv", rig.ROOT / ".tools/bin/uv")
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(python), "--requirement", str(wanted)])
        _mark(folder, wanted)
    return python


def _install_node(folder: Path) -> list[str]:
    wanted = HERE / "package.json"
    node = _tool("node")
    if not _is_current(folder, wanted):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(wanted, folder)
        _run([_tool("npm"), "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)])
        _mark(folder, wanted)
    # Node looks for packages beside the file that asks for them.
    return [node, str(shutil.copy(HERE / "bullmq_side.mjs", folder))]


def versions(name: str, cache: Path) -> dict[str, str]:
    """Installed versions of a peer and of the clients that it works with."""
    if name in PYTHON_PEERS:
        listing = (
            "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
        )
        found = json.loads(_run([str(cache / name / "bin" / "python"), "-c", listing]))
    else:
        found = {
            package: json.loads((cache / name / "node_modules" / package / "package.json").read_text())["version"]
            for package in ("bullmq", "ioredis", "undici")
        } | {"node": _run([_tool("node"), "--version"]).strip().removeprefix("v")}
    return {package: version for package, version in sorted(found.items()) if package in SHOWN | {name, "node"}}


def _is_current(folder: Path, wanted: Path) -> bool:
    mark = folder / "installed"
    return mark.is_file() and mark.read_text() == wanted.read_text()


def _mark(folder: Path, wanted: Path) -> None:
    (folder / "installed").write_text(wanted.read_text())


def _tool(name: str, other: Path | None = None) -> str:
    found = shutil.which(name) or (str(other) if other is not None and other.is_file() else None)
    if found is None:
        raise SystemExit(f"{name} is needed to install the peers and is not on the PATH")
    return found


def _run(command: list[str]) -> str:
    # Trust what the machine trusts, as tools/setup.sh does.
    environ = {"UV_SYSTEM_CERTS": "true"} | os.environ
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600)
    if ended.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{ended.stderr[-2000:]}")
    return ended.stdout
