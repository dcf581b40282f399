"""Answers: JSON bytes with as little ceremony as possible, and times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from llm_scheduler.domain.ids import Millis

_JSON: Final = (b"content-type", b"application/json")


class Answer:
    """A whole body, sent in one go. An ASGI application, like any Starlette response."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(
        self, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = (), media: bytes | None = None
    ) -> None:
        self._status, self._body = status, body
        kind = _JSON if media is None else (b"content-type", media)
        self._headers = [kind, (b"content-length", b"%d" % len(body)), *headers]

    @property
    def status(self) -> int:
        """HTTP status."""
        return self._status

    @property
    def body(self) -> bytes:
        """What is sent."""
        return self._body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


class Nothing:
    """204: done, and there is nothing to say."""

    __slots__ = ("_headers",)

    def __init__(self, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self._headers = [*headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": 204, "headers": self._headers})
        await send({"type": "http.response.body", "body": b""})


def json_answer(value: Mapping[str, object], status: int = 200, location: str | None = None) -> Answer:
    """The value as JSON; `location` names what was made."""
    headers = ((b"location", location.encode()),) if location else ()
    return Answer(status, orjson.dumps(value), headers)


@lru_cache(maxsize=4096)
def _second(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def stamp(at: Millis) -> str:
    """RFC 3339 in UTC with milliseconds."""
    seconds, millis = divmod(at, 1000)
    return f"{_second(seconds)}.{millis:03d}Z"


def maybe_stamp(at: Millis | None) -> str | None:
    """RFC 3339, or nothing."""
    return None if at is None else stamp(at)
