"""Sessions say what their process does."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():

    with op.batch_alter_table("sessions", recreate="auto") as sessions:
        sessions.add_column(sa.Column("role", sa.String(length=8), server_default="all", nullable=False))
