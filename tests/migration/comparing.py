"""What Alembic sees different between a database and the tables. It knows nothing of `ddl_if`."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from llm_scheduler.stores.tables import METADATA


def differences(connection: Any) -> list[Any]:
    """Of a database at head; indexes that are for the other engine do not count."""
    name = connection.dialect.name

    def is_meant(thing: Any, _name: object, kind: str, is_reflected: bool, _other: object) -> bool:
        return kind != "index" or is_reflected or name in thing.info.get("engines", (name,))

    context = MigrationContext.configure(connection, opts={"include_object": is_meant})
    return list(compare_metadata(context, METADATA))
