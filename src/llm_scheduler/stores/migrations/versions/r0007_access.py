"""Users, memberships, API keys, sign-ins, signing keys, the audit log; quotas of tenants."""

import sqlalchemy as sa
import structlog
from alembic import op
from sqlalchemy.exc import DBAPIError

from llm_scheduler.stores import audit_triggers
from llm_scheduler.stores.columns import BINARY_TEXT, CLUSTERED, ID, LONG_TEXT

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade():
    # MySQL commits each change of the schema by itself: an upgrade that was cut off finds its own traces.
    _add_columns(
        "tenants",
        sa.Column("state", sa.String(length=12), server_default="active", nullable=False),
        sa.Column("options", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.BigInteger(), server_default="0", nullable=False),
    )
    _add_columns("budgets", sa.Column("imposed", sa.SmallInteger(), server_default="0", nullable=False))
    found = sa.inspect(op.get_bind())
    for name, add in (
        ("users", _add_users),
        ("memberships", _add_memberships),
        ("api_keys", _add_api_keys),
        ("logins", _add_logins),
        ("signing_keys", _add_signing_keys),
        ("access_changes", _add_access_changes),
        ("audit_log", _add_audit_log),
        ("fading_payloads", _add_fading_payloads),
    ):
        if not found.has_table(name):
            add()
    _add_index("memberships", "ix_memberships_user", "user_id")
    _add_index("api_keys", "ix_api_keys_tenant", "tenant_id")
    _add_index("api_keys", "ix_api_keys_user", "user_id")
    _add_index("logins", "ix_logins_user", "user_id")
    _add_index("logins", "ix_logins_expires", "expires_at")
    _add_index("audit_log", "ix_audit_log_tenant", "tenant_id")
    _add_index("audit_log", "ix_audit_log_at", "at")
    _add_index("fading_payloads", "ix_fading_payloads_ended", "ended_at")
    # The last one gives no ids: what may happen once is guarded by it.
    _add_ids("users", "logins", "sign_up")
    _close_audit_log()


def _add_columns(table, *columns):
    known = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    with op.batch_alter_table(table, recreate="never") as changed:
        for column in columns:
            if column.name not in known:
                changed.add_column(column)


def _add_index(table, name, *columns):
    if all(index["name"] != name for index in sa.inspect(op.get_bind()).get_indexes(table)):
        op.create_index(name, table, list(columns))


def _add_ids(*names):
    blocks = sa.table("id_blocks", sa.column("name"), sa.column("next_id"))
    known = set(op.get_bind().execute(sa.select(blocks.c.name)).scalars())
    for name in names:
        if name not in known:
            op.bulk_insert(blocks, [{"name": name, "next_id": 1}])


def _add_users():
    op.create_table(
        "users",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("username", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("is_admin", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("email", sa.String(length=254)),
        sa.Column("display_name", sa.String(length=100)),
        sa.Column("password_hash", sa.String(length=255)),
        sa.Column("totp", sa.Text()),
        sa.Column("recovery", sa.Text()),
        sa.Column("subject", sa.String(length=512)),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("must_change_password", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("username", name="uq_users_username"),
        sa.UniqueConstraint("subject", name="uq_users_subject"),
        **BINARY_TEXT,
    )


def _add_memberships():
    op.create_table(
        "memberships",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "user_id"),
        **CLUSTERED,
    )


def _add_api_keys():
    op.create_table(
        "api_keys",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("prefix", sa.String(length=24), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.Text()),
        sa.Column("limits", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash", name="uq_api_keys_hash"),
        **BINARY_TEXT,
    )


def _add_logins():
    op.create_table(
        "logins",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=255), nullable=False),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
        **BINARY_TEXT,
    )


def _add_signing_keys():
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.String(length=32), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("kid"),
        **CLUSTERED,
    )


def _add_access_changes():
    op.create_table(
        "access_changes",
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("row_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", "kind", "row_id"),
        **CLUSTERED,
    )


def _add_fading_payloads():
    op.create_table(
        "fading_payloads",
        sa.Column("task_id", ID, autoincrement=False, nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id"),
        **BINARY_TEXT,
    )


def _add_audit_log():
    op.create_table(
        "audit_log",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger()),
        sa.Column("actor_kind", sa.String(length=12), nullable=False),
        sa.Column("actor_id", sa.BigInteger()),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target_kind", sa.String(length=32), nullable=False),
        sa.Column("target", sa.String(length=191), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("state_before", LONG_TEXT),
        sa.Column("state_after", LONG_TEXT),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **BINARY_TEXT,
    )


def _close_audit_log():
    bind = op.get_bind()
    if not bind.execute(sa.text("SELECT 1 FROM id_blocks WHERE name = 'audit'")).first():
        blocks = sa.table("id_blocks", sa.column("name"), sa.column("next_id"))
        op.bulk_insert(blocks, [{"name": "audit", "next_id": 1}])
    statements = audit_triggers.SQLITE if bind.dialect.name == "sqlite" else audit_triggers.MYSQL
    for name, statement in zip(audit_triggers.NAMES, statements, strict=True):
        try:
            op.execute(f"DROP TRIGGER IF EXISTS {name}")
            op.execute(statement)
        except DBAPIError as error:
            # It takes the privilege TRIGGER; with a binary log perhaps more. The chain of hashes tells without it, too.
            structlog.get_logger(__name__).warning("audit_log_unguarded", reason=str(error.orig))
            return
