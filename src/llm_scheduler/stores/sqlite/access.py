"""What the parts of the store share: a way to write and a way to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.stores.sqlite.readers import Reader
    from llm_scheduler.stores.sqlite.transaction import Transaction

T = TypeVar("T")


class SqliteAccess:
    """Implemented by `SqliteStore`."""

    _clock: Clock

    async def _merge(self, kind: str, payload: Any) -> Any:
        """Have all jobs of this kind in the next transaction run as one."""
        raise NotImplementedError

    async def _write(self, move: Callable[[Transaction], T]) -> T:
        """Run in the next transaction."""
        raise NotImplementedError

    async def _read(self, query: Callable[[Reader], T]) -> T:
        """Run on one of the readers."""
        raise NotImplementedError
