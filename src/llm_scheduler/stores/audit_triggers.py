"""Triggers by which the engine refuses to change or delete what the audit log holds.

They keep mistakes and half-way intruders out; who may drop a trigger is found by the chain of hashes.
"""

from __future__ import annotations

from typing import Final

NAMES: Final = ("audit_log_no_update", "audit_log_no_delete")
REASON: Final = "the audit log is append-only"
SQLITE: Final = tuple(
    f"CREATE TRIGGER {name} BEFORE {verb} ON audit_log BEGIN SELECT RAISE(ABORT, '{REASON}'); END"
    for name, verb in zip(NAMES, ("UPDATE", "DELETE"), strict=True)
)
MYSQL: Final = tuple(
    f"CREATE TRIGGER {name} BEFORE {verb} ON audit_log FOR EACH ROW "
    f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{REASON}'"
    for name, verb in zip(NAMES, ("UPDATE", "DELETE"), strict=True)
)
THERE_SQLITE: Final = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' AND name IN (?, ?)"
THERE_MYSQL: Final = (
    "SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE() AND trigger_name IN (?, ?)"
)
