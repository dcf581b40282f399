"""The light stub, which also knows each job by the number in its prompt ("job 17 …").

    python -m bench.peers.provider [--delay-ms 50]

Beside `POST`, `GET /peers/arrived/N` answers when N jobs have arrived, `GET /peers/answered/N` when N were
answered, both with the ledger. Instants are nanoseconds of the machine's monotonic clock, which Python and
Node share.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time

import orjson
import uvloop
from tests.stubs.accounts import Accounts
from tests.stubs.light_stub import Answers, LightProtocol

_NUMBER = re.compile(rb"job (\d+)")
_WAIT = re.compile(rb"GET /peers/(arrived|answered)/(\d+) ")


class Ledger(Accounts):
    """The stub's accounts, and for each job when it first arrived and was first answered.

    A second call of a job counts in `calls` only, so that it moves no instant.
    """

    def __init__(self) -> None:
        super().__init__()
        self.current: tuple[bytes, int] = (b"", 0)
        """Number and instant of the request that is being taken; `begin` follows when it is whole."""
        self.seen: dict[str, set[bytes]] = {"arrived": set(), "answered": set()}
        self.first_ns = self.last_arrival_ns = self.last_answer_ns = 0
        self._waiting: list[tuple[str, int, asyncio.Transport]] = []

    def begin(self) -> None:
        """A whole request is there."""
        super().begin()
        number, at_ns = self.current
        if self._is_first("arrived", number):
            self.first_ns = self.first_ns or at_ns
            self.last_arrival_ns = at_ns
            self._tell_due()

    def answered(self, number: bytes) -> None:
        """An answer was sent."""
        if self._is_first("answered", number):
            self.last_answer_ns = time.monotonic_ns()
            self._tell_due()

    def wait(self, kind: str, count: int, transport: asyncio.Transport) -> None:
        """Answer this connection when so many jobs have come so far."""
        self._waiting.append((kind, count, transport))
        self._tell_due()

    def _is_first(self, kind: str, number: bytes) -> bool:
        seen = self.seen[kind]
        before = len(seen)
        seen.add(number)
        return len(seen) > before

    def _tell_due(self) -> None:
        for waiting in [one for one in self._waiting if len(self.seen[one[0]]) >= one[1]]:
            self._waiting.remove(waiting)
            self._tell(waiting[2])

    def _tell(self, transport: asyncio.Transport) -> None:
        instants = {"first": self.first_ns, "last_arrival": self.last_arrival_ns, "last_answer": self.last_answer_ns}
        counts = {"calls": self.calls, **{kind: len(seen) for kind, seen in self.seen.items()}}
        body = orjson.dumps(counts | {f"{name}_ns": at_ns for name, at_ns in instants.items()})
        transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


class CountingProtocol(LightProtocol):
    """The stub's connection, with a ledger."""

    def __init__(self, answers: Answers, ledger: Ledger) -> None:
        super().__init__(answers)
        self._ledger = ledger
        self._number: bytes = b""

    def data_received(self, data: bytes) -> None:
        asked = _WAIT.match(data)
        if asked is not None:
            self._ledger.wait(asked[1].decode(), int(asked[2]), self.transport)
            return
        at_ns = time.monotonic_ns()
        found = _NUMBER.search(self.buffer + data)
        self._number = found[1] if found else b""
        self._ledger.current = self._number, at_ns
        super().data_received(data)

    def _finish(self, answer: bytes) -> None:
        super()._finish(answer)
        self._ledger.answered(self._number)


async def serve(options: argparse.Namespace) -> None:
    ledger = Ledger()
    answers = Answers(3, ledger, options.delay_ms / 1000)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: CountingProtocol(answers, ledger), "127.0.0.1", options.port, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
