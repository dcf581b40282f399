"""Exports go into new files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest

from llm_scheduler.cli.faults import CliError
from llm_scheduler.cli.new_file import new_file

if TYPE_CHECKING:
    from pathlib import Path


def test_an_earlier_export_is_not_written_over(tmp_path: Path) -> None:
    """`llms tenants export` opened its file before it asked: a refused server left an earlier export empty."""
    earlier = tmp_path / "acme.jsonl"
    earlier.write_text("all of it")

    with pytest.raises(click.UsageError, match="exists"), new_file(earlier):
        pass

    assert earlier.read_text() == "all of it"


def test_a_place_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="cannot be written: No such file or directory"), new_file(tmp_path / "no" / "a"):
        pass


def test_a_file_that_stayed_empty_goes_and_one_that_broke_off_stays(tmp_path: Path) -> None:
    def broken(path: Path, written: bytes) -> None:
        with new_file(path) as file:
            file.write(written)
            raise CliError("The server is gone.")

    for name, written in (("empty", b""), ("part", b"some")):
        with pytest.raises(CliError):
            broken(tmp_path / name, written)

    assert [path.name for path in tmp_path.iterdir()] == ["part"]
