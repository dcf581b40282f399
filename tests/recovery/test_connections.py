"""Raw sockets against a real server: what callers do that are slow, endless or many."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.live import KEY, Server, server, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)
SLOW = 300
HEAD = b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-API-Key: " + KEY.encode()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits 2 s for heads and bodies."""
    with server(
        tmp_path_factory.mktemp("live"), header_timeout_s="2", body_timeout_s="2", max_connections_per_address="500"
    ) as running:
        running.add_model()
        yield running


def connected(it: Server, first: bytes = b"") -> socket.socket:
    made = socket.create_connection(("127.0.0.1", it.port), timeout=20)
    made.sendall(first)
    return made


def answer(connection: socket.socket) -> bytes:
    """Everything until the server closes; a reset ends it too."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            said += piece
    return said


def one_answer(connection: socket.socket) -> bytes:
    """One answer in JSON, which may come in pieces."""
    said = b""
    while not said.endswith(b"}"):
        piece = connection.recv(65_536)
        assert piece, said
        said += piece
    return said


def status(said: bytes) -> int:
    return int(said.split(b" ", 2)[1]) if said.startswith(b"HTTP/1.1 ") else 0


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has let go of it (without waiting)."""
    readable, _, _ = select.select([connection], [], [], 0)
    if not readable:
        return False
    with contextlib.suppress(ConnectionError):
        return connection.recv(65_536) == b""
    return True


def test_hundreds_of_slow_connections_stop_nobody(live: Server) -> None:
    """Each sends a byte now and then for as long as it is let; others are served all the while."""
    slow = [connected(live, b"GET /healthz HTTP/1.1\r\nX-A: ") for _ in range(SLOW)]
    took: list[float] = []
    until = time.monotonic() + 30
    while slow and time.monotonic() < until:
        for connection in list(slow):
            with contextlib.suppress(OSError):
                connection.send(b"a")
            if is_closed(connection):
                connection.close()
                slow.remove(connection)
        began = time.monotonic()
        assert live.http.get("/api/v1/tasks", timeout=10).status_code == 200
        took.append(time.monotonic() - began)

    left = len(slow)
    for connection in slow:
        connection.close()
    assert not left, f"{left} of {SLOW} are still open"
    assert sorted(took)[len(took) // 2] < 2


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"\r\n",
        b"GET /healthz HTTP/1.1\r\n",
        HEAD + b"\r\nContent-Length: 100\r\n\r\n{",
        HEAD + b'\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"mod',
        HEAD.replace(b"/tasks ", b"/tasks/bulk ").replace(b"application/json", b"application/x-ndjson")
        + b'\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"mod',
    ],
    ids=["nothing", "an empty line", "half a head", "half a body", "half a chunked body", "half a stream"],
)
def test_who_does_not_go_on_is_cut(live: Server, begun: bytes) -> None:
    with connected(live, begun) as connection:
        said = answer(connection)

    assert status(said) in (0, 408)


def test_an_idle_connection_that_was_used_is_kept(live: Server) -> None:
    """Longer than a head may take: the next request is not due."""
    with connected(live, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        assert status(one_answer(connection)) == 200
        readable, _, _ = select.select([connection], [], [], 4)
        assert not readable
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status(one_answer(connection)) == 200


def test_a_body_that_comes_steadily_may_take_longer(live: Server) -> None:
    """A stream of pieces goes on for as long as each comes in time."""
    head = HEAD.replace(b"/tasks ", b"/tasks/bulk ").replace(b"application/json", b"application/x-ndjson")
    line = b'{"model": "m", "input": "x"}\n'
    piece = b"%x\r\n%b\r\n" % (len(line), line)
    with connected(live, head + b"\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n") as connection:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            connection.sendall(piece)
            select.select([connection], [], [], 0.3)
        connection.sendall(b"0\r\n\r\n")
        assert status(answer(connection)) in (200, 201, 202)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + (b"X-A: " + b"b" * 1_000 + b"\r\n") * 40 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nX-A: " + b"b" * 200_000, 431),
        (b"POST /api/v1/tasks HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX-A: a\nb: c\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    ],
    ids=[
        "a long path",
        "many headers",
        "large headers",
        "an endless header",
        "a huge length",
        "a bare newline",
        "two framings",
        "two lengths",
        "tls",
    ],
)
def test_heads_that_are_too_large_or_ambiguous_are_refused(live: Server, sent: bytes, expected: int) -> None:
    with connected(live) as connection:
        with contextlib.suppress(ConnectionError):  # it may be cut while we still send
            connection.sendall(sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        said = answer(connection)

    # A server that closes while we still send may take its words back with a reset.
    assert status(said) in (expected, 0)


def test_one_address_may_have_so_many_connections_and_no_more(tmp_path: Path) -> None:
    with server(tmp_path, max_connections_per_address="20") as it:
        it.http.close()
        held = [connected(it, b"GET /healthz HTTP/1.1\r\nX-A: ") for _ in range(20)]
        with connected(it, b"GET /healthz HTTP/1.1\r\n\r\n") as one_more:
            assert status(answer(one_more)) == 429
        for connection in held:
            connection.close()

        def is_served() -> bool:
            with contextlib.suppress(httpx2.HTTPError):
                return httpx2.get(f"http://127.0.0.1:{it.port}/healthz").status_code == 200
            return False

        wait_until("it is served again", is_served, 20)


def test_a_reader_who_takes_nothing_is_cut(live: Server) -> None:
    """Asking for the largest answer again and again without reading fills the buffers; then the time counts."""
    with connected(live) as connection:
        connection.settimeout(0.5)
        asked = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\nX-API-Key: " + KEY.encode() + b"\r\n\r\n"
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(2_000):
                connection.sendall(asked)

        def is_cut() -> bool:
            try:
                connection.sendall(b"x")
            except TimeoutError:
                return False
            except OSError:
                return True
            return False

        wait_until("it is cut", is_cut, 30, 0.3)
