"""Look for secrets in every file that git knows. The examples of docs and tests are known by their hashes.

It fails when it finds something that is not known. After a look, `--add` makes what is found now known: it is made up.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings

ROOT = Path(__file__).resolve().parents[1]
KNOWN = ROOT / "tools" / "known_secrets.txt"
HEAD = "# SHA-1 of values that look like secrets and are made up; see tools/secret_scan.py\n"
SKIPPED = {"uv.lock", "tools/known_secrets.txt"}
"""Hashes and nothing else."""


class Found(NamedTuple):
    """A suspicious value; it is not printed."""

    file: str
    line: int
    kind: str
    hash: str


def scan(file: str) -> list[Found]:
    """What one file holds."""
    found = SecretsCollection()
    with default_settings():
        found.scan_file(file)
    return [Found(file, one.line_number, one.type, one.secret_hash) for _, one in found]


def main() -> int:
    """The exit code."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [file for file in listed.stdout.splitlines() if file not in SKIPPED]
    with ProcessPoolExecutor() as pool:
        found = [one for some in pool.map(scan, files, chunksize=16) for one in some]
    if "--add" in sys.argv[1:]:
        KNOWN.write_text(HEAD + "\n".join(sorted({one.hash for one in found})) + "\n")
        return 0
    known = {line for line in KNOWN.read_text().splitlines() if not line.startswith("#")}
    strange = sorted(one for one in found if one.hash not in known)
    for one in strange:
        print(f"{one.file}:{one.line}: {one.kind}. If it is made up: python tools/secret_scan.py --add")
    return 1 if strange else 0


if __name__ == "__main__":
    sys.exit(main())
