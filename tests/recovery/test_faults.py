"""A slice of the fault bench: a small backlog, one seed, the faults that tell most. The whole: `make faults`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bench.faults.cell import named

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", ["F1", "F12", "F14", "F15"])
def test_one_process_holds_every_bar(tmp_path: Path, fault: str) -> None:
    """Lost, doubled, stuck, leaked: nothing; limits kept; calls repeated at most where a process was killed."""
    figures = named(tmp_path / "cell", fault, "slice", seed=1)

    assert figures.accepted == 500
    assert not figures.broken, figures
