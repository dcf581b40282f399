"""Messages between the processes of an installation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Channel(Protocol):
    """Messages between the processes of an installation. Best effort: who listens late or is away misses them."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Hand on; never blocks, never fails. The sender hears it not."""
        ...

    def listen(self, topic: str, hear: Callable[[bytes], None]) -> Callable[[], None]:
        """Hear what others publish on a topic; the answer undoes it."""
        ...

    def on_gap(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Hear when messages may have been missed (reconnected); the answer undoes it."""
        ...
