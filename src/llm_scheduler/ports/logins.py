"""Sign-ins and the keys that sign tokens in the record."""

from __future__ import annotations

from typing import Protocol


class LoginsMoves(Protocol):
    """What is written and asked of them."""
