"""Tables of who may do what: users, memberships, keys, sign-ins; and of what was done."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
)

from llm_scheduler.stores import audit_triggers
from llm_scheduler.stores.columns import BINARY_TEXT, CLUSTERED, ID, LONG_TEXT, METADATA

USERS: Final = Table(
    "users",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    # Lower case: nobody may come in as another by writing the name another way.
    Column("username", String(100), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("is_admin", SmallInteger, nullable=False),
    Column("state", String(12), nullable=False),
    Column("email", String(254)),
    Column("display_name", String(100)),
    # Argon2id's own text; None: no password.
    Column("password_hash", String(255)),
    # The second factor's secret, sealed; the hashes of its one-time codes, JSON.
    Column("totp", Text),
    Column("recovery", Text),
    # issuer|subject of an OpenID Connect provider.
    Column("subject", String(512)),
    # Grows when all that was issued before is to end.
    Column("epoch", Integer, nullable=False),
    Column("must_change_password", SmallInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("last_seen_at", BigInteger),
    UniqueConstraint("username", name="uq_users_username"),
    UniqueConstraint("subject", name="uq_users_subject"),
    **BINARY_TEXT,
)

MEMBERSHIPS: Final = Table(
    "memberships",
    METADATA,
    Column("tenant_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("role", String(12), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "user_id"),
    Index("ix_memberships_user", "user_id"),
    **CLUSTERED,
)

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("tenant_id", BigInteger, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("name", String(100), nullable=False),
    # Its first characters, to be told by; and the SHA-256 of it all. The key itself is kept nowhere.
    Column("prefix", String(24), nullable=False),
    Column("hash", String(64), nullable=False),
    # Permissions, JSON; None: those of its user.
    Column("scopes", Text),
    # Requests a minute, models, networks; JSON.
    Column("limits", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
    UniqueConstraint("hash", name="uq_api_keys_hash"),
    Index("ix_api_keys_tenant", "tenant_id"),
    Index("ix_api_keys_user", "user_id"),
    **BINARY_TEXT,
)

LOGINS: Final = Table(
    "logins",
    METADATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("user_id", BigInteger, nullable=False),
    Column("tenant_id", BigInteger, nullable=False),
    # SHA-256 of the refresh token that is good now, and how many came before it.
    Column("token_hash", String(64), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(255), nullable=False),
    Column("revoked_at", BigInteger),
    Index("ix_logins_user", "user_id"),
    Index("ix_logins_expires", "expires_at"),
    **BINARY_TEXT,
)

SIGNING_KEYS: Final = Table(
    "signing_keys",
    METADATA,
    # What access tokens are signed with, by their `kid`; sealed. One after its end still checks what it signed.
    Column("kid", String(32), nullable=False),
    Column("secret", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
    PrimaryKeyConstraint("kid"),
    **CLUSTERED,
)

ACCESS_CHANGES: Final = Table(
    "access_changes",
    METADATA,
    # What each step of the version `access` in `states` changed: `user`, `key` or `login`, and its id.
    Column("version", BigInteger, nullable=False),
    Column("kind", String(12), nullable=False),
    Column("row_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("version", "kind", "row_id"),
    **CLUSTERED,
)

AUDIT_LOG: Final = Table(
    "audit_log",
    METADATA,
    # Without a gap: a missing row breaks the chain.
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    # Whose data it is about; None: the installation's.
    Column("tenant_id", BigInteger),
    Column("actor_kind", String(12), nullable=False),
    Column("actor_id", BigInteger),
    Column("actor", String(100), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target_kind", String(32), nullable=False),
    Column("target", String(191), nullable=False),
    Column("outcome", String(12), nullable=False),
    Column("address", String(64), nullable=False),
    Column("request_id", String(128), nullable=False),
    # JSON, secrets masked.
    Column("state_before", LONG_TEXT),
    Column("state_after", LONG_TEXT),
    # SHA-256 over the row before and all of this one.
    Column("hash", String(64), nullable=False),
    Index("ix_audit_log_tenant", "tenant_id"),
    Index("ix_audit_log_at", "at"),
    **BINARY_TEXT,
)
for _statement in audit_triggers.SQLITE:
    event.listen(AUDIT_LOG, "after_create", DDL(_statement).execute_if(dialect="sqlite"))
