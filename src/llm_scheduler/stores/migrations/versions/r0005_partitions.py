"""On MySQL the large tables lie in ranges of task ids, so that a million old tasks can be dropped as one.

Each table is looked at first: MySQL commits every ALTER by itself, and a migration that was cut off is
run again. Rows that are there are copied, table by table; `docs/operations/retention.md` says how long.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

RANGE = 1_000_000
AHEAD = 2
INDEXES = {
    "ix_tasks_tenant_created": "tenant_id, created_at",
    "ix_tasks_type_priority_created": "tenant_id, type, priority, created_at",
    "ix_tasks_status_model_created": "tenant_id, status, model_id, created_at",
    "ix_tasks_status_eligible": "status, eligible_at",
}
# Across partitions only the columns that an index names count as sorted: without `id` each list would sort all rows.
SORTING = ", ".join(f"DROP INDEX {name}, ADD INDEX {name}_id ({columns}, id)" for name, columns in INDEXES.items())
TABLES = {
    "task_metadata": ("task_id", ""),
    "results": ("task_id", ""),
    "attempts": ("task_id", ""),
    # A line of a log belongs to its task: its key must begin with it, which also spares the index on it.
    "task_logs": ("task_id", "DROP PRIMARY KEY, ADD PRIMARY KEY (task_id, id), DROP INDEX ix_task_logs_task"),
    "tasks": ("id", SORTING),
}
PARTITIONED = (
    "SELECT COUNT(*) FROM information_schema.partitions "
    "WHERE table_schema = DATABASE() AND table_name = :name AND partition_name IS NOT NULL"
)


def upgrade():

    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        return
    next_id = bind.execute(sa.text("SELECT next_id FROM id_blocks WHERE name = 'tasks'")).scalar() or 1
    pasts = [(number + 1) * RANGE for number in range(next_id // RANGE + AHEAD)]
    ranges = [f"PARTITION p{past} VALUES LESS THAN ({past})" for past in pasts]
    parts = ", ".join([*ranges, "PARTITION pmax VALUES LESS THAN MAXVALUE"])
    for table, (column, changes) in TABLES.items():
        if not bind.execute(sa.text(PARTITIONED), {"name": table}).scalar():
            op.execute(f"ALTER TABLE {table} {changes} PARTITION BY RANGE ({column}) ({parts})")
