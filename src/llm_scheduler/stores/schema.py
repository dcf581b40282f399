"""The schema's age: bring a database to this program's revision, examine it, copy it.

During a rolling upgrade older programs work beside newer ones, and are restarted beside them. So a
migration only adds (a table, a column that has a default, an index), and the schema says in
`schema_floor` the oldest revision whose programs may still use it. A program that finds a revision it
does not know goes by that row. A migration that takes something away comes one release after the last
program that used it, and raises the floor.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from llm_scheduler.domain.errors import StoreUnusableError

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""Every revision this program knows, oldest first; a test compares it with `migrations/versions`."""
HEAD: Final = REVISIONS[-1]
COUNTED: Final = ("tasks", "attempts", "results", "task_logs", "models", "sessions")

ONE_AT_A_TIME: Final = threading.Lock()
"""Alembic keeps what it works on in module globals. Between processes the database's own lock serves."""


class Examination(NamedTuple):
    """What `check` found. `problems` empty = sound."""

    revision: str | None
    is_current: bool
    problems: tuple[str, ...]
    counts: dict[str, int]
    warnings: tuple[str, ...] = ()
    """What is sound but set in a way that may cost data or speed."""


def upgrade(url: str) -> None:
    """Bring the SQLite database at an SQLAlchemy URL to `HEAD`; nothing happens if it is there already."""
    with ONE_AT_A_TIME:
        migrate("head", url=url)


def migrate(target: str, *, url: str = "", connection: object = None) -> None:
    """Have Alembic lead a database to a revision, by URL or on an open connection, under `ONE_AT_A_TIME`."""
    # Imported here: it takes a quarter of a second, and most starts find the schema at head.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def needs_upgrade(revision: str | None) -> bool:
    """Whether it is older than this program."""
    return revision is None or revision in REVISIONS[:-1]


def check_age(where: str, revision: str, floor: str | None) -> None:
    """Pass what this program may use: a revision it knows, or a newer one whose floor it knows.

    Raises:
        StoreUnusableError: the schema is too new.
    """
    if revision not in REVISIONS and floor not in REVISIONS:
        raise StoreUnusableError(
            f"{where}: the database is at revision {revision}, this program knows {HEAD}: upgrade the program, "
            "or restore a backup that an older release wrote."
        )


def check_owner(where: str, names: set[str]) -> None:
    """Pass a database without tables, or with ours.

    Raises:
        StoreUnusableError: it is another program's.
    """
    if names and "alembic_version" not in names:
        found = ", ".join(sorted(names)[:5])
        raise StoreUnusableError(
            f"{where} is another program's database (it holds: {found}); point LLMS_DATABASE_URL at another one."
        )


def sqlite_url(path: Path) -> str:
    """The URL that `upgrade` takes for a file."""
    return f"sqlite:///{path}"


def revision_of(connection: sqlite3.Connection, path: Path) -> str | None:
    """The revision of an open database; None if it is empty.

    Raises:
        StoreUnusableError: it belongs to another program, or to a newer release of this one.
    """
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    check_owner(str(path), names)
    if not names:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None:
        return None
    floor = connection.execute("SELECT revision FROM schema_floor").fetchone() if "schema_floor" in names else None
    check_age(str(path), row[0], None if floor is None else floor[0])
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
