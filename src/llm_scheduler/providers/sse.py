"""Server-sent events out of bytes, wherever the network cut them.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """One event: `data` lines joined by newlines, and the event's name (empty if it has none)."""

    data: bytes
    name: bytes = b""


class EventReader:
    """Gathers bytes and gives events as soon as they are whole.

    Line ends may be LF, CRLF or CR; comments and unknown fields are skipped. Work grows with the
    number of bytes, also for an event that trickles in.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of the event not yet whole; line ends are LF
        self._has_cr = False  # a CR was the last byte: a LF may follow and belong to it
        self._is_start = True

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        data = self._with_plain_ends(data)
        if not data:
            return []
        parts = self._parts
        straddles = data[0] == 10 and parts and parts[-1][-1] == 10
        if b"\n\n" not in data and not straddles:
            parts.append(data)
            return []
        if parts:
            parts.append(data)
            data = b"".join(parts)
            parts.clear()
        blocks = data.split(b"\n\n")
        rest = blocks.pop()
        if rest:
            parts.append(rest)
        return [event for block in blocks if (event := self._event(block)) is not None]

    def close(self) -> Event | None:
        """The last event if the blank line behind it never came."""
        block = b"".join(self._parts)
        self._parts.clear()
        self._has_cr = False
        return self._event(block)

    def _with_plain_ends(self, data: bytes) -> bytes:
        if self._has_cr:
            data = b"\r" + data
            self._has_cr = False
        if b"\r" not in data:
            return data
        if data.endswith(b"\r"):
            self._has_cr = True
            data = data[:-1]
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _event(self, block: bytes) -> Event | None:
        if self._is_start:
            block = block.removeprefix(b"\xef\xbb\xbf")
            self._is_start = False
        if b"\n" not in block and block.startswith(b"data: "):  # nearly always
            return Event(block[6:])
        data: list[bytes] = []
        name = b""
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
        return Event(b"\n".join(data), name) if data else None
