"""Answers in pieces: server-sent events that are written as they come, and rows that are never held whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from starlette.types import Receive, Scope, Send

KEEP_ALIVE_S: Final = 15.0
KEEP_ALIVE: Final = b": keep-alive\n\n"
_HEADERS: Final = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
_NDJSON: Final = "application/x-ndjson"


def event(name: str, data: Mapping[str, object]) -> bytes:
    """One event on the wire."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))


class EventStream:
    """An answer that goes on until `play` ends or the client goes.

    Args:
        play: given the request's `receive`, yields bytes; it is closed in every case.
    """

    def __init__(self, play: Callable[[Receive], AsyncGenerator[bytes, None]]) -> None:
        self._play = play

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        pieces = self._play(receive)
        try:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except (ClientDisconnect, OSError):
            return
        finally:
            await pieces.aclose()


class RowStream:
    """An answer of many lines.

    Args:
        pieces: whole lines, some at a time; closed in every case.
        media: their type.
        file: the name under which a browser would keep it.
    """

    def __init__(self, pieces: AsyncGenerator[bytes, None], media: str = _NDJSON, file: str | None = None) -> None:
        self._pieces = pieces
        self._headers = [(b"content-type", media.encode())]
        if file is not None:
            self._headers.append((b"content-disposition", f'attachment; filename="{file}"'.encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        try:
            async for piece in self._pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except (ClientDisconnect, OSError):
            return
        finally:
            await self._pieces.aclose()
