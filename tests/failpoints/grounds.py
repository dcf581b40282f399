"""Where cases play: each in a SQLite file of its own, or each in a database of a few that are cleaned in between."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

Rows = dict[str, list[dict[str, Any]]]
COLUMNS: Final = {
    "tasks": ("id", "status", "attempt", "failures", "crashes", "owner", "input"),
    "attempts": ("task_id", "attempt", "session_id", "outcome", "is_accepted", "ended_at"),
    "results": ("task_id", "attempt"),
}
_KEPT: Final = frozenset({"alembic_version", "id_blocks"})
EVIDENCE: Final = "evidence.json"


class SqliteGround:
    """One process per case; the schema is copied from a template."""

    is_shared = False

    def __init__(self, template: Path) -> None:
        self._template = template

    def prepare(self, folder: Path) -> dict[str, str]:
        """Make the case's folder; its settings."""
        shutil.copytree(self._template, folder)
        return {}

    def collect(self, folder: Path) -> None:
        """Write down what the record holds."""
        with closing(sqlite3.connect(folder / "data" / "llm-scheduler.db")) as database:
            found: Rows = {
                table: [
                    dict(zip(columns, row, strict=True))
                    for row in database.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2")  # noqa: S608
                ]
                for table, columns in COLUMNS.items()
            }
        (folder / EVIDENCE).write_text(json.dumps(found))


class MariaGround:
    """Two processes per case, on one of a few databases and under a Redis prefix of the case's own.

    Args:
        sql: runs statements in a database and gives what they print, tab-separated.
        urls: of the databases, by name.
        redis_url: of a server that all cases share.
    """

    is_shared = True

    def __init__(self, sql: Callable[[str, str], str], urls: dict[str, str], redis_url: str) -> None:
        self._sql, self._urls, self._redis_url = sql, urls, redis_url
        self._free = list(urls)
        self._taken: dict[Path, str] = {}
        self._tables: list[str] = []

    def settings(self, name: str, prefix: str) -> dict[str, str]:
        """Of an installation on that database."""
        return {
            "database_url": self._urls[name],
            "database_pool": "4",
            "redis_url": self._redis_url,
            "redis_prefix": prefix,
            "secret_key": "a secret of tests only",
            "bootstrap_api_key": "a-key-of-tests-only",
        }

    def prepare(self, folder: Path) -> dict[str, str]:
        """Take a clean database; the case's settings."""
        name = self._free.pop()
        self._taken[folder] = name
        folder.mkdir(parents=True)
        # With a dot, so that no prefix is a part of another.
        return self.settings(name, f"{folder.name}.")

    def collect(self, folder: Path) -> None:
        """Write down what the record holds, and clean it for the next case."""
        name = self._taken.pop(folder)
        found: Rows = {}
        for table, columns in COLUMNS.items():
            lines = self._sql(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2", name).splitlines()  # noqa: S608
            found[table] = [dict(zip(columns, map(_value, line.split("\t")), strict=True)) for line in lines]
        (folder / EVIDENCE).write_text(json.dumps(found))
        self.clean(name)
        self._free.append(name)

    def clean(self, name: str) -> None:
        """Empty every table but those that hold the schema's state."""
        if not self._tables:
            self._tables = [name for name in self._sql("SHOW TABLES", name).split() if name not in _KEPT]
        # The triggers of the audit log let no row be deleted.
        verbs = {table: "TRUNCATE TABLE" if table == "audit_log" else "DELETE FROM" for table in self._tables}
        self._sql("; ".join(f"{verb} {table}" for table, verb in verbs.items()), name)


def _value(text: str) -> Any:
    if text == "NULL":
        return None
    return int(text) if text.lstrip("-").isdigit() else text
