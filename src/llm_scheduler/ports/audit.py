"""The audit log in the record."""

from __future__ import annotations

from typing import Protocol


class AuditMoves(Protocol):
    """What is written and asked of them."""
