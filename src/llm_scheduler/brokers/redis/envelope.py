"""What a message between processes is wrapped in: who sent it, and the how-manieth on its topic it is.

The number lets a listener notice that something between two messages was lost, wherever that happened: in a
full buffer, on a broken connection, between the nodes of a Cluster.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

_HEAD: Final = struct.Struct(">8sQ?")
_MOST_TOPICS: Final = 1_000
_MOST_SENDERS: Final = 4_000


class Envelope(NamedTuple):
    """A message as it arrived. An empty `payload` with `is_marker` only brings the count up to date."""

    sender: bytes
    number: int
    is_marker: bool
    payload: bytes


def read(message: bytes) -> Envelope | None:
    """The message unwrapped; None for bytes that are none of ours."""
    if len(message) < _HEAD.size:
        return None
    sender, number, is_marker = _HEAD.unpack_from(message)
    return Envelope(sender, number, is_marker, message[_HEAD.size :])


class Outgoing:
    """Numbers what this process sends, by topic."""

    def __init__(self, sender: bytes) -> None:
        self.sender = sender
        self._sent: dict[str, int] = {}

    def wrap(self, topic: str, payload: bytes, *, is_marker: bool = False) -> bytes:
        """The next message of the topic."""
        number = self._sent.pop(topic, 0) + 1
        # Last in the dict = used last; a topic that is pushed out begins again at 1, which is never taken for a loss.
        self._sent[topic] = number
        if len(self._sent) > _MOST_TOPICS:
            del self._sent[next(iter(self._sent))]
        return _HEAD.pack(self.sender, number, is_marker) + payload


class Incoming:
    """Knows the last number of every sender on one topic."""

    def __init__(self) -> None:
        self._last: dict[bytes, int] = {}

    def follows(self, sender: bytes, number: int) -> bool:
        """Whether nothing was lost since this sender's last message; so it is when nothing was heard of it before."""
        last = self._last.pop(sender, None)
        self._last[sender] = number
        if len(self._last) > _MOST_SENDERS:
            del self._last[next(iter(self._last))]
        return last is None or number in (last + 1, 1)

    def forget(self) -> None:
        """Begin anew: this process was away itself."""
        self._last.clear()
