"""`llms db check`: is the database sound, of this program's revision, and set so that nothing is lost?"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from asyncmy.errors import MySQLError

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.stores import audit_triggers, schema
from llm_scheduler.stores.mysql import migrating, text
from llm_scheduler.stores.mysql.server import Server
from llm_scheduler.stores.schema import COUNTED, Examination
from llm_scheduler.stores.tables import METADATA

if TYPE_CHECKING:
    from llm_scheduler.stores.mysql.address import Address
    from llm_scheduler.stores.mysql.connection import Connection

OLDEST: Final = {"MariaDB": (10, 6), "MySQL": (8, 0)}
SMALLEST_PACKET: Final = 16 * 2**20
COLLATION: Final = "utf8mb4_bin"
# Name, the value that keeps every promise, and what another one costs.
SETTINGS: Final = (
    ("innodb_flush_log_at_trx_commit", "1", "a power cut may lose tasks that were acknowledged"),
    ("innodb_doublewrite", "ON", "a power cut may damage tables"),
    ("innodb_rollback_on_timeout", "OFF", "nothing is lost, but waiting for a lock costs the whole batch"),
    ("read_only", "OFF", "this server takes no writes: is it a replica?"),
)


def check(address: Address) -> Examination:
    """Examine a database without changing it. Blocks; not for a thread that runs an event loop.

    Raises:
        StoreUnusableError: no way in, or not ours.
    """
    return asyncio.run(_check(address))


def revision(address: Address) -> str | None:
    """The schema's revision; None for an empty database. Blocks, as `check`.

    Raises:
        StoreUnusableError: no way in, or not ours.
    """
    return asyncio.run(_revision(address))


async def _revision(address: Address) -> str | None:
    connection = await migrating.enter(Server(address))
    try:
        return await migrating.revision_of(connection, address)
    finally:
        await connection.close()


async def _check(address: Address) -> Examination:
    connection = await migrating.enter(Server(address))
    try:
        revision = await migrating.revision_of(connection, address)
        if revision is None:
            return Examination(None, False, (), {}, await _warnings(connection))
        problems = [*await _damage(connection), *await _collations(connection)]
        counts = {name: await _count(connection, name) for name in COUNTED}
        return Examination(revision, revision == schema.HEAD, tuple(problems), counts, await _warnings(connection))
    except (MySQLError, OSError, TimeoutError) as error:
        raise StoreUnusableError(migrating.advice(address, error)) from error
    finally:
        await connection.close()


async def _count(connection: Connection, table: str) -> int:
    return (await connection.execute(f"SELECT COUNT(*) FROM `{table}`")).rows[0][0]  # noqa: S608 - our tables


async def _damage(connection: Connection) -> list[str]:
    """What the server's own check says; QUICK leaves out what would read every row twice."""
    there = await migrating.table_names(connection)
    missing = sorted(METADATA.tables.keys() - there)
    found = [f"the table {name} is missing" for name in missing]
    for name in sorted(METADATA.tables.keys() & there):
        for _, _, kind, said in (await connection.execute(f"CHECK TABLE `{name}` QUICK")).rows:
            if kind == "error" or (kind == "status" and said != "OK"):
                found.append(f"{name}: {said}")
    return found


async def _collations(connection: Connection) -> list[str]:
    answer = await connection.execute(
        "SELECT table_name, engine, table_collation FROM information_schema.tables WHERE table_schema = DATABASE()"
    )
    found: list[str] = []
    for name, engine, collation in answer.rows:
        if name not in METADATA.tables:
            continue
        if engine != "InnoDB":
            found.append(f"{name}: the engine is {engine}; it has no transactions")
        if collation != COLLATION:
            found.append(f"{name}: the collation is {collation}; names that differ in case only would be taken for one")
    return found


async def _warnings(connection: Connection) -> tuple[str, ...]:
    found: list[str] = []
    kind = "MariaDB" if connection.is_mariadb else "MySQL"
    version = _version(connection.version)
    if version < OLDEST[kind]:
        oldest = ".".join(map(str, OLDEST[kind]))
        found.append(f"{kind} {connection.version} is older than {oldest}: SKIP LOCKED is missing")
    if connection.largest_packet < SMALLEST_PACKET:
        found.append(f"max_allowed_packet is {connection.largest_packet:,}: larger tasks and results are refused")
    for name, wanted, cost in SETTINGS:
        answer = await connection.execute(f"SHOW GLOBAL VARIABLES LIKE '{name}'")
        value = str(answer.rows[0][1]) if answer.rows else wanted
        if value.upper() not in (wanted, {"ON": "1", "OFF": "0"}.get(wanted, wanted)):
            found.append(f"{name} is {value}: {cost}")
    if "audit_log" in await migrating.table_names(connection):
        there = await connection.execute(text.filled(audit_triggers.THERE_MYSQL, audit_triggers.NAMES))
        if there.rows[0][0] != len(audit_triggers.NAMES):
            found.append(
                "the triggers of audit_log are missing: the server does not refuse to change it (docs/audit.md)"
            )
    return tuple(found)


def _version(text: str) -> tuple[int, ...]:
    """Of `5.5.5-10.11.19-MariaDB-…` and of `8.0.36`."""
    found = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)
