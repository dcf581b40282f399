"""Sessions say what their process does."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():

    # MySQL commits each change of the schema by itself: an upgrade that was cut off finds its own traces.
    if any(column["name"] == "role" for column in sa.inspect(op.get_bind()).get_columns("sessions")):
        return
    with op.batch_alter_table("sessions", recreate="auto") as sessions:
        sessions.add_column(sa.Column("role", sa.String(length=8), server_default="all", nullable=False))
