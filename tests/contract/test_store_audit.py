"""The audit log of every engine: one chain without a gap, and whatever is done to its rows shows."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract import store_scene
from tests.contract.store_scene import MAKERS, NOON, CountingMeter, Scene, StillClock, mysql_store, opened
from tests.rig import mariadb

from llm_scheduler.domain.audit import GENESIS, AuditEntry, AuditFilter, AuditOutcome, Chain
from llm_scheduler.domain.errors import InvalidInputError, StoreUnavailableError
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, TenantId
from llm_scheduler.domain.outcome import Ended
from llm_scheduler.services.audit import verified
from llm_scheduler.stores import audit_triggers
from llm_scheduler.stores.mysql import MysqlStore, examining
from llm_scheduler.stores.mysql.address import parse

scene = store_scene.scene

ENTRY = AuditEntry(
    at=NOON,
    tenant_id=DEFAULT_TENANT,
    actor_kind="user",
    actor_id=7,
    actor="ada",
    action="model.change",
    target_kind="model",
    target="m",
    outcome=AuditOutcome.DONE,
    address="192.0.2.7",
    request_id="r-1",
    before='{"rpm":1}',
    after='{"rpm":2,"text":"é 😀 \\u2028"}',
)
EVERYTHING = AuditFilter()


def entries(count: int, first: int = 0) -> list[AuditEntry]:
    return [
        replace(ENTRY, at=Millis(NOON + number), request_id=f"r-{number}") for number in range(first, first + count)
    ]


def tampered(scene: Scene, folder: Path, *statements: str) -> None:
    """What somebody does who may do everything with the database: the triggers go, and come back."""
    drops = [f"DROP TRIGGER IF EXISTS {name}" for name in audit_triggers.NAMES]
    if type(scene.store).__name__ == "SqliteStore":
        with closing(sqlite3.connect(folder / "record.db", isolation_level=None)) as connection:
            for statement in (*drops, *statements, *audit_triggers.SQLITE):
                connection.execute(statement)
    else:
        mariadb.shared().sql("; ".join((*drops, *statements, *audit_triggers.MYSQL)), "contract")


async def test_entries_stand_in_one_chain_without_a_gap(scene: Scene) -> None:
    await scene.store.add_audit(entries(3))
    await scene.store.add_audit(entries(2, 3))

    rows = await scene.store.audit_rows(0, 100)
    chain = Chain()

    assert [row.id for row in rows] == [1, 2, 3, 4, 5]
    assert [row.entry for row in rows] == entries(5)
    assert chain.follow(rows)
    assert await scene.store.audit_head() == rows[-1]
    assert chain.head == rows[-1].hash != GENESIS


async def test_what_is_written_at_once_stands_in_one_chain(scene: Scene) -> None:
    await asyncio.gather(*(scene.store.add_audit([one]) for one in entries(60)))

    chain = await verified(scene.store)

    assert (chain.is_whole, chain.rows) == (True, 60)


async def test_an_entry_that_comes_again_is_not_written_again(scene: Scene) -> None:
    """A commit whose outcome nobody knows is done again by who waits for it."""
    await scene.store.add_audit(entries(3))
    await scene.store.add_audit(entries(4))
    once = replace(ENTRY, request_id="r-9")
    await scene.store.add_audit([once, once])

    assert [row.entry for row in await scene.store.audit_rows(0, 100)] == [*entries(4), once]


async def test_an_entry_beside_other_work_of_the_same_commit_is_written(scene: Scene) -> None:
    [task_id] = await scene.submitted()
    started = await scene.started(task_id)
    end: Ended = scene.end(started, store_scene.Status.COMPLETED)

    await asyncio.gather(scene.store.record(end), scene.store.add_audit(entries(1)), scene.submitted(3))

    assert (await verified(scene.store)).rows == 1
    assert await scene.status(task_id) == "completed"


async def test_an_entry_that_is_too_long_is_cut_and_holds(scene: Scene) -> None:
    long = replace(
        ENTRY, actor="😀" * 200, target="é" * 300, address="1" * 100, request_id="q" * 200, after="x" * 99_999
    )

    await scene.store.add_audit([long])

    assert (await verified(scene.store)).is_whole
    head = await scene.store.audit_head()
    assert head is not None
    assert (head.entry.actor, head.entry.target) == ("😀" * 100, "é" * 191)


async def test_pages_and_filters_find_what_is_meant(scene: Scene) -> None:
    others = [
        replace(ENTRY, tenant_id=TenantId(2), action="modeller.add"),
        replace(ENTRY, tenant_id=None, action="budget.add", actor="bob", outcome=AuditOutcome.REFUSED),
        replace(ENTRY, action="model", target="n", at=Millis(NOON + 500)),
    ]
    await scene.store.add_audit([*entries(5), *(replace(one, request_id=f"o{n}") for n, one in enumerate(others))])

    async def ids(where: AuditFilter, limit: int = 100) -> list[int]:
        found: list[int] = []
        cursor = None
        while True:
            page = await scene.store.audit_page(where, limit=limit, cursor=cursor)
            found += [row.id for row in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    assert await ids(EVERYTHING) == await ids(EVERYTHING, 3) == await ids(EVERYTHING, 1) == [8, 7, 6, 5, 4, 3, 2, 1]
    assert await ids(AuditFilter(is_of_tenant=True, tenant_id=TenantId(2))) == [6]
    assert await ids(AuditFilter(is_of_tenant=True)) == [7]
    assert await ids(AuditFilter(action="model")) == [8, 5, 4, 3, 2, 1]
    assert await ids(AuditFilter(action="modeller.add")) == [6]
    assert await ids(AuditFilter(actor="bob", outcome=AuditOutcome.REFUSED)) == [7]
    assert await ids(AuditFilter(target="n")) == [8]
    assert await ids(AuditFilter(since=Millis(NOON + 2), until=Millis(NOON + 4))) == [4, 3]
    with pytest.raises(InvalidInputError):
        await scene.store.audit_page(EVERYTHING, limit=1, cursor="x")


CHANGES = {
    "at": "`at` = `at` + 1",
    "tenant_id": "tenant_id = NULL",
    "actor_kind": "actor_kind = 'key'",
    "actor_id": "actor_id = 8",
    "actor": "actor = 'eve'",
    "action": "action = 'model.remove'",
    "target_kind": "target_kind = 'budget'",
    "target": "target = 'n'",
    "outcome": "outcome = 'odd'",
    "address": "address = ''",
    "request_id": "request_id = 'other'",
    "state_before": "state_before = NULL",
    "state_after": "state_after = '{}'",
    "hash": "hash = REPLACE(hash, SUBSTR(hash, 1, 1), '_')",
}


@pytest.mark.parametrize("column", CHANGES)
async def test_a_change_of_any_column_is_found(scene: Scene, tmp_path: Path, column: str) -> None:
    await scene.store.add_audit(entries(5))
    tampered(scene, tmp_path, f"UPDATE audit_log SET {CHANGES[column]} WHERE id = 3")  # noqa: S608 - ours

    chain = await verified(scene.store)

    assert (chain.is_whole, chain.broken_id, chain.rows) == (False, 3, 2)


async def test_a_row_that_is_gone_from_the_middle_is_found(scene: Scene, tmp_path: Path) -> None:
    await scene.store.add_audit(entries(5))
    tampered(scene, tmp_path, "DELETE FROM audit_log WHERE id = 3")

    assert (await verified(scene.store)).broken_id == 3


async def test_a_gap_that_is_closed_again_is_found(scene: Scene, tmp_path: Path) -> None:
    await scene.store.add_audit(entries(5))
    tampered(
        scene,
        tmp_path,
        "DELETE FROM audit_log WHERE id = 3",
        "UPDATE audit_log SET id = 3 WHERE id = 4",
        "UPDATE audit_log SET id = 4 WHERE id = 5",
    )

    assert (await verified(scene.store)).broken_id == 3


async def test_rows_that_are_swapped_are_found(scene: Scene, tmp_path: Path) -> None:
    await scene.store.add_audit(entries(5))
    tampered(
        scene,
        tmp_path,
        "UPDATE audit_log SET id = 99 WHERE id = 2",
        "UPDATE audit_log SET id = 2 WHERE id = 4",
        "UPDATE audit_log SET id = 4 WHERE id = 99",
    )

    assert (await verified(scene.store)).broken_id == 2


async def test_an_end_that_is_cut_off_is_found_by_the_head_that_was_noted(scene: Scene, tmp_path: Path) -> None:
    await scene.store.add_audit(entries(5))
    head = (await verified(scene.store)).head
    tampered(scene, tmp_path, "DELETE FROM audit_log WHERE id > 3")
    await scene.store.add_audit(entries(4, 10))

    assert (await verified(scene.store)).is_whole
    assert not (await verified(scene.store, expected=head)).is_whole


async def test_a_head_that_was_noted_is_found_after_the_log_has_grown(scene: Scene) -> None:
    await scene.store.add_audit(entries(5))
    head = (await verified(scene.store)).head
    await scene.store.add_audit(entries(5, 10))

    assert (await verified(scene.store, expected=head)).is_whole


async def test_the_newest_rows_alone_can_be_checked(scene: Scene, tmp_path: Path) -> None:
    await scene.store.add_audit(entries(9))
    tampered(scene, tmp_path, "UPDATE audit_log SET actor = 'eve' WHERE id = 4")

    assert (await verified(scene.store, last=3)).rows == 3
    assert (await verified(scene.store, last=5)).rows == 5
    assert (await verified(scene.store, last=6)).broken_id == 4
    assert (await verified(scene.store, last=100)).broken_id == 4


async def test_the_engine_refuses_to_change_or_delete_a_row(scene: Scene) -> None:
    await scene.store.add_audit(entries(2))
    assert await scene.store.is_audit_guarded()

    for statement in ("UPDATE audit_log SET actor = 'eve'", "DELETE FROM audit_log"):
        with pytest.raises((InvalidInputError, StoreUnavailableError), match=audit_triggers.REASON):
            await scene.store._write(lambda transaction, text=statement: transaction.run(text))  # type: ignore[attr-defined]

    assert (await verified(scene.store)).rows == 2


async def test_without_the_privilege_the_log_works_and_says_that_it_is_not_guarded(tmp_path: Path) -> None:
    server = mariadb.shared()
    server.create("unguarded")
    server.sql(
        "CREATE OR REPLACE USER 'plain'@'%' IDENTIFIED BY 'plain'; "
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, REFERENCES ON unguarded.* TO 'plain'@'%'"
    )
    url = f"mysql://plain:plain@127.0.0.1:{server.port}/unguarded"
    store = MysqlStore(url, StillClock(), CountingMeter())
    await store.open()
    try:
        await store.add_audit(entries(3))

        assert (await verified(store)).rows == 3
        assert not await store.is_audit_guarded()
    finally:
        await store.close()
    found = await asyncio.to_thread(examining.check, parse(url))
    assert any("audit_log" in warning for warning in found.warnings)


WRITE = """
import asyncio, sys
from dataclasses import replace
from tests.contract.store_scene import CountingMeter, StillClock
from tests.contract.test_store_audit import ENTRY
from llm_scheduler.stores.mysql import MysqlStore

async def main():
    store = MysqlStore(sys.argv[1], StillClock(), CountingMeter())
    await store.open()
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(100):
        await asyncio.gather(
            *(store.add_audit([replace(ENTRY, request_id=f"{sys.argv[2]}-{turn}-{one}")]) for one in range(4))
        )
    await store.close()

asyncio.run(main())
"""


def test_two_processes_that_write_at_once_keep_one_chain(tmp_path: Path) -> None:
    async def prepared() -> None:
        async with opened(mysql_store, tmp_path):
            pass

    async def found() -> tuple[Chain, set[str]]:
        async with opened(mysql_store, tmp_path) as scene:
            rows = await scene.store.audit_rows(0, 1_000)
            return await verified(scene.store), {row.entry.request_id for row in rows}

    asyncio.run(prepared())
    url = mariadb.shared().url("contract")
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path.cwd(),
        )
        for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=50)
        assert writer.returncode == 0
    chain, ids = asyncio.run(found())

    assert (chain.is_whole, chain.rows, len(ids)) == (True, 800, 800)
    assert set(MAKERS) == {"mysql", "sqlite"}
