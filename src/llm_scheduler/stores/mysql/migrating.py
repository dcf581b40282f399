"""Opening a database: the first connection, the schema's revision, and upgrading one process at a time."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Final

import structlog
from asyncmy.errors import MySQLError

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.stores import schema
from llm_scheduler.stores.mysql.connection import QuietCursor
from llm_scheduler.stores.mysql.faults import ACCESS_DENIED, UNKNOWN_DATABASE, code_of
from llm_scheduler.stores.tables import METADATA

if TYPE_CHECKING:
    from llm_scheduler.stores.mysql.address import Address
    from llm_scheduler.stores.mysql.connection import Connection
    from llm_scheduler.stores.mysql.server import Server

LOCK_TURN_S: Final = 5
LOCK_TURNS: Final = 360
"""Half an hour: a migration may rewrite large tables."""

_log = structlog.get_logger(__name__)


async def prepare(server: Server) -> Connection:
    """A first connection to a database whose schema this program can use.

    Raises:
        StoreUnusableError: says why and what to do; never the password.
    """
    connection = await enter(server)
    try:
        revision = await revision_of(connection, server.address)
        if schema.needs_upgrade(revision):
            await asyncio.to_thread(upgrade, server.address)
    except (MySQLError, OSError, TimeoutError) as error:
        connection.drop()
        raise StoreUnusableError(advice(server.address, error)) from error
    except BaseException:
        connection.drop()
        raise
    return connection


async def enter(server: Server) -> Connection:
    """A connection, or advice.

    Raises:
        StoreUnusableError: no way in.
    """
    try:
        return await server.connect()
    except (MySQLError, OSError, TimeoutError) as error:
        raise StoreUnusableError(advice(server.address, error)) from error


def advice(address: Address, error: BaseException) -> str:
    """What is wrong, and what to do."""
    code = code_of(error)
    said = error.args[-1] if error.args else error
    if code == UNKNOWN_DATABASE:
        return (
            f"{address}: the database does not exist. Create it: "
            f"CREATE DATABASE `{address.database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;"
        )
    if code in ACCESS_DENIED:
        return (
            f"{address}: the server refuses this user or password, or the user may not use this database. "
            f"Check LLMS_DATABASE_URL, or: GRANT ALL ON `{address.database}`.* TO '{address.user}'@'%';"
        )
    if code and code < 2000:
        return f"{address}: the server refused: {said} (error {code})."
    return f"{address}: the server cannot be reached: {said}. Is it running, and are host and port right?"


async def table_names(connection: Connection) -> set[str]:
    """The tables of the database in use."""
    found = await connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
    return {row[0] for row in found.rows}


async def revision_of(connection: Connection, address: Address) -> str | None:
    """The schema's revision; None without one.

    Raises:
        StoreUnusableError: it belongs to another program, or to a newer release that excludes this one.
    """
    names = await table_names(connection)
    schema.check_owner(str(address), names)
    if not names:
        return None
    version = (await connection.execute("SELECT version_num FROM alembic_version")).rows
    if not version:
        return None
    floor = (await connection.execute("SELECT revision FROM schema_floor")).rows if "schema_floor" in names else ()
    schema.check_age(str(address), version[0][0], floor[0][0] if floor else None)
    return version[0][0]


def upgrade(address: Address, target: str = "head") -> None:
    """Bring the database to this program's revision; of several processes one does it, the others wait.

    Blocks; not for a thread that runs an event loop.

    Raises:
        StoreUnusableError: no way in, or another process has held the lock for half an hour.
    """
    with schema.ONE_AT_A_TIME:
        asyncio.run(_upgrade(address, target))


async def _upgrade(address: Address, target: str) -> None:
    from asyncmy import connect
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    async def opened() -> Any:
        return await connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password.encode(),  # pyright: ignore[reportArgumentType] - as in `connection`
            database=address.database,
            charset="utf8mb4",
            cursor_cls=QuietCursor,
            ssl=address.ssl_context(),
        )

    engine = create_async_engine("mysql+asyncmy://", async_creator=opened, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await _lock(connection, address)
            await connection.run_sync(_migrate, target)
            await connection.commit()
    finally:
        await engine.dispose()


async def _lock(connection: Any, address: Address) -> None:
    """Hold the installation's lock; it goes with the connection, so a process that dies leaves none."""
    name = "llm_scheduler_schema." + hashlib.sha256(address.database.encode()).hexdigest()[:16]
    for _ in range(LOCK_TURNS):
        answer = await connection.exec_driver_sql("SELECT GET_LOCK(%s, %s)", (name, LOCK_TURN_S))
        if answer.scalar() == 1:
            return
        _log.info("schema_wait", address=str(address), reason="another process upgrades the schema")
    raise StoreUnusableError(
        f"{address}: another process has been upgrading the schema for half an hour. Look at it, or end its connection."
    )


def _migrate(connection: Any, target: str) -> None:
    _clear_ruins(connection)
    schema.migrate(target, connection=connection)


def _clear_ruins(connection: Any) -> None:
    """Remove what a first upgrade left that was cut off: MySQL commits each CREATE TABLE by itself."""
    from sqlalchemy import inspect

    names = set(inspect(connection).get_table_names())
    if "alembic_version" not in names or connection.exec_driver_sql("SELECT 1 FROM alembic_version").first():
        return
    ours = names & METADATA.tables.keys()
    if "tasks" in ours and connection.exec_driver_sql("SELECT 1 FROM tasks LIMIT 1").first():
        raise StoreUnusableError("The database holds tasks but not its schema's revision; restore it from a backup.")
    for name in sorted(ours):
        connection.exec_driver_sql(f"DROP TABLE `{name}`")
