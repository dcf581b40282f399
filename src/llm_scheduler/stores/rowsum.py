"""Whether two databases have the same rows, in whatever order, without holding them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MODULUS: Final = 2**128


@dataclass(slots=True)
class RowSum:
    """How many rows, and the sum of their hashes."""

    count: int = 0
    total: int = 0

    def add(self, rows: Iterable[Sequence[object]]) -> None:
        """Take rows, their values in the order of the columns. Whole numbers and equal floats count as equal."""
        for row in rows:
            packed = orjson.dumps([_plain(value) for value in row])
            self.total += int.from_bytes(hashlib.blake2b(packed, digest_size=16).digest(), "big")
            self.count += 1
        self.total %= _MODULUS


def _plain(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
