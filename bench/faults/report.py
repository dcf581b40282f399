"""One table out of several runs: a row per fault and load, over all seeds.

python -m bench.faults --json one.json ...
python -m bench.faults.report one.json two.json > table.md
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.faults.faults import FAULTS

HEADINGS = (
    "load", "seeds", "accepted", "lost", "duplicate results", "duplicate calls ≤ in flight at kills", "stuck",
    "leaked slots", "over limit ≤ allowed", "longest rescue s", "longest silence s", "bars broken",
)  # fmt: skip
Cells = list[dict[str, Any]]


def total(cells: Cells, *names: str) -> int:
    return sum(one[name] for one in cells for name in names)


def row(load: str, cells: Cells) -> str:
    broken = sorted({bar for one in cells for bar in one["broken"]})
    columns = (
        load,
        len(cells),
        f"{total(cells, 'accepted'):,}",
        total(cells, "lost", "unanswered"),
        total(cells, "duplicate_tasks", "duplicate_results", "wrong_results"),
        f"{total(cells, 'duplicate_calls')} ≤ {total(cells, 'duplicate_bound')}",
        total(cells, "stuck"),
        total(cells, "leaked"),
        f"{total(cells, 'over')} ≤ {total(cells, 'over_allowed')}",
        f"{max(one['rescue_s'] for one in cells):.1f}",
        f"{max(one['silence_s'] for one in cells):.1f}",
        ", ".join(broken) or "none",
    )
    return "| " + " | ".join(map(str, columns)) + " |"


def main() -> None:
    """Print it."""
    by_fault: defaultdict[str, defaultdict[str, Cells]] = defaultdict(lambda: defaultdict(list))
    cells: Cells = [one for name in sys.argv[1:] for one in json.loads(Path(name).read_text())]
    for one in cells:
        by_fault[one["fault"]][one["load"]].append(one)
    for name, fault in FAULTS.items():
        if name not in by_fault:
            continue
        print(f"\n### {name}: {fault.title}\n\n| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
        for load, found in by_fault[name].items():
            print(row(load, found))
    print(
        f"\n{len(cells)} cells: {total(cells, 'accepted'):,} tasks accepted, {total(cells, 'calls'):,} calls; "
        f"{sum(bool(one['broken']) for one in cells)} cells with a broken bar."
    )


if __name__ == "__main__":
    main()
