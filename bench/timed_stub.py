"""A provider whose calls take as long as their prompts say: `svc=SECONDS in=TOKENS out=TOKENS ` at the beginning.

Run as a program it prints its port and serves until its stdin closes.
"""

from __future__ import annotations

import asyncio
import re
import sys

_WORD = re.compile(rb"svc=([0-9.]+) in=([0-9]+) out=([0-9]+) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_ANSWER = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}'
)


class Timed(asyncio.Protocol):
    """One connection: a request, its time, its answer, the next request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or length is None or len(body) < int(length[1]):
            return
        self._buffer = b""
        word = _WORD.search(body)
        assert word is not None, body[:300]
        answer = _ANSWER % (int(word[2]), int(word[3]))
        asyncio.get_running_loop().call_later(float(word[1]), self._answer, answer)

    def _answer(self, body: bytes) -> None:
        if not self._transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            self._transport.write(head % len(body) + body)


async def main() -> None:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(Timed, "127.0.0.1", 0, backlog=4096)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    listener.close()


if __name__ == "__main__":
    asyncio.run(main())
