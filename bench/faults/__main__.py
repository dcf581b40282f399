"""Faults × loads × seeds, as a table.

    python -m bench.faults [--shape embedded|cluster] [--faults F1,F4] [--loads backlog,steady] [--seeds 3]
                           [--scale 1.0] [--json FILE] [--keep FOLDER]

Ends with code 1 when a bar is broken: lost, duplicate results, stuck and leaked 0; duplicate calls at most those in
flight at the kills; limits exceeded at most by the claims in flight when the index was lost.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.rig.mariadb import MariaDb

from bench import rig
from bench.faults import table
from bench.faults.cell import play
from bench.faults.faults import FAULTS
from bench.faults.judge import Figures
from bench.faults.loads import DEFAULT, LOADS


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("embedded", "cluster"), default="cluster")
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--loads", default=",".join(DEFAULT))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="share of each load's tasks")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for logs and ledgers of broken cells")
    return parser.parse_args()


def main() -> int:
    chosen = options()
    faults = [FAULTS[name] for name in chosen.faults.split(",")]
    loads = [LOADS[name] for name in chosen.loads.split(",")]
    cells: list[Figures] = []
    print(f"{chosen.shape}, {rig.machine()}\n\n{table.head()}", flush=True)
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="llms-faults-")))
        maria = None
        if chosen.shape == "cluster":
            maria = MariaDb(base / "maria")
            stack.callback(maria.close)
            maria.start()
        for fault in faults:
            for load in loads if chosen.shape in fault.shapes else ():
                for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
                    folder = base / f"{fault.name}-{load.name}-{seed}"
                    one = _played(
                        folder,
                        lambda f=fault, w=load, s=seed, at=folder: play(at, f, w, s, maria=maria, scale=chosen.scale),
                        Figures(fault.name, load.name, seed),
                    )
                    cells.append(one)
                    print(table.line(one), flush=True)
                    if one.broken and chosen.keep is not None:
                        shutil.copytree(folder, chosen.keep / folder.name, dirs_exist_ok=True)
                    shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{table.summary(cells)}")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([one.as_json() for one in cells], indent=1))
    return int(any(one.broken for one in cells))


def _played(folder, run, blank):
    """A cell that breaks off is a broken cell, not the end of the table."""
    try:
        return run()
    except (AssertionError, OSError, RuntimeError, ValueError) as error:
        print(f"<!-- {folder.name}: {type(error).__name__}: {str(error)[-2000:]} -->", file=sys.stderr, flush=True)
        blank.broken.append(f"broke off: {type(error).__name__}")
        return blank


if __name__ == "__main__":
    sys.exit(main())
