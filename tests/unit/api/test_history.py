"""`GET /api/v1/stats/history`: rows that a simulation replays."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.unit.api.scene import OTHER_KEY, Scene, client_of

from llm_scheduler.api.routes.history import PAGE
from llm_scheduler.api.server import create_app
from llm_scheduler.domain.errors import StoreUnavailableError
from llm_scheduler.domain.figures import PastCall
from llm_scheduler.domain.ids import DEFAULT_TENANT, Millis, ModelId, TaskId
from llm_scheduler.domain.outcome import Ended
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome, Usage
from llm_scheduler.ports.store import StartedTask, StartOrder
from llm_scheduler.simulation.history import load_of

if TYPE_CHECKING:
    from llm_scheduler.domain.ids import SessionId, TenantId
    from llm_scheduler.ports.history import Mark
    from llm_scheduler.ports.store import Store


async def _run(store: Store, task_id: TaskId, session: SessionId) -> None:
    """One call, from START to its end."""
    (started,) = await store.start(session, [StartOrder(task_id, 0)])
    assert isinstance(started, StartedTask)
    await store.record(
        Ended(
            task_id=task_id,
            tenant_id=started.tenant_id,
            model_id=started.model_id,
            session_id=session,
            attempt=started.attempt,
            generation=started.generation,
            started_at=started.started_at,
            ended_at=started.started_at,
            outcome=AttemptOutcome.COMPLETED,
            status=Status.COMPLETED,
            usage=Usage(11, 7),
            output="Ho",
            raw="{}",
        )
    )


async def ran(scene: Scene, count: int) -> None:
    """So many calls of model `m`."""
    store = scene.parts.store
    session = await store.open_session("host", 1, "test")
    for _ in range(count):
        task: dict[str, Any] = await scene.submit(priority="low")
        await _run(store, task["id"], session)


async def test_the_lines_are_a_load_that_can_be_replayed(api: Scene) -> None:
    await ran(api, 3)

    answer = await api.http.get(
        "/api/v1/stats/history", params={"until": "2999-01-01T00:00:00Z", "since": "2998-12-31T00:00:00Z"}
    )
    assert load_of(answer.text.splitlines()).requests == ()

    answer = await api.http.get("/api/v1/stats/history", params={"until": _soon(api)})
    load = load_of(answer.text.splitlines())

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [(one.model, one.priority, one.input_tokens, one.output_tokens) for one in load.requests] == [
        ("m", 9, 11, 7)
    ] * 3
    assert load.requests[0].at_s == 0
    assert load.weights == {"1": 1.0}


def _soon(scene: Scene) -> str:
    return (datetime.fromtimestamp(scene.parts.clock.now() / 1000, UTC) + timedelta(seconds=5)).isoformat()


async def test_no_contents_are_in_it(api: Scene) -> None:
    await ran(api, 1)

    text = (await api.http.get("/api/v1/stats/history", params={"until": _soon(api)})).text

    assert "Hi" not in text
    assert "Ho" not in text


class LongHistory:
    """A record that has run more than two pages of calls."""

    def __init__(self, count: int) -> None:
        self.calls = [
            PastCall(
                Millis(at // 3),
                TaskId(at),
                1,
                ModelId(1),
                DEFAULT_TENANT,
                "chat",
                5,
                Millis(0),
                Millis(0),
                1,
                1,
                0,
                None,
            )
            for at in range(count)
        ]

    async def history(
        self, since: Mark, until: Millis, limit: int, tenant_id: TenantId | None = None
    ) -> list[PastCall]:
        del until, tenant_id
        return [one for one in self.calls if one[:3] > since][:limit]


async def test_pages_follow_one_another_to_the_last_row(api: Scene) -> None:
    count = 2 * PAGE + 3
    parts = replace(api.parts, store=LongHistory(count))  # the port's one call

    async with client_of(create_app(parts)) as http:
        span = {"since": "1970-01-01T00:00:00Z", "until": "1970-01-02T00:00:00Z"}
        lines = (await http.get("/api/v1/stats/history", params=span)).text.splitlines()

    assert len(lines) == count + 2
    assert json.loads(lines[-1]) == {"rows": count}


async def test_another_tenant_sees_only_its_own(api: Scene) -> None:
    await ran(api, 2)

    async with api.client(OTHER_KEY) as other:
        lines = (await other.get("/api/v1/stats/history", params={"until": _soon(api)})).text.splitlines()

    assert json.loads(lines[0])["tenants"] == {}
    assert json.loads(lines[-1]) == {"rows": 0}


async def test_a_span_that_is_turned_round_or_too_long_is_refused_with_what_to_do(api: Scene) -> None:
    for since, until in (("2030-01-02", "2030-01-01"), ("2030-01-01", "2030-03-01")):
        params = {"since": f"{since}T00:00:00Z", "until": f"{until}T00:00:00Z"}
        answer = await api.http.get("/api/v1/stats/history", params=params)

        assert answer.status_code == 422
        assert "at most 31 days" in answer.json()["detail"]


async def test_a_record_that_is_away_is_a_problem_before_anything_is_sent(api: Scene) -> None:
    await api.parts.store.close()

    answer = await api.http.get("/api/v1/stats/history")

    assert answer.status_code == 503
    assert StoreUnavailableError.code == answer.json()["code"]
