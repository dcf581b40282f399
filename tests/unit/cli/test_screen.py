"""What a narrow terminal does without."""

from __future__ import annotations

from llm_scheduler.cli.listing import SPARE_TASK_COLUMNS, TASK_COLUMNS
from llm_scheduler.cli.screen import without


def test_spare_columns_go_with_their_cells() -> None:
    columns, rows = without(("ID", ">N", "NAME"), [(1, 2, "a"), (3, 4, "b")], (">N",))

    assert (columns, list(rows)) == (["ID", "NAME"], [[1, "a"], [3, "b"]])


def test_what_a_narrow_terminal_leaves_out_is_there_to_be_left_out() -> None:
    assert set(SPARE_TASK_COLUMNS) < set(TASK_COLUMNS)
