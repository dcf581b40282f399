"""`ports.states.States`: one row for each name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.ports.states import State
from llm_scheduler.stores.portable.access import Access

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.stores.portable.access import Transaction

COLUMNS: Final = ("name", "version", "updated_at", "data")
SELECT_STATE: Final = "SELECT version, data FROM states WHERE name = ?"
CHANGE_STATE: Final = "UPDATE states SET version = version + 1, updated_at = ?, data = ? WHERE name = ? AND version = ?"

FOUND_WORKERS: Final = "UPDATE models SET max_workers = ? WHERE id = ? AND version = ?"


class StateCalls(Access):
    """See the port for what each call promises."""

    async def state(self, name: str) -> State | None:
        """What is kept; None if nothing ever was."""
        rows = await self._read(lambda reader: reader.rows(("version", "data"), SELECT_STATE, (name,)))
        return State(*rows[0]) if rows else None

    async def save_state(self, name: str, data: str, expected_version: int) -> bool:
        """Keep this if the version is the one that was read."""
        return await self._write(lambda transaction: _save(transaction, name, data, expected_version))

    async def set_max_workers(self, model_id: ModelId, version: int, max_workers: int) -> None:
        """Note the limit that was found; the version stays."""
        values = (max_workers, model_id, version)
        await self._write(lambda transaction: transaction.do(FOUND_WORKERS, values), is_loose=True)


def _save(transaction: Transaction, name: str, data: str, expected_version: int) -> bool:
    now = transaction.now
    if expected_version == 0:
        # Whoever comes first makes the row; who comes at the same time finds it, and that its version has grown.
        transaction.upsert("states", COLUMNS, ("name",), [(name, 0, now, data)])
    if transaction.run(CHANGE_STATE, (now, data, name, expected_version)):
        return True
    found = transaction.rows(("version", "data"), SELECT_STATE, (name,))
    return bool(found) and State(*found[0]) == State(expected_version + 1, data)
