"""The schema's age: bring a database to this program's revision, examine it, copy it."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from llm_scheduler.domain.errors import StoreUnusableError

REVISIONS: Final = ("0001", "0002")
"""Every revision this program knows, oldest first; a test compares it with `migrations/versions`."""
HEAD: Final = REVISIONS[-1]
COUNTED: Final = ("tasks", "attempts", "results", "task_logs", "models", "sessions")

_ONE_AT_A_TIME: Final = threading.Lock()
"""Alembic keeps what it works on in module globals. Between processes the database's own lock serves."""


class Examination(NamedTuple):
    """What `check` found. `problems` empty = sound."""

    revision: str | None
    is_current: bool
    problems: tuple[str, ...]
    counts: dict[str, int]


def upgrade(url: str) -> None:
    """Bring the database at an SQLAlchemy URL to `HEAD`; nothing happens if it is there already."""
    # Imported here: it takes a quarter of a second, and most starts find the schema at head.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    with _ONE_AT_A_TIME:
        command.upgrade(config, "head")


def sqlite_url(path: Path) -> str:
    """The URL that `upgrade` takes for a file."""
    return f"sqlite:///{path}"


def revision_of(connection: sqlite3.Connection, path: Path) -> str | None:
    """The revision of an open database; None if it is empty.

    Raises:
        StoreUnusableError: it belongs to another program, or to a newer release of this one.
    """
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "alembic_version" not in names:
        if not names:
            return None
        found = ", ".join(sorted(names)[:5])
        raise StoreUnusableError(
            f"{path} is another program's database (it holds: {found}); point LLMS_DATABASE_URL at another file."
        )
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None:
        return None
    if row[0] not in REVISIONS:
        raise StoreUnusableError(
            f"{path}: the database is at revision {row[0]}, this program knows {HEAD}: upgrade the program, "
            "or restore a backup that an older release wrote."
        )
    return str(row[0])


def check(path: Path) -> Examination:
    """Examine a database file without changing it.

    Raises:
        StoreUnusableError: it is missing, not a database, or not ours.
    """
    if not path.is_file():
        raise StoreUnusableError(f"{path} does not exist; `llms db upgrade` makes it.")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            revision = revision_of(connection, path)
            found = tuple(str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)"))
            counts = {} if revision is None else _counts(connection)
    except sqlite3.DatabaseError as error:
        raise StoreUnusableError(f"{path} cannot be read: {error}; restore it from a backup.") from error
    return Examination(revision, revision == HEAD, () if found == ("ok",) else found, counts)


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    return {
        name: int(connection.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0])  # noqa: S608 - our names
        for name in COUNTED
    }


def backup(path: Path, target: Path) -> None:
    """Copy a database, also while a server writes to it, then examine the copy.

    Raises:
        StoreUnusableError: the target exists, the source cannot be read, or the copy is not sound.
    """
    if target.exists():
        raise StoreUnusableError(f"{target} exists already; choose a name that is free.")
    if not path.is_file():
        raise StoreUnusableError(f"{path} does not exist.")
    try:
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy, pages=4096, sleep=0)
            # A copy is one file: without this, looking at it would leave a log beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
    except (sqlite3.Error, OSError) as error:
        target.unlink(missing_ok=True)
        raise StoreUnusableError(f"{path} could not be copied to {target}: {error}") from error
    problems = check(target).problems
    if problems:
        raise StoreUnusableError(f"the copy {target} is not sound: {problems[0]}")
