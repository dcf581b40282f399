"""JSON that is meant to hurt, compressed bombs, and what is written into headers and logs."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.security.wire import request, spoken

if TYPE_CHECKING:
    from tests.live import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
JSON = {"Content-Type": "application/json"}
TASKS = "/api/v1/tasks"


def posted(live: Server, content: bytes, path: str = TASKS, **headers: str) -> httpx2.Response:
    return live.http.post(path, content=content, headers={**JSON, **headers}, timeout=60)


def with_input(text: bytes) -> bytes:
    return b'{"model": "m", "input": ' + text + b"}"


BOMBS: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "100 000 arrays in one another": (with_input(b"[" * 100_000 + b"]" * 100_000), (422,)),
    "100 000 objects in one another": (with_input(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), (422,)),
    "arrays that never close": (b"[" * 1_000_000, (422,)),
    "an integer of a million digits": (with_input(b'{"messages": [], "n": ' + b"9" * 1_000_000 + b"}"), (422,)),
    "an exponent beyond all": (with_input(b'{"messages": [], "n": 1e999999999}'), (422,)),
    "a tiny exponent": (b'{"model": "m", "input": "x", "timeout_s": 1e-999999999}', (422,)),
    "NaN": (b'{"model": "m", "input": "x", "timeout_s": NaN}', (422,)),
    "Infinity": (b'{"model": "m", "input": "x", "timeout_s": Infinity}', (422,)),
    "minus zero": (b'{"model": "m", "input": "x", "priority": -0}', (201, 422)),
    "a text of 9 MB": (with_input(b'"' + b"x" * 9_000_000 + b'"'), (201, 413, 422)),
    "a text of 11 MB": (with_input(b'"' + b"x" * 11_000_000 + b'"'), (413,)),
    "half a surrogate pair": (with_input(rb'"\ud800"'), (422,)),
    "a surrogate pair turned round": (with_input(rb'"\udc00\ud800"'), (422,)),
    "NUL": (with_input(rb'"a\u0000b"'), (422,)),
    "overlong UTF-8": (with_input(b'"\xc0\xaf"'), (422,)),
    "UTF-16": ('{"model": "m", "input": "x"}'.encode("utf-16"), (422,)),
    "UTF-7": (b'+AHsAIg-model+ACI-', (422,)),
    "a mark of byte order": (b'\xef\xbb\xbf{"model": "m", "input": "x"}', (201, 422)),
    "100 000 keys": (b"{" + b",".join(b'"k%d": 1' % n for n in range(100_000)) + b"}", (422,)),
    "a key of 1 MB": (b'{"' + b"k" * 1_000_000 + b'": 1}', (422,)),
    "keys that collide": (b"{" + b",".join(b'"%s": 1' % (b"\\u0061" * n) for n in range(1, 400)) + b"}", (422,)),
    "comments": (b'{"model": "m", /* x */ "input": "x"}', (422,)),
    "two values": (b'{"model": "m", "input": "x"}{"model": "m"}', (422,)),
    "__proto__": (b'{"model": "m", "input": "x", "__proto__": {"is_admin": true}}', (422,)),
    "__class__": (b'{"model": "m", "input": "x", "__class__": "x"}', (422,)),
}  # fmt: skip


@pytest.mark.parametrize("what", BOMBS)
def test_a_body_that_is_meant_to_hurt_is_refused(live: Server, what: str) -> None:
    content, statuses = BOMBS[what]

    answer = posted(live, content)

    assert answer.status_code in statuses, answer.text[:300]
    assert len(answer.content) < 100_000 or answer.status_code == 201
    assert live.http.get("/healthz").status_code == 200


def test_of_a_key_that_comes_twice_all_readers_see_the_same(live: Server) -> None:
    """A check that reads the first and a use that reads the last would be a way past it."""
    answer = posted(live, b'{"model": "gone", "input": "first", "model": "m", "input": "last"}')

    assert answer.status_code in (201, 422)
    if answer.status_code == 201:
        assert answer.json()["input"]["messages"][0]["content"] == "last"
        assert answer.json()["model"] == "m"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "compress", "odd"])
def test_a_compressed_body_is_not_unpacked(live: Server, coding: str) -> None:
    bomb = gzip.compress(b'{"model": "m", "input": "' + b"x" * 100_000_000 + b'"}')
    for path in (TASKS, "/api/v1/tasks/bulk", "/api/v1/prices/import"):
        answer = posted(live, bomb, path, **{"Content-Encoding": coding})
        assert answer.status_code == 415, answer.text[:200]


def test_a_bomb_that_hides_its_coding_is_no_json(live: Server) -> None:
    assert posted(live, zlib.compress(b"x" * 1_000_000)).status_code == 422


SPLIT = ["a\r\nSet-Cookie: x=1", "a\r\n\r\n<script>", "a\nX-Odd: 1", "a\rb", "a\0b", "é\u010d\u010a"]


@pytest.mark.parametrize("value", SPLIT)
def test_no_header_of_an_answer_is_written_by_the_caller(live: Server, value: str) -> None:
    raw = value.encode("utf-8").decode("latin-1")
    for name in ("X-Request-ID", "Idempotency-Key", "X-Tenant"):
        heard = spoken(live.port, request("GET", "/api/v1/models", f"{name}: {raw}", "Connection: close"))
        head = heard.data.partition(b"\r\n\r\n")[0].lower()
        assert b"set-cookie" not in head
        assert b"x-odd" not in head
        assert b"<script>" not in head


@pytest.mark.parametrize("value", SPLIT)
def test_no_name_breaks_the_location(live: Server, value: str) -> None:
    for path, body in (
        ("/api/v1/models", {"name": value, "type": "scripted"}),
        ("/api/v1/models/m/endpoints", {"name": value}),
        ("/api/v1/budgets", {"name": value, "period": "day", "limit_microusd": 1}),
    ):
        answer = live.http.post(path, json=body)
        assert answer.status_code < 500, answer.text
        assert "Set-Cookie" not in answer.headers
        assert "X-Odd" not in answer.headers
        location = answer.headers.get("Location", "")
        assert "\r" not in location
        assert "\n" not in location
        if answer.status_code == 201:
            live.http.delete(location)


def test_a_budget_of_any_name_can_be_found_and_removed_again(live: Server) -> None:
    """Its Location leads to it."""
    for name in ("ä ö", "a/b", "100%", "a?b#c", "<b>", "..", "\u202ea"):
        made = live.http.post("/api/v1/budgets", json={"name": name, "period": "day", "limit_microusd": 1})
        if made.status_code != 201:
            assert made.status_code == 422, made.text
            continue
        found = live.http.get(made.headers["Location"])
        assert found.status_code == 200, (name, made.headers["Location"])
        assert found.json()["name"] == name
        assert live.http.delete(made.headers["Location"]).status_code == 204


def test_no_line_of_the_log_is_written_by_the_caller(live: Server) -> None:
    forged = 'x\n{"level": "critical", "event": "forged"}\r\x1b[2J'
    tries: list[dict[str, Any]] = [
        {"url": TASKS, "json": {"model": forged, "input": forged}},
        {"url": "/api/v1/models", "json": {"name": forged, "type": forged}},
        {"url": "/api/v1/models", "json": {"name": "n", "type": "scripted", "config": {forged: forged}}},
        {"url": "/api/v1/dead-letters/requeue", "json": {"filter": {"q": forged}}},
        {"url": "/api/v1/tasks/bulk", "content": forged, "headers": {"Content-Type": "application/x-ndjson"}},
    ]
    for one in tries:
        live.http.post(**one)
    spoken(live.port, request("GET", "/%0aforged", "User-Agent: a%0a\x1b[2J"))

    for line in live.log.splitlines():
        if line.startswith("{"):
            assert json.loads(line).get("event") != "forged"
    assert "\x1b[2J" not in live.log
