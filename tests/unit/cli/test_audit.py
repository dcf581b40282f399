"""`llms audit`: shown, exported, verified over HTTP and in the database itself."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.contract.store_scene import mysql_store, opened, sqlite_store
from tests.contract.test_store_audit import entries
from tests.rig import mariadb
from tests.unit.cli.fake_server import FakeServer, answer_json, invoke

from llm_scheduler.domain.audit import AuditRow
from llm_scheduler.stores import audit_triggers

if TYPE_CHECKING:
    from pathlib import Path

SHOWN: dict[str, Any] = {
    "id": 7,
    "at": "2026-01-31T09:00:00.000Z",
    "tenant": "default",
    "tenant_id": 1,
    "actor": {"kind": "user", "id": 7, "name": "ada"},
    "action": "model.change",
    "target": {"kind": "model", "name": "toy"},
    "outcome": "done",
    "address": "192.0.2.7",
    "request_id": "r",
    "before": {"rpm": 60},
    "after": {"rpm": 90, "given": ["rpm"]},
    "hash": "ab" * 32,
}
WHOLE: dict[str, Any] = {
    "ok": True,
    "rows": 12_000,
    "first_broken_id": None,
    "detail": None,
    "head_id": 12_000,
    "head_hash": "cd" * 32,
    "is_guarded": True,
}


def serving(*answers: httpx2.Response) -> FakeServer:
    server = FakeServer()
    server.planned = [lambda _, answer=answer: answer for answer in answers]
    return server


def test_the_list_says_who_did_what_and_what_changed() -> None:
    server = serving(answer_json({"items": [SHOWN], "next_cursor": None}))

    result = invoke(server, "audit", "list", "--actor", "ada", "--from", "2026-01-01T00:00:00Z")

    assert result.exit_code == 0, result.output
    for part in ("ada", "192.0.2.7", "model.change", "toy", "done", "rpm: 60 → 90"):
        assert part in result.stdout
    assert dict(server.requests[-1].url.params) == {"actor": "ada", "from": "2026-01-01T00:00:00Z", "limit": "20"}


def test_an_export_is_written_as_it_came(tmp_path: Path) -> None:
    lines = json.dumps(SHOWN) + "\n" + '{"rows":1}\n'
    server = serving(httpx2.Response(200, text=lines))

    result = invoke(server, "audit", "export", "-o", str(tmp_path / "a.ndjson"))

    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.ndjson").read_text() == lines
    assert "1 entries" in result.stderr


def test_an_export_that_was_cut_off_is_no_success() -> None:
    result = invoke(serving(httpx2.Response(200, text=json.dumps(SHOWN) + "\n")), "audit", "export")

    assert result.exit_code == 1
    assert "cut off" in result.stderr


def test_an_export_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").touch()

    assert invoke(FakeServer(), "audit", "export", "-o", str(tmp_path / "there")).exit_code == 2


def test_verifying_prints_the_head_to_be_noted() -> None:
    server = serving(answer_json(WHOLE))

    result = invoke(server, "audit", "verify", "--expect", "ef" * 32)

    assert result.exit_code == 0, result.output
    assert "cd" * 32 in result.stdout
    assert server.requests[-1].url.params["expect"] == "ef" * 32


def test_a_log_that_was_tampered_with_is_a_failure() -> None:
    broken = WHOLE | {"ok": False, "first_broken_id": 3, "detail": "row 3 is missing"}

    result = invoke(serving(answer_json(broken)), "audit", "verify")

    assert result.exit_code == 1
    assert "row 3 is missing" in result.stderr


async def fill(make: Any, folder: Path) -> AuditRow:
    async with opened(make, folder) as scene:
        await scene.store.add_audit(entries(5))
        head = await scene.store.audit_head()
    assert head is not None
    return head


def offline(*args: str) -> dict[str, Any]:
    result = invoke(FakeServer(), "audit", "verify", "--json", *args)
    found = json.JSONDecoder().raw_decode(result.stdout)[0]
    assert result.exit_code == (0 if found.get("ok") else 1), result.output
    return found


def test_a_file_is_verified_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = asyncio.run(fill(sqlite_store, tmp_path))
    monkeypatch.setenv("LLMS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LLMS_DATABASE_URL", "sqlite:///record.db")

    found = offline("--offline", "--expect", head.hash)
    assert (found["ok"], found["rows"], found["head_hash"], found["is_guarded"]) == (True, 5, head.hash, True)

    with closing(sqlite3.connect(tmp_path / "record.db", isolation_level=None)) as connection:
        connection.execute(f"DROP TRIGGER {audit_triggers.NAMES[1]}")
        connection.execute("DELETE FROM audit_log WHERE id = 5")
    cut = offline("--database", str(tmp_path / "record.db"), "--expect", head.hash)
    assert (cut["ok"], cut["rows"], cut["is_guarded"]) == (False, 4, False)


def test_a_database_server_is_verified_without_ours(tmp_path: Path) -> None:
    head = asyncio.run(fill(mysql_store, tmp_path))

    found = offline("--database", mariadb.shared().url("contract"), "--expect", head.hash)

    assert (found["ok"], found["rows"], found["is_guarded"]) == (True, 5, True)


def test_a_file_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    result = invoke(FakeServer(), "audit", "verify", "--database", str(tmp_path / "none.db"))

    assert result.exit_code == 1
    assert "does not exist" in result.stderr


@pytest.mark.parametrize(
    ("answer", "mark"),
    [
        (WHOLE, "✓ audit log"),
        (WHOLE | {"is_guarded": False}, "– audit log"),
        (WHOLE | {"ok": False, "detail": "row 3 is missing"}, "✗ audit log"),
    ],
)
def test_doctor_looks_at_the_newest_rows(answer: dict[str, Any], mark: str) -> None:
    server = FakeServer()
    through = [None, None, None]
    server.planned = [*(lambda _: None for _ in through), lambda _: answer_json(answer)]

    result = invoke(server, "doctor")

    assert mark in result.stdout
    assert server.requests[3].url.path == "/api/v1/audit/verify"
