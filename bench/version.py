"""CPU seconds of `llms version`, and of a bare interpreter beside it."""

from __future__ import annotations

import resource
import subprocess
import sys

from bench import rig

ROUNDS = 15


def cpu_of(command: list[str]) -> float:
    """User and system seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    ours, bare = [], []
    for _ in range(ROUNDS):
        bare.append(cpu_of([sys.executable, "-c", "pass"]))
        ours.append(cpu_of([str(rig.ROOT / ".venv/bin/llms"), "version"]))
    print(rig.machine())
    rig.verdict("llms version, CPU", f"{rig.median(ours):.3f} s", "<= 0.15 s", rig.median(ours) <= 0.15)
    print(f"the interpreter alone: {rig.median(bare):.3f} s")


if __name__ == "__main__":
    main()
