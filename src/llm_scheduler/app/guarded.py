"""uvicorn's protocol of one connection, within bounds (see `connections`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llm_scheduler.app.connections import LEAST_BYTES_S

if TYPE_CHECKING:
    import asyncio

    from llm_scheduler.app.connections import Bounds

_log = structlog.get_logger(__name__)
_ANSWERS: Final = {
    408: b"Request Timeout",
    414: b"URI Too Long",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


def guarded_protocol(bounds: Bounds) -> type[GuardedProtocol]:
    """The class of connections within these bounds."""
    return type("BoundProtocol", (GuardedProtocol,), {"bounds": bounds})


class GuardedProtocol(HttpToolsProtocol):
    """One connection, within the bounds of its class."""

    bounds: Bounds
    _is_in_head = _is_in_body = False
    """Of the request that arrives now."""
    _address = ""
    _owes_since_s: float | None = None
    """Since when a head or a body is awaited; None = nothing is."""
    _paused_since_s: float | None = None
    """Since when the peer takes nothing of what is sent."""
    _taken = 0
    """Bytes of the head or body that arrived."""
    _arrived = 0
    """Of them with the last piece."""
    _has_ended = False
    """Whether a request ended within the last piece: those that are sent one behind the other come together."""
    _is_uncounted = False
    """Whether the head's first bytes came with another request's last ones, so that nobody knows how many they are."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take it, or refuse it."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        status = self.bounds.enter(self, self._address)
        if status:
            self.refuse(status)
        self._owes_since_s = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.bounds.leave(self, self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and note what is still owed."""
        if self.transport.is_closing():
            return
        was_in_body, self._arrived, self._has_ended = self._is_in_body, len(data), False
        super().data_received(data)
        self._is_uncounted = self._is_in_head and (self._has_ended or self._is_uncounted)
        if self.transport.is_closing():
            return
        if self._is_in_head or self._is_in_body:
            if self._owes_since_s is None or self._is_in_body != was_in_body:
                self._owes_since_s, self._taken = self.loop.time(), 0
            if not (self._is_in_head and self._has_ended):
                self._taken += len(data)
            if self._is_in_head and self._taken > self.bounds.header_bytes:
                self.refuse(431)
            elif self._is_in_body and self.scope["path"] in self.bounds.streamed:
                self._owes_since_s, self._taken = self.loop.time(), 0
        elif self.cycle is None or self.cycle.response_complete:
            # Bytes that begin no request: they are no reason to wait longer, and uvicorn waits without end.
            if self._owes_since_s is None:
                self._owes_since_s = self.loop.time()
        else:
            self._owes_since_s = None

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._is_in_head, self._is_in_body = False, True
        if self.transport.is_closing():
            return
        if len(self.url) > self.bounds.url_bytes:
            self.refuse(414)
        elif len(self.headers) > self.bounds.headers or self._is_head_large():
            self.refuse(431)
        else:
            super().on_headers_complete()

    def _is_head_large(self) -> bool:
        if not self._is_uncounted and self._taken + self._arrived <= self.bounds.header_bytes:
            return False  # no more than that came at all
        return sum(len(name) + len(value) for name, value in self.headers) > self.bounds.header_bytes

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._is_in_body = False
        self._has_ended = True
        self._owes_since_s = None
        if not self.transport.is_closing():
            super().on_message_complete()

    def pause_writing(self) -> None:
        """The peer takes nothing more for now."""
        super().pause_writing()
        self._paused_since_s = self.loop.time()

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._paused_since_s = None

    def is_late(self, now_s: float) -> bool:
        """Whether it owes something for too long."""
        if self._paused_since_s is not None and now_s - self._paused_since_s > self.bounds.body_s:
            return True
        if self._owes_since_s is None:
            return False
        owes_s = now_s - self._owes_since_s
        if self.flow.read_paused:
            # We do not read: the time is ours.
            self._owes_since_s, self._taken = now_s, 0
            return False
        if not self._is_in_body:
            return owes_s > self.bounds.header_s
        return owes_s > self.bounds.body_s + self._taken / LEAST_BYTES_S

    def refuse(self, status: int) -> None:
        """Say why, and close. Half an answer is only cut."""
        if self.transport.is_closing():
            return
        self.bounds.refused[status] += 1
        _log.info("connection_refused", status=status, address=self._address)
        is_answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if is_answering or self._paused_since_s is not None:
            self.transport.abort()
            return
        words = _ANSWERS[status]
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (status, words, len(words), words)
        )
        self.transport.close()
