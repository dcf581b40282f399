"""SQL of API keys."""

from __future__ import annotations

from typing import Final

from llm_scheduler.stores.access_rows import KEY_COLUMNS
from llm_scheduler.stores.rows import named

HOLD_KEY: Final = f"SELECT {named(KEY_COLUMNS)} FROM api_keys WHERE id = ?"  # noqa: S608 - our names
"""Locked on MySQL: what is judged by it must not be revoked meanwhile."""
PAGE: Final = (
    f"SELECT {named(KEY_COLUMNS)} FROM api_keys WHERE tenant_id = ? AND id < ? "  # noqa: S608
    "AND (user_id = ? OR ? IS NULL) AND (revoked_at IS NULL OR ?) ORDER BY id DESC LIMIT ?"
)
CHANGE: Final = "UPDATE api_keys SET name = ?, scopes = ?, limits = ?, expires_at = ? WHERE id = ?"
REVOKE: Final = "UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"
END: Final = "UPDATE api_keys SET expires_at = ? WHERE id = ? AND (expires_at IS NULL OR expires_at > ?)"
NOTE_USED: Final = (
    "UPDATE api_keys SET last_used_at = ? WHERE id IN ({ids}) AND (last_used_at IS NULL OR last_used_at < ?)"
)
OLD: Final = "SELECT id FROM api_keys WHERE revoked_at < ? OR expires_at < ? ORDER BY id LIMIT ?"
FORGET: Final = "DELETE FROM api_keys WHERE id IN ({ids}) AND (revoked_at < ? OR expires_at < ?)"
