"""Every fail point of the race table: nothing lost, one result each, no slot leaked, attempts counted right."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.failpoints.table import KNOWN, Case, cases
from tests.failpoints.verdict import wrongs
from tests.live import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def played(chosen: list[Case], folder: Path, *options: str) -> dict[str, list[str]]:
    """Play them, many at once; what is wrong with each, by name."""
    places = {case.name: folder / f"c{number}" for number, case in enumerate(chosen)}
    lines = "".join(json.dumps(case.as_json(str(places[case.name]))) + "\n" for case in chosen)
    done = subprocess.run(
        [sys.executable, "-m", "tests.failpoints.program", str(folder), *options],
        input=lines,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        timeout=540,
    )
    assert done.returncode == 0
    codes = {told["name"]: told["codes"] for told in map(json.loads, done.stdout.splitlines())}
    return {case.name: wrongs(case, places[case.name], codes.get(case.name, [])) for case in chosen}


@pytest.mark.timeout(600)
def test_no_fail_point_loses_doubles_or_leaks_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One process on SQLite: it dies, loses a reply, is refused or comes late at each step of each journey."""
    chosen = cases()
    verdicts = played(chosen, tmp_path)
    failures = {name: found for name, found in verdicts.items() if found and name not in KNOWN}
    never_met = sum("the point was never met" in found for found in verdicts.values())
    known = sum(bool(verdicts[name]) for name in KNOWN)
    with capsys.disabled():
        covered = f"{len(chosen) - never_met} covered / {len(chosen)}"
        print(f"\nfail points: {covered}, {len(failures)} failures, {known} known to fail")

    assert not failures, "\n".join(f"{name}: {'; '.join(found)}" for name, found in failures.items())
    assert known == len(KNOWN), f"pass now: {[name for name in KNOWN if not verdicts[name]]}"
