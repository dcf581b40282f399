from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.api.scene import KEY, Scene, scene

from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.services.submit import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import httpx2

    from llm_scheduler.domain.task import NewTask
    from llm_scheduler.ports.store import Submitted

NDJSON = {"Content-Type": "application/x-ndjson"}
GOOD = b'{"model": "m", "input": "Hi"}'


async def send(api: Scene, lines: Sequence[bytes], query: str = "", **headers: str) -> httpx2.Response:
    return await api.http.post(f"/api/v1/tasks/bulk{query}", content=b"\n".join(lines), headers=NDJSON | headers)


async def test_lines_become_tasks_in_their_order(api: Scene) -> None:
    lines = [json.dumps({"model": "m", "input": f"line {number}"}).encode() for number in range(2_500)]

    answer = await send(api, lines)

    assert answer.status_code == 201
    found = answer.json()
    assert (found["accepted"], found["rejected_total"]) == (2_500, 0)
    page = (await api.http.get("/api/v1/tasks?limit=500&order=asc")).json()["items"]
    assert page[0]["id"] == found["first_id"]
    assert [task["input"]["messages"][0]["content"] for task in page] == [f"line {number}" for number in range(500)]
    assert (await api.http.get("/api/v1/tasks/counts")).json() == {"counts": {"queued": 2_500}, "total": 2_500}


async def test_an_array_works_like_lines(api: Scene) -> None:
    answer = await api.http.post("/api/v1/tasks/bulk", json=[json.loads(GOOD), {"model": "m"}, "x"])

    assert answer.status_code == 201
    assert [each["line"] for each in answer.json()["rejected"]] == [2, 3]


async def test_bad_lines_are_named_and_the_others_are_taken(api: Scene) -> None:
    lines = [
        GOOD, b"", b"{oops", b'{"model": "gone", "input": "Hi"}', b'{"model": "m", "input": "\xff"}', b"  ",
        b'{"model": "m", "input": "Hi", "prioritty": 1}', b'["m"]', b'{"model": "m", "input": "\\u0000"}', GOOD + b"\r",
    ]  # fmt: skip

    found = (await send(api, lines)).json()

    assert found["accepted"] == 2
    assert [(each["line"], each["code"]) for each in found["rejected"]] == [
        (3, "invalid_json"), (4, "model_not_found"), (5, "invalid_json"), (7, "invalid_request"),
        (8, "invalid_request"), (9, "invalid_json"),
    ]  # fmt: skip
    assert "did you mean 'priority'" in found["rejected"][3]["detail"]


async def test_all_rejected_lines_are_counted_and_a_thousand_are_listed(api: Scene) -> None:
    found = (await send(api, [GOOD, *[b"{"] * 1_500])).json()

    assert (found["accepted"], found["rejected_total"], len(found["rejected"])) == (1, 1_500, 1_000)


async def test_a_request_without_a_good_line_is_refused(api: Scene) -> None:
    answer = await send(api, [b"{", b'{"model": "m"}'])

    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json()["accepted"], len(answer.json()["rejected"])) == (0, 2)
    assert "Line 1" in answer.json()["detail"]


async def test_atomic_takes_all_or_nothing(api: Scene) -> None:
    refused = await send(api, [GOOD] * 1_200 + [b"{"], "?atomic=true")
    empty = (await api.http.get("/api/v1/tasks/counts")).json()["total"]
    taken = await send(api, [GOOD] * 1_200, "?atomic=true")

    assert (refused.status_code, refused.json()["accepted"], refused.json()["rejected"][0]["line"]) == (422, 0, 1_201)
    assert empty == 0
    assert (taken.status_code, taken.json()["accepted"]) == (201, 1_200)


async def test_a_repeated_request_makes_nothing_twice(api: Scene) -> None:
    first = await send(api, [GOOD] * 3, **{"Idempotency-Key": "run-1"})
    again = await send(api, [GOOD] * 3, **{"Idempotency-Key": "run-1"})
    longer = await send(api, [GOOD] * 4, **{"Idempotency-Key": "run-1"})

    assert (first.status_code, again.status_code, longer.status_code) == (201, 200, 201)
    assert again.json() == first.json() | {"repeated": 3}
    assert (longer.json()["accepted"], longer.json()["repeated"]) == (4, 3)
    assert (await api.http.get("/api/v1/tasks/counts")).json()["total"] == 4


async def test_a_key_with_another_body_costs_only_its_own_line(api: Scene) -> None:
    await api.http.post("/api/v1/tasks", json={"model": "m", "input": "Hi"}, headers={"Idempotency-Key": "k"})

    lines = [GOOD] * 700 + [b'{"model": "m", "input": "Other", "idempotency_key": "k"}'] + [GOOD] * 700
    found = (await send(api, lines)).json()

    assert found["accepted"] == 1_400
    assert [(each["line"], each["code"]) for each in found["rejected"]] == [(701, "idempotency_conflict")]


async def test_a_queue_that_fills_up_takes_what_fits(tmp_path: Path) -> None:
    async with scene(tmp_path, Limits(max_queue_length=1_500)) as made:
        await made.add_model()

        some = await send(made, [GOOD] * 2_000)
        none = await send(made, [GOOD] * 10)
        atomic = await send(made, [GOOD] * 10, "?atomic=true")

    assert (some.status_code, some.json()["accepted"], some.json()["rejected_total"]) == (201, 1_500, 500)
    assert [some.json()["rejected"][place]["line"] for place in (0, -1)] == [1_501, 2_000]
    assert {each["code"] for each in some.json()["rejected"]} == {"queue_full"}
    for answer in (none, atomic):
        assert (answer.status_code, answer.json()["code"], answer.json()["accepted"]) == (429, "queue_full", 0)
        assert 1 <= int(answer.headers["Retry-After"]) <= 60


async def test_a_full_model_leaves_room_for_the_others(api: Scene) -> None:
    await api.add_model("small", max_queue_length=2)

    found = (await send(api, [b'{"model": "small", "input": "Hi"}', GOOD] * 5)).json()

    assert found["accepted"] == 7
    assert [each["line"] for each in found["rejected"]] == [5, 7, 9]


async def test_too_many_lines_say_what_was_taken(tmp_path: Path) -> None:
    async with scene(tmp_path, max_bulk_lines=1_200) as made:
        await made.add_model()

        stream = await send(made, [GOOD] * 1_300)
        array = await made.http.post("/api/v1/tasks/bulk", json=[json.loads(GOOD)] * 1_201)
        atomic = await send(made, [GOOD] * 1_300, "?atomic=true")

    assert (stream.status_code, stream.json()["accepted"]) == (413, 1_200)
    assert "1200 lines" in stream.json()["detail"]
    assert "stay accepted" in stream.json()["detail"]
    assert (array.status_code, atomic.status_code, atomic.json()["accepted"]) == (413, 413, 0)


async def test_a_line_over_the_limit_ends_the_stream(tmp_path: Path) -> None:
    async with scene(tmp_path, max_body_bytes=1_000) as made:
        await made.add_model()

        answer = await send(made, [GOOD, b'{"model": "m", "input": "' + b"x" * 2_000])

    assert (answer.status_code, answer.json()["accepted"]) == (413, 1)
    assert "Line 2" in answer.json()["detail"]


async def test_a_store_that_fails_in_the_middle_says_what_it_holds(api: Scene) -> None:
    """The first batch is on disk, the second is not: 503 with how many and which."""
    real = api.parts.store.submit
    calls = 0

    async def failing(tasks: Sequence[NewTask], **options: Any) -> Sequence[Submitted]:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise StoreUnavailableError("disk full.")
        return await real(tasks, **options)

    api.parts.store.submit = failing

    answer = await send(api, [GOOD] * 3_000)

    found = answer.json()
    assert (answer.status_code, found["code"]) == (503, "store_unavailable")
    assert found["accepted"] == (await api.http.get("/api/v1/tasks/counts")).json()["total"] > 0
    assert found["last_id"] - found["first_id"] == found["accepted"] - 1
    assert "Retry-After" in answer.headers


async def test_a_client_that_goes_leaves_whole_batches_only(api: Scene) -> None:
    messages = iter([
        {"type": "http.request", "body": b"\n".join([GOOD] * 1_300), "more_body": True},
        {"type": "http.disconnect"},
    ])  # fmt: skip
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send_away(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/x-ndjson")]
    path = "/api/v1/tasks/bulk"
    await api.app(
        {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}, receive, send_away
    )

    assert sent == []
    assert (await api.http.get("/api/v1/tasks/counts")).json()["total"] in (0, 1_200)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"   "])
async def test_nothing_is_not_a_bulk(api: Scene, content: bytes) -> None:
    answer = await api.http.post("/api/v1/tasks/bulk", content=content, headers=NDJSON)

    assert answer.status_code == 422
    assert "at least one" in answer.json()["detail"]


async def test_lines_sent_as_an_array_are_told_the_right_type(api: Scene) -> None:
    answer = await api.http.post(
        "/api/v1/tasks/bulk", content=GOOD + b"\n" + GOOD, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422
    assert "application/x-ndjson" in answer.json()["detail"]
