"""Refuse modules that have grown too long: 400 lines in src, 600 in tests and benchmarks."""

import sys
from pathlib import Path

LIMITS = {"src": 400, "tests": 600, "bench": 600, "tools": 400}


def main() -> int:
    root = Path(__file__).parent.parent
    long = [
        (path.relative_to(root), lines, limit)
        for room, limit in LIMITS.items()
        for path in sorted((root / room).rglob("*.py"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > limit
    ]
    for path, lines, limit in long:
        print(f"{path}: {lines} lines, the limit is {limit}: split it by meaning")
    return 1 if long else 0


if __name__ == "__main__":
    sys.exit(main())
