"""`llms audit verify --offline`: the chain looked over in the database itself, read-only."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.services.audit import verified
from llm_scheduler.settings import MYSQL
from llm_scheduler.stores import audit_triggers, schema
from llm_scheduler.stores.portable import audit as queries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_scheduler.domain.audit import AuditRow
    from llm_scheduler.settings import Settings
    from llm_scheduler.stores.portable.access import Reader

T = TypeVar("T")
_BEFORE: tuple[str, ...] = schema.REVISIONS[: schema.REVISIONS.index("0007")]


class _Reads(Protocol):
    async def __call__(self, query: Callable[[Reader], T], /) -> T: ...


class _Log:
    """`ports.audit.AuditReads` over a database that nobody opened as a store."""

    def __init__(self, read: _Reads) -> None:
        self._read = read

    async def audit_rows(self, after_id: int, limit: int) -> Sequence[AuditRow]:
        """The rows after one, oldest first."""
        return await self._read(lambda reader: queries.rows_after(reader, after_id, limit))

    async def audit_head(self) -> AuditRow | None:
        """The newest row."""
        return await self._read(queries.newest)


def url_of(database: str) -> str:
    """What the settings take for a URL or the path of a file."""
    if database.startswith((*MYSQL, "sqlite:///")):
        return database
    return f"sqlite:///{Path(database).absolute()}"


def verify(settings: Settings, *, last: int | None, expected: str) -> dict[str, Any]:
    """What was found, as the API answers it. Blocks.

    Raises:
        StoreUnusableError, StoreUnavailableError: it cannot be read.
    """
    return asyncio.run((_verify_mysql if settings.is_mysql else _verify_sqlite)(settings, last, expected))


async def _verify_sqlite(settings: Settings, last: int | None, expected: str) -> dict[str, Any]:
    from llm_scheduler.stores.sqlite.readers import Readers

    path = settings.database_path
    _check(str(path), (await asyncio.to_thread(schema.check, path)).revision)
    readers = Readers(path)
    try:
        return await _verified(readers.read, audit_triggers.THERE_SQLITE, last, expected)
    finally:
        readers.close()


async def _verify_mysql(settings: Settings, last: int | None, expected: str) -> dict[str, Any]:
    from llm_scheduler.stores.mysql import migrating
    from llm_scheduler.stores.mysql.address import parse
    from llm_scheduler.stores.mysql.readers import Readers
    from llm_scheduler.stores.mysql.server import Server

    url = settings.database_url
    address = parse("" if url is None else url.get_secret_value())
    server = Server(address)
    connection = await migrating.enter(server)
    try:
        _check(str(address), await migrating.revision_of(connection, address))
    finally:
        await connection.close()
    readers = Readers(server, 1)
    try:
        return await _verified(readers.read, audit_triggers.THERE_MYSQL, last, expected)  # pyright: ignore[reportArgumentType] - None only with `unless`
    finally:
        await readers.close()


def _check(where: str, revision: str | None) -> None:
    if revision is None or revision in _BEFORE:
        raise StoreUnusableError(f"{where} has no audit log yet (revision {revision}).")


async def _verified(read: _Reads, guards: str, last: int | None, expected: str) -> dict[str, Any]:
    chain = await verified(_Log(read), last=last, expected=expected)
    there = await read(lambda reader: reader.value(guards, audit_triggers.NAMES))
    return {
        "ok": chain.is_whole,
        "rows": chain.rows,
        "first_broken_id": chain.broken_id,
        "detail": chain.said() or None,
        "head_id": chain.head_id,
        "head_hash": chain.head,
        "is_guarded": there == len(audit_triggers.NAMES),
    }
