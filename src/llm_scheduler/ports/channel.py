"""Messages between the processes of one installation: hints that save waiting, never the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Channel(Protocol):
    """Messages between the processes of an installation. Best effort: who listens late or is away misses them."""

    async def open(self) -> None:
        """Begin; answers at once, also while nothing can be sent."""
        ...

    async def close(self) -> None:
        """Stop within a second, also while the other side is away."""
        ...

    def publish(self, topic: str, payload: bytes) -> None:
        """Send to the other processes; never blocks, never fails. The sender does not hear it.

        Messages of one sender arrive in the order of sending, whatever their topics.
        """
        ...

    def listen(self, topic: str, hear: Callable[[bytes], None]) -> Callable[[], None]:
        """Hear what others publish on the topic from about now on; the answer ends it.

        `hear` is called in the event loop and must be quick; what it raises is logged.
        """
        ...

    def on_gap(self, hear: Callable[[], None]) -> Callable[[], None]:
        """Be told when messages may have been missed; the answer ends it.

        That is after every connection, the first one included, and when a sender's messages do not follow
        one another.
        """
        ...
