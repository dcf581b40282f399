"""What the tables are made with: types and options for SQLite and MySQL alike."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Index, Integer, MetaData, Text
from sqlalchemy.dialects import mysql

METADATA: Final = MetaData()

LONG_TEXT: Final = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
ID: Final = BigInteger().with_variant(Integer(), "sqlite")
"""Only INTEGER PRIMARY KEY is the row's own key in SQLite; BIGINT would make a second tree."""

BINARY_TEXT: Final[dict[str, Any]] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}
"""Text compares by its bytes, as in SQLite."""
CLUSTERED: Final[dict[str, Any]] = {**BINARY_TEXT, "sqlite_with_rowid": False}


def sorting(name: str, *columns: str) -> tuple[Index, Index]:
    """An index by whose columns, then by id, lists are sorted."""
    return only("sqlite", Index(name, *columns)), only("mysql", Index(f"{name}_id", *columns, "id"))


def only(engine: str, index: Index) -> Index:
    """An index that the other engine does without."""
    engines = (engine, "mariadb") if engine == "mysql" else (engine,)
    index.info["engines"] = engines
    return index.ddl_if(dialect=engines)  # pyright: ignore[reportArgumentType] - several are taken too
