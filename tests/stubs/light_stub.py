"""The cheapest server that a client takes for OpenAI: for measuring everything but the server.

    python -m tests.stubs.light_stub --port 0 [--chunks 3] [--delay-ms 0] [--rpm N]

The first line that it prints is its port. Every POST gets the same answer, streamed if the body says
`"stream":true`, in one write. `GET /stub/stats` counts.
"""

from __future__ import annotations

import argparse
import asyncio
import re

import orjson
import uvloop

from tests.stubs import openai_wire
from tests.stubs.accounts import Accounts
from tests.stubs.canned import CANNED
from tests.stubs.openai_wire import Reply

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream" *: *true')


def _head(status: bytes, kind: bytes, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\ncontent-type: " + kind + b"\r\n" + extra


def _sized(status: bytes, kind: bytes, body: bytes, extra: bytes = b"") -> bytes:
    return _head(status, kind, extra + b"content-length: %d\r\n\r\n" % len(body)) + body


class Answers:
    """The two answers, ready to be sent."""

    def __init__(self, chunks: int, accounts: Accounts, delay_s: float) -> None:
        reply = Reply(["word "] * chunks, 9, "stop")
        body = {"model": "light", "stream_options": {"include_usage": True}}
        events = [*map(openai_wire.sse, openai_wire.chunks("chat", body, reply)), b"data: [DONE]\n\n"]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + b"0\r\n\r\n"
        self.stream = _head(b"200 OK", b"text/event-stream", b"transfer-encoding: chunked\r\n\r\n") + framed
        self.whole = _sized(b"200 OK", b"application/json", orjson.dumps(openai_wire.whole("chat", body, reply)))
        self.tokens = reply.tokens
        self.accounts = accounts
        self.delay_s = delay_s

    def over_limit(self, wait_s: float) -> bytes:
        extra = b"retry-after-ms: %d\r\n" % (int(wait_s * 1000) + 1)
        return _sized(b"429 Too Many Requests", b"application/json", CANNED["429"].body, extra)


class LightProtocol(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.accounts = answers.accounts
        self.buffer = b""
        self.pending: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # pyright: ignore[reportAttributeAccessIssue]
        self.accounts.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self.pending is not None:
            self.pending.cancel()
            self.accounts.aborted += 1
            self.accounts.end()

    def data_received(self, data: bytes) -> None:
        self.buffer = data = self.buffer + data if self.buffer else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        if data.startswith(b"GET"):
            self.buffer = b""
            self.transport.write(_sized(b"200 OK", b"application/json", orjson.dumps(self.accounts.stats())))
            return
        found = _LENGTH.search(data, 0, end)
        if len(data) < end + 4 + (int(found[1]) if found else 0):
            return
        self.buffer = b""
        wait_s = self.accounts.arrive(self.answers.tokens)
        if wait_s is not None:
            self.transport.write(self.answers.over_limit(wait_s))
            return
        self.accounts.begin()
        answer = self.answers.stream if _STREAM.search(data, end) else self.answers.whole
        if self.answers.delay_s:
            loop = asyncio.get_running_loop()
            self.pending = loop.call_later(self.answers.delay_s, self._finish, answer)
        else:
            self._finish(answer)

    def _finish(self, answer: bytes) -> None:
        self.pending = None
        self.transport.write(answer)
        self.accounts.end()


async def serve(options: argparse.Namespace) -> None:
    answers = Answers(options.chunks, Accounts(options.rpm), options.delay_ms / 1000)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: LightProtocol(answers), options.host, options.port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--chunks", type=int, default=3)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--rpm", type=int)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
