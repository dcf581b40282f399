"""The servers that other tests trust."""

from __future__ import annotations

import aiohttp
import pytest
from tests.stubs.accounts import Accounts
from tests.stubs.quotas import Bucket, FixedWindow, SlidingWindow
from tests.stubs.servers import StubServer, running


def test_a_window_counts_what_lies_within_it() -> None:
    window = SlidingWindow(limit=3, span_s=60)
    for at_s in (0.0, 10.0, 20.0):
        assert window.has_room(at_s, 1)
        window.add(at_s, 1)

    assert not window.has_room(59.9, 1)
    assert window.wait_s(59.9, 1) == pytest.approx(0.1)
    assert window.wait_s(59.9, 2) == pytest.approx(10.1)
    assert window.has_room(60.0, 1)
    assert not window.has_room(60.0, 2)


def test_a_call_over_the_limit_takes_no_room() -> None:
    accounts = Accounts(tpm=100)

    assert accounts.arrive(80) is None
    assert accounts.arrive(30) == pytest.approx(60, abs=1)
    assert accounts.arrive(20) is None
    assert (accounts.calls, accounts.over_limit, accounts.tokens) == (3, 1, 100)


async def test_the_strict_stub_refuses_what_is_over_its_limit(stub: StubServer) -> None:
    await stub.post("limits", rpm=2)
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    url = f"{stub.base_url}/chat/completions"

    async with aiohttp.ClientSession() as session:
        statuses = [(await session.post(url, json=body)).status for _ in range(3)]
        unknown = await session.post(url, json={**body, "priority": 1})
        assert "priority" in (await unknown.json())["error"]["message"]

    assert statuses == [200, 200, 429]
    stats = await stub.stats()
    assert (stats["calls"], stats["over_limit"]) == (3, 1)


async def test_the_light_stub_streams_or_not_and_counts() -> None:
    async with running("tests.stubs.light_stub", "--rpm", "3") as server, aiohttp.ClientSession() as session:
        url = f"{server.base_url}/chat/completions"
        whole = await (await session.post(url, json={"stream": False})).json()
        stream = await (await session.post(url, json={"stream": True})).text()
        await session.post(url, json={})
        refused = await session.post(url, json={})
        stats = await server.stats()

    assert whole["choices"][0]["message"]["content"] == "word word word "
    assert stream.endswith("data: [DONE]\n\n")
    assert refused.status == 429
    assert (stats["calls"], stats["over_limit"]) == (4, 1)


def test_a_bucket_refills_evenly_up_to_its_depth() -> None:
    bucket = Bucket(limit=60, depth_s=10)
    bucket.add(0.0, 10)

    assert not bucket.has_room(0.5, 1)
    assert bucket.wait_s(0.5, 1) == pytest.approx(0.5)
    assert bucket.has_room(4.0, 4)
    assert bucket.said(4.0) == (60, 4, pytest.approx(6))
    assert bucket.said(99.0) == (60, 10, 0)


def test_a_fixed_window_gives_all_back_at_once() -> None:
    window = FixedWindow(limit=60, span_s=10)
    window.add(3.0, 10)

    assert not window.has_room(9.9, 1)
    assert window.wait_s(9.0, 1) == pytest.approx(1)
    assert window.said(9.0) == (60, 0, pytest.approx(1))
    assert window.has_room(10.0, 10)


@pytest.mark.parametrize(
    ("style", "name", "value"),
    [
        ("openai", "x-ratelimit-remaining-requests", "599"),
        ("azure", "x-ratelimit-remaining-requests", "599"),
        ("anthropic", "anthropic-ratelimit-requests-remaining", "599"),
        ("", "x-ratelimit-remaining-requests", None),
    ],
)
async def test_the_stub_writes_headers_as_it_is_told(style: str, name: str, value: str | None) -> None:
    options = ["--rpm", "600", "--counting", "bucket", *(["--headers", style] if style else [])]
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    async with running("tests.stubs.openai_stub", *options) as stub, aiohttp.ClientSession() as session:
        answer = await session.post(f"{stub.base_url}/chat/completions", json=body)

        assert answer.headers.get(name) == value
