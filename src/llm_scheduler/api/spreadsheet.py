"""Cells that a spreadsheet takes for what they are."""

from __future__ import annotations

from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: object) -> object:
    """Text that would be taken for a formula is kept text by a quote before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
