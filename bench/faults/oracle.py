"""The provider as a witness: an OpenAI server that appends every call and every end to a ledger of its own.

    python -m bench.faults.oracle --ledger FILE --port 0

The first line that it prints is its port. A prompt names its task and how long the call takes:
`task 17 takes 250 ms`; the answer names task and call. The ledger's lines, times in milliseconds of the
machine's monotonic clock:

    call SERIAL TASK MODEL AT OPEN      it arrived; so many calls of the model are open with it
    end SERIAL AT HOW TOKENS            ok, gone (the client left), or the misbehaviour that was played

`POST /oracle/play` takes shares of calls that misbehave: {"429": 0.3, "hang": 0.1, "retry_after_s": 1, "seed": 7}.
`GET /oracle/stats` gives counts after the ledger has been flushed.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import orjson
import uvloop

PROMPT = re.compile(r"task (\d+) takes (\d+) ms")
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
PLAYS = ("429", "500", "hang", "slow", "cut", "garbage")
SLOW_S = 0.2
"""Between the pieces of a slow stream."""


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def head(status: str, kind: str, extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{extra}".encode()


def sized(status: str, body: bytes, extra: str = "") -> bytes:
    return head(status, "application/json", f"{extra}content-length: {len(body)}\r\n\r\n") + body


def piece(value: object) -> bytes:
    event = b"data: " + (value if isinstance(value, bytes) else orjson.dumps(value)) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


class Witness:
    """What was called, and what is open.

    Lines are written when everything that came in the same turn of the loop is known: a client that left
    before the next one called must not count because its goodbye was read after that call.
    """

    def __init__(self, ledger: Path) -> None:
        self.file = ledger.open("a", buffering=1 << 16)
        self.serial = 0
        self.open: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.calls: set[int] = set()
        self.ended = 0
        self.shares: dict[str, float] = {}
        self.retry_after_s = 1.0
        self.rng = Random(0)

    def arrive(self, task: int, model: str) -> int:
        self.serial += 1
        self.open[model] += 1
        self.calls.add(task)
        asyncio.get_running_loop().call_soon(self._write_call, self.serial, task, model, now_ms())
        return self.serial

    def _write_call(self, serial: int, task: int, model: str, at_ms: int) -> None:
        self.most[model] = max(self.most[model], self.open[model])
        self.file.write(f"call {serial} {task} {model} {at_ms} {self.open[model]}\n")

    def end(self, serial: int, model: str, how: str, tokens: int) -> None:
        self.open[model] -= 1
        self.ended += 1
        line = f"end {serial} {now_ms()} {how} {tokens}\n"
        asyncio.get_running_loop().call_soon(self.file.write, line)

    def play(self, body: dict[str, Any]) -> None:
        self.shares = {name: float(body[name]) for name in PLAYS if name in body}
        self.retry_after_s = float(body.get("retry_after_s", 1.0))
        self.rng = Random(body.get("seed", 0))

    def draw(self) -> str:
        left = self.rng.random() if self.shares else 1.0
        for name, share in self.shares.items():
            left -= share
            if left < 0:
                return name
        return "ok"

    def stats(self) -> dict[str, Any]:
        self.file.flush()
        return {
            "calls": self.serial,
            "tasks": len(self.calls),
            "ended": self.ended,
            "open": +self.open,
            "most": self.most,
            "now_ms": now_ms(),
        }


class Conversation(asyncio.Protocol):
    """One connection, one request at a time."""

    transport: asyncio.Transport

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.buffer = b""
        self.timer: asyncio.TimerHandle | None = None
        self.running: tuple[int, str, str] | None = None
        self.tokens = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # pyright: ignore[reportAttributeAccessIssue]

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.running is not None:
            how = self.running[2]
            self.finish("gone" if how in ("ok", "slow") else how)

    def finish(self, how: str) -> None:
        assert self.running is not None
        serial, model, _ = self.running
        self.running = self.timer = None
        self.witness.end(serial, model, how, self.tokens)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        found = LENGTH.search(self.buffer, 0, end + 2)
        size = int(found[1]) if found else 0
        if len(self.buffer) < end + 4 + size:
            return
        line = self.buffer[: self.buffer.index(b"\r\n")].split(b" ")
        body = self.buffer[end + 4 : end + 4 + size]
        self.buffer = b""
        if line[1].startswith(b"/oracle/"):
            if line[1] == b"/oracle/play":
                self.witness.play(orjson.loads(body))
            self.transport.write(sized("200 OK", orjson.dumps(self.witness.stats())))
            return
        self.called(orjson.loads(body))

    def called(self, body: dict[str, Any]) -> None:
        prompt = body["messages"][-1]["content"]
        found = PROMPT.search(prompt)
        task, takes_ms = (int(found[1]), int(found[2])) if found else (0, 0)
        model, how = body["model"], self.witness.draw()
        serial = self.witness.arrive(task, model)
        self.running = (serial, model, how)
        self.tokens = len(prompt.split()) + 8
        loop = asyncio.get_running_loop()
        match how:
            case "429":
                wait = f"retry-after-ms: {int(self.witness.retry_after_s * 1000)}\r\n"
                self.refuse("429 Too Many Requests", "Rate limit reached", wait)
            case "500":
                self.refuse("500 Internal Server Error", "The server had an error")
            case "hang":
                self.tokens = 0
            case "garbage":
                self.transport.write(sized("200 OK", b"\x00\xff no JSON"))
                self.tokens = 0
                self.finish(how)
            case _:
                answer = _Answer(model, f"task {task} call {serial}", len(prompt.split()), bool(body.get("stream")))
                takes_s = takes_ms / 1000
                if how == "slow":
                    self.transport.write(answer.begin)
                    takes_s += SLOW_S
                self.timer = loop.call_later(takes_s, self.say, answer, how)

    def refuse(self, status: str, message: str, extra: str = "") -> None:
        assert self.running is not None
        self.transport.write(sized(status, orjson.dumps({"error": {"message": message, "code": None}}), extra))
        self.tokens = 0
        self.finish(self.running[2])

    def say(self, answer: _Answer, how: str) -> None:
        if how == "cut":
            self.transport.write(answer.begin)
            self.tokens = 0
            self.finish(how)
            self.transport.close()
            return
        self.transport.write(answer.rest if how == "slow" else answer.begin + answer.rest)
        self.finish("ok")


class _Answer:
    """An answer in two parts, streamed or whole."""

    def __init__(self, model: str, text: str, prompt_tokens: int, is_stream: bool) -> None:
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 8, "total_tokens": prompt_tokens + 8}
        common = {"id": "oracle", "created": 0, "model": model}
        if not is_stream:
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            whole = orjson.dumps({**common, "object": "chat.completion", "choices": [choice], "usage": usage})
            self.begin, self.rest = b"", sized("200 OK", whole)
            return
        chunk = {**common, "object": "chat.completion.chunk"}
        first = {"index": 0, "delta": {"role": "assistant", "content": text[:5]}, "finish_reason": None}
        last = {"index": 0, "delta": {"content": text[5:]}, "finish_reason": "stop"}
        self.begin = head("200 OK", "text/event-stream", "transfer-encoding: chunked\r\n\r\n")
        self.begin += piece({**chunk, "choices": [first]})
        counted = {**chunk, "choices": [], "usage": usage}
        self.rest = piece({**chunk, "choices": [last]}) + piece(counted) + piece(b"[DONE]") + b"0\r\n\r\n"


async def serve(options: argparse.Namespace) -> None:
    witness = Witness(Path(options.ledger))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(witness), "127.0.0.1", options.port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--port", type=int, default=0)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
