"""Every fail point of the race table: nothing lost, one result each, no slot leaked, attempts counted right."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.failpoints.table import Case, cases, shared_cases
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
        timeout=3_500,
    )
    assert done.returncode == 0
    codes = {told["name"]: told["codes"] for told in map(json.loads, done.stdout.splitlines())}
    return {case.name: wrongs(case, places[case.name], codes.get(case.name, [])) for case in chosen}


def judged(chosen: list[Case], folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> None:
    """Play them, print how many were covered, and fail with what is wrong."""
    failures = {name: found for name, found in played(chosen, folder, *options).items() if found}
    missed = sum("the point was never met" in found for found in failures.values())
    with capsys.disabled():
        print(f"\nfail points: {len(chosen) - missed} covered / {len(chosen)}, {len(failures)} failures")

    assert not failures, "\n".join(f"{name}: {'; '.join(found)}" for name, found in failures.items())


@pytest.mark.timeout(600)
def test_no_fail_point_loses_doubles_or_leaks_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One process on SQLite: it dies, loses a reply, is refused or comes late at each step of each journey."""
    judged(cases(), tmp_path, capsys)


@pytest.mark.timeout(600)
def test_no_fail_point_of_two_processes_does_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On MariaDB and Redis, every fifth: the mate keeps house meanwhile, and takes over from the dead."""
    judged(shared_cases()[::5], tmp_path, capsys, "--maria")


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_every_fail_point_of_two_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them."""
    judged(shared_cases(), tmp_path, capsys, "--maria")
