"""Malformed HTTP: what a proxy before us might read another way is refused, and nothing is smuggled through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.security.wire import AUTH, request, spoken

if TYPE_CHECKING:
    from tests.live import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
TASK = b'{"model": "m", "input": "smuggled"}'
JSON = "Content-Type: application/json"
HIDDEN = b"GET /api/v1/tasks/counts HTTP/1.1\r\nHost: x\r\n" + AUTH + b"\r\n"


def post(*headers: bytes, body: bytes = b"") -> bytes:
    lines = [b"POST /api/v1/tasks HTTP/1.1", b"Host: x", b"Content-Type: application/json", *headers, b""]
    return b"\r\n".join(lines) + AUTH + b"\r\n" + body


SMUGGLED = {
    "length and chunks": post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: %d" % len(HIDDEN), body=HIDDEN),
    "a list of lengths": post(b"Content-Length: 0, %d" % len(HIDDEN), body=HIDDEN),
    "a signed length": post(b"Content-Length: +%d" % len(TASK), body=TASK),
    "a negative length": post(b"Content-Length: -1", body=TASK),
    "a length in hex": post(b"Content-Length: 0x23", body=TASK),
    "a length beyond all": post(b"Content-Length: " + b"9" * 40, body=TASK),
    "an odd coding": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + HIDDEN),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + HIDDEN),
    "a blank before the colon": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + HIDDEN),
    "a folded header": post(b"X-Odd: a\r\n Content-Length: 5", b"Content-Length: %d" % len(TASK), body=TASK),
    "a bare line feed": post(b"X-Odd: a\nTransfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n" + HIDDEN),
    "a bare carriage return": post(b"X-Odd: a\rContent-Length: 5", b"Content-Length: %d" % len(TASK), body=TASK),
    "a NUL in a header": post(b"X-Odd: a\0b", b"Content-Length: %d" % len(TASK), body=TASK),
    "a chunk's size that is none": post(b"Transfer-Encoding: chunked", body=b"zz\r\n" + TASK + b"\r\n0\r\n\r\n"),
    "a chunk's size beyond all": post(b"Transfer-Encoding: chunked", body=b"f" * 40 + b"\r\n" + TASK),
    "a chunk that is longer than it says": post(b"Transfer-Encoding: chunked", body=b"2\r\n{}xx" + HIDDEN),
    "no version": b"GET /api/v1/tasks\r\n" + AUTH + b"\r\n",
    "an odd version": b"GET /api/v1/tasks HTTP/9.9\r\nHost: x\r\n" + AUTH + b"\r\n",
    "a method that is none": b"G@T /api/v1/tasks HTTP/1.1\r\nHost: x\r\n" + AUTH + b"\r\n",
    "blanks in the path": b"GET /api/v1/ta sks HTTP/1.1\r\nHost: x\r\n" + AUTH + b"\r\n",
    "TLS to a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "noise": bytes(range(256)) * 8 + b"\r\n\r\n",
}


@pytest.mark.parametrize("what", SMUGGLED)
def test_what_is_ambiguous_gets_one_answer_and_no_second_request_through(live: Server, what: str) -> None:
    before = sum(live.counts().values())

    heard = spoken(live.port, SMUGGLED[what])

    # HTTP/0.9 has one reading, too; nothing may follow it.
    assert heard.statuses == ([200] if what == "no version" else [400]), heard.data
    assert heard.is_closed
    assert b'"counts"' not in heard.data, "the hidden request was answered"
    assert sum(live.counts().values()) == before


def test_requests_that_follow_one_another_are_each_answered(live: Server) -> None:
    """So that the test above means something: the hidden request would be answered if it were let through."""
    assert b'"counts"' in spoken(live.port, HIDDEN + HIDDEN).data


@pytest.mark.parametrize(
    ("what", "sent"),
    [
        ("one header of 100 KB", request("GET", "/api/v1/tasks", "X-Odd: " + "a" * 100_000)),
        ("20 000 headers", request("GET", "/api/v1/tasks", *(f"X-{n}: a" for n in range(20_000)))),
        ("an address of 100 KB", request("GET", "/api/v1/tasks?q=" + "a" * 100_000)),
        ("an address of 1 MB", request("GET", "/" + "a" * 1_000_000)),
        ("10 000 query parameters", request("GET", "/api/v1/tasks?" + "&".join(f"a{n}=1" for n in range(10_000)))),
        ("a cookie of 64 KB", request("GET", "/api/v1/tasks", "Cookie: a=" + "b" * 65_536)),
        ("a key of 64 KB", request("GET", "/api/v1/tasks", "X-API-Key: " + "k" * 65_536)),
    ],
)
def test_what_is_huge_is_answered_or_cut_off_and_costs_nobody_else(live: Server, what: str, sent: bytes) -> None:
    heard = spoken(live.port, sent)

    assert all(status < 500 for status in heard.statuses), (what, heard.data[:300])
    assert len(heard.data) < 50_000, "nothing of it is sent back at length"
    assert live.http.get("/api/v1/tasks").status_code == 200


CLIMBING = [
    "/../../etc/passwd", "/docs/../../../etc/passwd", "/docs/%2e%2e/%2e%2e/etc/passwd", "/%2e%2e%2f%2e%2e%2fetc/passwd",
    "/..%5c..%5cetc%5cpasswd", "//etc/passwd", "/static/../../api-key", "/assets/..%2f..%2fapi-key", "/api-key",
    "/llm-scheduler.db", "/.env", "/.git/config", "/server.log", "/docs/..;/api/v1/tasks", "/%00/etc/passwd",
    "/api/v1/models/..%2f..%2f..%2fetc%2fpasswd", "/api/v1/models/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/api/v1/tasks/..%2f..%2fmodels", "/api/v1/budgets/../../../etc/passwd", "http://127.0.0.1/etc/passwd", "*",
    "/api/v1/models/m/endpoints/..%2f..%2f", "/API/V1/TASKS", "/api/v1//tasks", "/api/v1/tasks/", "/api/v1/./tasks",
]  # fmt: skip


@pytest.mark.parametrize("path", CLIMBING)
def test_no_path_climbs(live: Server, path: str) -> None:
    heard = spoken(live.port, request("GET", path, "Connection: close"))

    assert heard.statuses
    assert heard.statuses[0] in (400, 404, 405), heard.data[:300]
    for secret in (b"root:x:0:0", b"SQLite format", b"[core]"):
        assert secret not in heard.data


@pytest.mark.parametrize("path", CLIMBING)
def test_no_path_is_another_way_past_the_key(live: Server, path: str) -> None:
    """As `/docs/../api/v1/tasks` would be, were open paths judged before they are made plain."""
    for form in (path, f"/healthz/..{path}", f"/docs/%2e%2e{path}", f"/docs;{path}"):
        sent = f"GET {form} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode("latin-1")
        heard = spoken(live.port, sent)
        assert heard.statuses[0] in (400, 401, 404, 405), heard.data[:300]
        assert b'"items"' not in heard.data


def test_a_body_that_never_ends_holds_nobody_up(live: Server) -> None:
    """Fifty connections that announce a body and send nothing of it."""
    import socket

    lines = [socket.create_connection(("127.0.0.1", live.port)) for _ in range(50)]
    try:
        for line in lines:
            line.sendall(post(b"Content-Length: 1000"))
        assert live.http.get("/api/v1/tasks").status_code == 200
        assert live.call("POST", "/api/v1/tasks", {"model": "m", "input": "Hi"})["id"]
    finally:
        for line in lines:
            line.close()


def test_slow_headers_are_cut_off(live: Server) -> None:
    heard = spoken(live.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", quiet_s=60, within_s=90)

    assert heard.is_closed
