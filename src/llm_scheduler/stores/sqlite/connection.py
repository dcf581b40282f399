"""Opening the file, and telling errors of the disk from errors of the data."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import InvalidInputError, SchedulerError, StoreUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

BUSY_TIMEOUT_MS: Final = 5_000
CACHED_STATEMENTS: Final = 512
WRITER_CACHE_KIB: Final = 65_536
READER_CACHE_KIB: Final = 8_192
CHECKPOINT_PAGES: Final = 4_000

OUTAGES: Final = {
    sqlite3.SQLITE_BUSY: "another process holds the database locked",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk refused to read or write",
    sqlite3.SQLITE_READONLY: "the database cannot be written (read-only file or folder)",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged; run `llms db check`",
    sqlite3.SQLITE_NOTADB: "the file is not a database",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_INTERRUPT: "the query took too long",
    sqlite3.SQLITE_PERM: "access to the database was refused",
    sqlite3.SQLITE_PROTOCOL: "the database is locked",
}


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes. A commit is on disk when it returns."""
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=CACHED_STATEMENTS
    )
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    # Debian's SQLite wipes freed pages with zeros by default, which writes each of them once more.
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=CACHED_STATEMENTS,
    )
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def outage(error: BaseException) -> StoreUnavailableError | None:
    """The error for everyone who waits, if this is about the disk or the file; None if it is about data."""
    if isinstance(error, OSError):
        return StoreUnavailableError(str(error))
    if not isinstance(error, sqlite3.Error):
        return None
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by the module itself, say for a closed connection or a wrong argument
        return None if isinstance(error, _ABOUT_DATA) else StoreUnavailableError(str(error))
    why = OUTAGES.get(code & 0xFF)
    return StoreUnavailableError(f"{why} ({error})") if why else None


_ABOUT_DATA: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.NotSupportedError,
)


def refusal(error: Exception) -> Exception:
    """What the caller of one poisonous operation is told."""
    if isinstance(error, SchedulerError):
        return error
    if isinstance(error, UnicodeError):
        return InvalidInputError("The text holds characters that cannot be stored (lone surrogates).")
    if isinstance(error, OverflowError):
        return InvalidInputError("A number is too large to be stored.")
    if isinstance(error, sqlite3.Error):
        return InvalidInputError(f"The record refused the data: {error}.")
    return error
