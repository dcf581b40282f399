"""`llms archive`."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from llm_scheduler.cli.main import main
from llm_scheduler.domain.ids import TaskId
from llm_scheduler.stores.archive.writing import NdjsonArchive

LINE = b'{"v":1,"id":7,"updated_at":"2030-01-01T00:00:00Z","status":"completed"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    async def write() -> None:
        archive = NdjsonArchive(tmp_path / "data" / "archive")
        await archive.add("2030-01-31", [(TaskId(7), LINE)])
        await archive.seal()

    asyncio.run(write())
    return tmp_path / "data" / "archive"


def test_list_shows_the_files(folder: Path) -> None:
    (file,) = json.loads(CliRunner().invoke(main, ["archive", "list", "--json"]).stdout)

    assert (file["day"], file["tasks"], file["first_id"]) == ("2030-01-31", 1, 7)
    assert Path(file["file"]).parent.parent.parent == folder
    assert "2030-01-31" in CliRunner().invoke(main, ["archive", "list"]).stdout


def test_get_finds_a_task_by_its_id(folder: Path) -> None:
    assert json.loads(CliRunner().invoke(main, ["archive", "get", "7"]).stdout) == json.loads(LINE)


def test_get_says_when_there_is_none(folder: Path) -> None:
    answer = CliRunner().invoke(main, ["archive", "get", "8"])

    assert answer.exit_code == 1
    assert "llms tasks get 8" in answer.output


def test_an_archive_that_was_never_written_is_empty() -> None:
    assert json.loads(CliRunner().invoke(main, ["archive", "list", "--json"]).stdout) == []
