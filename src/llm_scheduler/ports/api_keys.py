"""API keys in the record."""

from __future__ import annotations

from typing import Protocol


class KeysMoves(Protocol):
    """What is written and asked of them."""
