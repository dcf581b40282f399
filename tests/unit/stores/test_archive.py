"""The archive's files: whole or not there, never replaced, found again."""

import gzip
import json
import os
from pathlib import Path

import pytest

from llm_scheduler.domain.errors import ArchiveUnavailableError
from llm_scheduler.domain.ids import TaskId
from llm_scheduler.stores.archive import reading
from llm_scheduler.stores.archive.writing import NdjsonArchive, NoArchive


def line(task_id: int, **more: object) -> tuple[TaskId, bytes]:
    text = json.dumps({"v": 1, "id": task_id, "updated_at": "2030-01-01", **more}, separators=(",", ":"))
    return TaskId(task_id), text.encode()


def all_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def visible(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in all_files(folder) if path.name[0] != ".")


async def test_a_file_per_day_has_the_lines_and_a_name_that_says_what_is_inside(tmp_path: Path) -> None:
    archive = NdjsonArchive(tmp_path)
    await archive.add("2030-01-31", [line(7), line(3)])
    await archive.add("2030-02-01", [line(5)])
    await archive.add("2030-01-31", [line(9)])

    assert await archive.seal() == 4

    january, february = reading.files(tmp_path)
    assert january[1:5] == ("2030-01-31", 3, 9, 3)
    assert february[1:5] == ("2030-02-01", 5, 5, 1)
    assert january.path.parent == tmp_path / "2030" / "01"
    assert [json.loads(one)["id"] for one in gzip.decompress(january.path.read_bytes()).splitlines()] == [7, 3, 9]


async def test_nothing_is_visible_before_the_seal_and_nothing_left_after_a_discard(tmp_path: Path) -> None:
    archive = NdjsonArchive(tmp_path)
    await archive.add("2030-01-31", [line(1)])

    assert visible(tmp_path) == []
    await archive.discard()

    assert all_files(tmp_path) == []
    assert await archive.seal() == 0


async def test_the_same_tasks_archived_twice_make_two_files(tmp_path: Path) -> None:
    for archive in (NdjsonArchive(tmp_path), NdjsonArchive(tmp_path)):
        await archive.add("2030-01-31", [line(1)])
        await archive.seal()

    assert len(reading.files(tmp_path)) == 2


async def test_it_is_full_at_the_size_of_a_file(tmp_path: Path) -> None:
    archive = NdjsonArchive(tmp_path, largest_file=1)
    assert not archive.is_full
    await archive.add("2030-01-31", [line(1, junk=os.urandom(200_000).hex())])

    assert archive.is_full
    await archive.seal()
    assert not archive.is_full


async def test_a_folder_that_cannot_be_written_is_told_and_leaves_the_archive_usable(tmp_path: Path) -> None:
    place = tmp_path / "archive"
    place.write_text("a file stands in the way")
    archive = NdjsonArchive(place)

    with pytest.raises(ArchiveUnavailableError, match="archive"):
        await archive.add("2030-01-31", [line(1)])

    place.unlink()
    await archive.add("2030-01-31", [line(1)])
    assert await archive.seal() == 1


async def test_parts_that_a_crash_left_go_after_a_day_and_younger_ones_stay(tmp_path: Path) -> None:
    folder = tmp_path / "2029" / "12"
    folder.mkdir(parents=True)
    old, young = folder / ".tasks-20291231-aa.part", folder / ".tasks-20291231-bb.part"
    for part in (old, young):
        part.write_bytes(b"half")
    a_day_ago = young.stat().st_mtime - 90_000
    os.utime(old, (a_day_ago, a_day_ago))
    archive = NdjsonArchive(tmp_path)
    await archive.add("2030-01-31", [line(1)])
    await archive.seal()

    assert not old.exists()
    assert young.exists()


async def test_find_gives_the_newest_line_of_a_task(tmp_path: Path) -> None:
    archive = NdjsonArchive(tmp_path)
    await archive.add("2030-01-31", [line(1), line(12), line(2, updated_at="2030-01-02", n="old")])
    await archive.seal()
    await archive.add("2030-01-30", [line(2, updated_at="2030-01-03", n="new"), line(20)])
    await archive.seal()

    found = reading.find(tmp_path, 2)

    assert found is not None
    assert found["n"] == "new"
    assert reading.find(tmp_path, 3) is None


async def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    archive = NdjsonArchive(tmp_path)
    await archive.add("2030-01-31", [line(1), line(2, junk=os.urandom(10_000).hex())])
    await archive.seal()
    (file,) = reading.files(tmp_path)
    file.path.write_bytes(file.path.read_bytes()[:4000])

    with pytest.raises(ArchiveUnavailableError, match=file.path.name):
        reading.find(tmp_path, 2)


async def test_other_files_in_the_folder_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "2030" / "01").mkdir(parents=True)
    (tmp_path / "2030" / "01" / "tasks-notes.ndjson.gz").write_bytes(b"x")

    assert reading.files(tmp_path) == []


async def test_no_archive_takes_everything_and_keeps_nothing(tmp_path: Path) -> None:
    archive = NoArchive()
    await archive.add("2030-01-31", [line(1)])

    assert (archive.keeps, archive.is_full, await archive.seal()) == (False, False, 0)
