"""Every sealed text of the record, wherever it lies: to count them by key, and to put others in their places."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class SealedRow(NamedTuple):
    """One column of one row that holds sealed texts."""

    place: str
    """`table.column`."""
    id: int | str
    text: str
    """The column as it was read."""
    contexts: Mapping[str, str]
    """By sealed text, where it may be opened (see `domain.secrecy`)."""


class SealedPlaces(Protocol):
    """Places are known to the record as a table; nothing is sealed elsewhere."""

    def sealed_places(self) -> Sequence[str]:
        """Their names, in the order in which they are walked."""
        ...

    async def sealed_rows(self, place: str, after: int | str | None, limit: int) -> Sequence[SealedRow]:
        """The next rows of a place by id; rows without a sealed text among them count towards the limit.

        Each row that was looked at is in the answer, perhaps with no contexts; fewer than `limit`: that was the last.
        """
        ...

    async def reseal(self, row: SealedRow, text: str) -> bool:
        """Write the column, if it still is what was read; versions that others go by grow. Whether it was."""
        ...
