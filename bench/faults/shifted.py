"""The program with a wall clock that a file shifts, also while it runs.

    python -m bench.faults.shifted FILE serve …

FILE holds seconds. Read with every tenth of a second; the monotonic clock is left alone, as by a real step.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

_time, _time_ns, _monotonic = time.time, time.time_ns, time.monotonic
_REREAD_S = 0.1


class _Offset:
    """Seconds to add."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._value = 0
        self._read_s = 0.0

    def get(self) -> int:
        now_s = _monotonic()
        if now_s - self._read_s > _REREAD_S:
            self._read_s = now_s
            self._value = int(self._path.read_text() or 0)
        return self._value


def main() -> None:
    offset = _Offset(Path(sys.argv[1]))
    time.time = lambda: _time() + offset.get()
    time.time_ns = lambda: _time_ns() + offset.get() * 1_000_000_000
    sys.argv = ["llm-scheduler", *sys.argv[2:]]
    runpy.run_module("llm_scheduler", run_name="__main__")


if __name__ == "__main__":
    main()
