from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.api.scene import OTHER_KEY, Scene, scene

from llm_scheduler.api.parts import Readiness
from llm_scheduler.domain.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


async def test_every_answer_has_a_request_id(api: Scene) -> None:
    first = (await api.http.get("/healthz")).headers["X-Request-ID"]
    second = (await api.http.get("/nowhere")).headers["X-Request-ID"]

    assert first
    assert second
    assert first != second


async def test_a_sane_request_id_is_taken_from_the_caller(api: Scene) -> None:
    answer = await api.http.get("/api/v1/tasks/99", headers={"X-Request-ID": "run-42.a_b"})

    assert answer.headers["X-Request-ID"] == "run-42.a_b"
    assert answer.json()["request_id"] == "run-42.a_b"


@pytest.mark.parametrize("odd", ["has blanks", "x" * 129, "new\tline", "<script>"])
async def test_an_odd_request_id_is_replaced(api: Scene, odd: str) -> None:
    assert (await api.http.get("/healthz", headers={"X-Request-ID": odd})).headers["X-Request-ID"] != odd


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/readyz", "/api/v1/openapi.json", "/metrics"])
async def test_some_paths_ask_for_no_key(api: Scene, path: str) -> None:
    async with api.client(key=None) as http:
        assert (await http.get(path)).status_code == 200


async def test_metrics_ask_for_a_key_from_other_machines(api: Scene) -> None:
    async with api.client(key=None, host="192.0.2.7") as stranger, api.client(host="192.0.2.7") as known:
        assert (await stranger.get("/metrics")).status_code == 401
        assert (await known.get("/metrics")).status_code == 200


async def test_the_key_may_come_in_either_header(api: Scene) -> None:
    async with api.client(key=None) as http:
        for headers in ({"X-API-Key": OTHER_KEY}, {"Authorization": f"bearer {OTHER_KEY}"}):
            assert (await http.get("/api/v1/tasks", headers=headers)).status_code == 200


async def test_a_wrong_key_is_refused_with_a_challenge(api: Scene) -> None:
    async with api.client(key="wrong") as http:
        answer = await http.get("/api/v1/tasks")

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_requests_are_measured_by_template_never_by_path(api: Scene) -> None:
    await api.http.get("/api/v1/tasks/4711")
    await api.http.get("/api/v1/tasks/4711/attempts")
    await api.http.get("/some/odd/4711")

    text = (await api.http.get("/metrics")).text

    assert 'route="/api/v1/tasks/{task_id}",status="404"' in text
    assert 'route="/api/v1/tasks/{task_id}/attempts",status="404"' in text
    assert 'route="unmatched",status="404"' in text
    assert "/4711" not in text


async def test_an_unknown_method_makes_no_label_of_its_own(api: Scene) -> None:
    await api.http.request("BREW", "/api/v1/tasks")

    text = (await api.http.get("/metrics")).text

    assert "BREW" not in text
    assert 'method="OTHER"' in text


async def test_a_fault_inside_is_500_with_a_request_id_and_no_internals(tmp_path: Path) -> None:
    def broken() -> bytes:
        raise RuntimeError("the secret is sk-123")

    async with scene(tmp_path, metrics=broken) as made:
        answer = await made.http.get("/metrics")

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert "sk-123" not in answer.text


async def test_a_store_that_is_gone_is_503_with_retry_after(api: Scene) -> None:
    await api.parts.store.close()

    answer = await api.http.get("/api/v1/tasks/1")

    assert answer.status_code == 503
    assert answer.json()["code"] == StoreUnavailableError.code
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


async def test_readiness_names_the_part_that_fails(tmp_path: Path) -> None:
    async def readiness() -> Readiness:
        return Readiness(False, {"store": "ok", "claims": "do not turn"})

    async with scene(tmp_path, readiness=readiness) as made:
        answer = await made.http.get("/readyz")

    assert answer.status_code == 503
    assert "claims: do not turn" in answer.json()["detail"]
    assert answer.json()["parts"]["store"] == "ok"


async def test_an_index_that_is_away_takes_no_traffic_away(tmp_path: Path) -> None:
    async def readiness() -> Readiness:
        return Readiness(True, {"store": "ok", "broker": "degraded: it is away"})

    async with scene(tmp_path, readiness=readiness) as made:
        answer = await made.http.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"]["broker"] == "degraded: it is away"


async def test_a_wrong_method_lists_every_right_one(api: Scene) -> None:
    answer = await api.http.put("/api/v1/tasks")

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, POST"


async def test_a_body_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with scene(tmp_path, max_body_bytes=1_000) as made:
        told = await made.http.post("/api/v1/tasks", content=b"x" * 2_000, headers={"Content-Type": "application/json"})

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(1_000):
                yield b"x" * 100

        untold = await made.http.post("/api/v1/tasks", content=pieces(), headers={"Content-Type": "application/json"})

    assert (told.status_code, untold.status_code) == (413, 413)


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_pages_ask_no_other_host(api: Scene, path: str) -> None:
    text = (await api.http.get(path)).text

    assert "</html>" in text
    assert "https://" not in text
    assert "http://" not in text


async def test_answers_forbid_sniffing_framing_and_keeping(api: Scene) -> None:
    headers = (await api.http.get("/")).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"


async def test_short_and_long_ways_lead_to_the_same_routes(api: Scene) -> None:
    """`Switch` finds by look-up what the router would find by its patterns."""
    await api.add_model("org/model:1")

    assert (await api.http.get("/api/v1/models/org/model:1")).json()["name"] == "org/model:1"
    assert (await api.http.get("/api/v1/models/m")).json()["name"] == "m"
    assert (await api.http.post("/api/v1/models/org/model:1/pause")).json()["status"] == "paused"
    assert (await api.http.get("/api/v1/tasks/")).status_code == 404
