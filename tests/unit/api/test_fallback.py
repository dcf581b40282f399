"""Fallback models of tasks over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import AttemptOutcome, TaskError
from llm_scheduler.ports.store import StartedTask, StartOrder
from llm_scheduler.services import outcomes
from llm_scheduler.services.fallback import moved_on
from llm_scheduler.services.running import Why

if TYPE_CHECKING:
    from tests.unit.api.scene import Scene


async def test_a_task_that_has_moved_says_from_where_and_why_and_which_endpoint_was_called(api: Scene) -> None:
    await api.add_model("spare")
    made = await api.submit(fallback_models=["spare"])
    store, session = api.parts.store, await api.parts.store.open_session("here", 1, "1")
    [started] = await store.start(session, [StartOrder(made["id"], 0, "eu")])
    assert isinstance(started, StartedTask)
    back = outcomes.aborted(started, session, started.started_at, Why.DRAIN)
    error = TaskError("not_found", "no such model", is_retryable=False, http_status=404)
    ended = replace(back, status=Status.FAILED, outcome=AttemptOutcome.FAILED, error=error)
    await store.record(moved_on(api.parts.catalogue, started, ended))

    shown = (await api.http.get(f"/api/v1/tasks/{made['id']}")).json()
    [attempt] = (await api.http.get(f"/api/v1/tasks/{made['id']}/attempts")).json()["items"]

    assert made["fallback"] is None
    assert (shown["model"], shown["status"]) == ("spare", "queued")
    assert shown["fallback"] == {"from": "m", "reason": "not_found"}
    assert attempt["endpoint"] == "eu"


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ({"fallback_models": ["nobody"]}, 0, "no model 'nobody'"),
        ({"fallback_models": ["m"]}, 0, "the model itself"),
        ({"fallback_models": ["spare", "spare"]}, 1, "twice"),
    ],
)
async def test_a_list_that_leads_nowhere_is_refused(api: Scene, fields: dict[str, Any], place: int, words: str) -> None:
    await api.add_model("spare")

    answer = await api.http.post("/api/v1/tasks", json={"model": "m", "input": "Hi", **fields})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "fallback_models", place]
    assert words in answer.json()["detail"]


async def test_a_fallback_model_that_was_removed_is_passed_over(api: Scene) -> None:
    await api.add_model("gone")
    await api.add_model("spare")
    made = await api.submit(fallback_models=["gone", "spare"])
    await api.http.delete("/api/v1/models/gone")
    store, session = api.parts.store, await api.parts.store.open_session("here", 1, "1")
    [started] = await store.start(session, [StartOrder(made["id"], 0)])
    assert isinstance(started, StartedTask)
    back = outcomes.aborted(started, session, started.started_at, Why.DRAIN)
    error = TaskError("content_filtered", "no", is_retryable=False)
    ended = replace(back, status=Status.FAILED, outcome=AttemptOutcome.FAILED, error=error)

    moved = moved_on(api.parts.catalogue, started, ended)

    assert moved.next_model_id == api.parts.models.get("spare", DEFAULT_TENANT).id
