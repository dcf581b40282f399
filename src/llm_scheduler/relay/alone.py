"""The channel of a process that is alone: there is nobody to write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class LocalChannel:
    """Nobody hears, nothing comes, nothing is ever missed."""

    async def open(self) -> None:
        """Nothing to begin."""

    async def close(self) -> None:
        """Nothing to stop."""

    def publish(self, topic: str, payload: bytes) -> None:
        """The sender does not hear itself, and there is no one else."""

    def listen(self, topic: str, hear: Callable[[bytes], None]) -> Callable[[], None]:
        """Nothing will come."""
        return _nothing

    def on_gap(self, hear: Callable[[], None]) -> Callable[[], None]:
        """There are no gaps."""
        return _nothing


def _nothing() -> None:
    return
