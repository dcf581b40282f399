"""The schema says which programs may use it: see `stores/schema.py`."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CLUSTERED: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
    "sqlite_with_rowid": False,
}


def upgrade():

    bind = op.get_bind()
    if not sa.inspect(bind).has_table("schema_floor"):
        op.create_table(
            "schema_floor",
            sa.Column("revision", sa.String(length=32), nullable=False),
            sa.PrimaryKeyConstraint("revision"),
            **CLUSTERED,
        )
    floor = sa.table("schema_floor", sa.column("revision"))
    op.execute(floor.delete())
    op.bulk_insert(floor, [{"revision": "0003"}])
