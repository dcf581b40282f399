"""`ports.sealed.SealedPlaces`: where sealed texts lie, as a table.

Whoever seals something in a new place adds it here: what is not in the table keeps the key that it was sealed with,
and cannot be opened any more when that one is taken away (`tests/contract/test_store_sealed.py` finds it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from llm_scheduler.domain.ids import UserId
from llm_scheduler.domain.secrecy import (
    SEALED,
    SEALED_TEXT,
    endpoint_context,
    model_context,
    signing_key_context,
    totp_context,
)
from llm_scheduler.ports.sealed import SealedRow
from llm_scheduler.stores.portable.access import Access
from llm_scheduler.stores.portable.access_version import access_changed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_scheduler.stores.portable.access import Row, Transaction


class Place(NamedTuple):
    """One column. `contexts` is given the row (id, the column, `beside`), and gives contexts by sealed text."""

    table: str
    column: str
    id: str
    first_id: int | str
    beside: tuple[str, ...]
    contexts: Callable[[Row], Mapping[str, str]]
    also: str = ""
    """What else is written with it."""
    is_access: bool = False
    """Part of what callers are let in by; its rows are users."""

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read of a row."""
        return (self.id, self.column, *self.beside)

    @property
    def page(self) -> str:
        """SELECT of the next rows."""
        named = ", ".join(self.columns)
        return f"SELECT {named} FROM {self.table} WHERE {self.id} > ? AND {self.column} IS NOT NULL ORDER BY {self.id} LIMIT ?"  # noqa: S608, E501

    @property
    def change(self) -> str:
        """UPDATE of a column that is still what it was."""
        return f"UPDATE {self.table} SET {self.column} = ?{self.also} WHERE {self.id} = ? AND {self.column} = ?"  # noqa: S608


def _of_model(row: Row) -> Mapping[str, str]:
    _, text, tenant_id, name = row
    return {sealed: model_context(tenant_id, name, key) for key, sealed in _in_config(orjson.loads(text))}


def _of_endpoints(row: Row) -> Mapping[str, str]:
    _, text, tenant_id, name = row
    return {
        sealed: endpoint_context(tenant_id, name, one["name"], key)
        for one in orjson.loads(text)
        for key, sealed in _in_config(one["config"])
    }


def _in_config(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    values = [(key, value) for key, value in config.items() if isinstance(value, str) and value.startswith(SEALED)]
    return [(key, value.removeprefix(SEALED)) for key, value in values]


def _of_user(row: Row) -> Mapping[str, str]:
    return {found[0]: totp_context(row[0]) for found in SEALED_TEXT.finditer(row[1])}


def _of_signing_key(row: Row) -> Mapping[str, str]:
    return {found[0]: signing_key_context(row[0]) for found in SEALED_TEXT.finditer(row[1])}


_VERSION: Final = ", version = version + 1"
PLACES: Final[tuple[Place, ...]] = (
    Place("models", "config", "id", -1, ("tenant_id", "name"), _of_model, _VERSION),
    Place("models", "endpoints", "id", -1, ("tenant_id", "name"), _of_endpoints, _VERSION),
    Place("users", "totp", "id", -1, (), _of_user, is_access=True),
    Place("signing_keys", "secret", "kid", "", (), _of_signing_key),
)
BY_NAME: Final = {f"{place.table}.{place.column}": place for place in PLACES}


class SealedCalls(Access):
    """See the port for what each call promises."""

    def sealed_places(self) -> Sequence[str]:
        """`table.column` of each."""
        return tuple(BY_NAME)

    async def sealed_rows(self, place: str, after: int | str | None, limit: int) -> Sequence[SealedRow]:
        """The next rows by id."""
        where = BY_NAME[place]
        params = (where.first_id if after is None else after, limit)
        rows = await self._read(lambda reader: reader.rows(where.columns, where.page, params))
        return [SealedRow(place, row[0], row[1], where.contexts(row)) for row in rows]

    async def reseal(self, row: SealedRow, text: str) -> bool:
        """Write it, if nobody has changed it meanwhile."""
        return await self._write(lambda transaction: _reseal(transaction, row, text))


def _reseal(transaction: Transaction, row: SealedRow, text: str) -> bool:
    where = BY_NAME[row.place]
    if not transaction.run(where.change, (text, row.id, row.text)):
        return False
    if where.is_access:
        access_changed(transaction, users=[UserId(int(row.id))])
    return True
