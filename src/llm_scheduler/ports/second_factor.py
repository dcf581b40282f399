"""One-time codes by time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import Millis


class OneTimeCodes(Protocol):
    """What an authenticator app shows, as the server computes it."""

    def new_secret(self) -> str:
        """What server and app share, as people can type it."""
        ...

    def uri(self, secret: str, username: str) -> str:
        """What an app reads from a picture."""
        ...

    def step(self, secret: str, code: str, now: Millis) -> int | None:
        """Which step of time the code belongs to, a neighbour of the present one at most; None: it is wrong."""
        ...
