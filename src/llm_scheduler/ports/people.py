"""Users, memberships and tenants in the record."""

from __future__ import annotations

from typing import Protocol


class PeopleMoves(Protocol):
    """What is written and asked of them."""
