"""Predictions over the API, and what a submit makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId, TaskId
from llm_scheduler.domain.task import Task, TaskOptions, Usage
from llm_scheduler.ports.store import StartedTask
from llm_scheduler.services.estimate import RequestSize

if TYPE_CHECKING:
    from tests.unit.api.scene import Scene

CHAT = {"messages": [{"role": "user", "content": "x" * 372}]}
"""With its JSON, 415 bytes."""


def teach(api: Scene, model_id: int, calls: int, template: str | None = None, **usage: int) -> None:
    """Calls of about 100 plain tokens have ended."""
    started = StartedTask(
        TaskId(1),
        DEFAULT_TENANT,
        ModelId(model_id),
        "chat",
        5,
        1,
        0,
        0,
        3,
        100,
        0,  # type: ignore[arg-type]
        0,  # type: ignore[arg-type]
        None,
        None,
        None,
        "{}",
        options=TaskOptions(template=template),
    )
    for _ in range(calls):
        api.parts.learning.learn(started, "m", RequestSize(100), Usage(**usage), 2.0)


async def recorded(api: Scene, **fields: Any) -> Task:
    found = await api.parts.store.task((await api.submit(**fields))["id"])
    assert found is not None
    return found


async def model_id(api: Scene) -> int:
    return (await api.http.get("/api/v1/models/m")).json()["id"]


async def test_of_a_model_without_answers_the_defaults_are_told(api: Scene) -> None:
    answer = await api.http.get("/api/v1/models/m/predictions")

    assert answer.status_code == 200
    assert answer.json() == {
        "model": "m",
        "template": "chat",
        "input_tokens": 100,
        "expected": {
            "output_tokens": 256,
            "service_s": None,
            "input_factor": 1.3,
            "samples": 0,
            "model_samples": 0,
        },
        "learned": [],
    }


async def test_what_was_learned_is_told_by_template_and_length(api: Scene) -> None:
    teach(api, await model_id(api), 300, prompt_tokens=90, completion_tokens=50)
    teach(api, await model_id(api), 100, "label", prompt_tokens=90, completion_tokens=2)

    path = "/api/v1/models/m/predictions"
    told = (await api.http.get(path, params={"template": "label", "input_tokens": "120"})).json()

    assert told["expected"]["output_tokens"] == pytest.approx(2, abs=1)
    assert (told["expected"]["samples"], told["expected"]["model_samples"]) == (100, 400)
    assert told["expected"]["service_s"] == 2
    assert [(one["template"], one["samples"]) for one in told["learned"]] == [("chat", 300), ("label", 100)]
    assert (told["learned"][0]["input_tokens_from"], told["learned"][0]["input_tokens_to"]) == (64, 127)


@pytest.mark.parametrize("query", ["input_tokens=-1", "input_tokens=x", "template=", "template=a%20b", "other=1"])
async def test_a_query_that_means_nothing_is_refused(api: Scene, query: str) -> None:
    assert (await api.http.get(f"/api/v1/models/m/predictions?{query}")).status_code == 422


async def test_an_unknown_model_is_not_found(api: Scene) -> None:
    assert (await api.http.get("/api/v1/models/nope/predictions")).status_code == 404


async def test_a_first_task_reserves_256_tokens_beyond_its_input(api: Scene) -> None:
    task = await recorded(api, input=CHAT)

    assert task.est_output == 256
    assert task.est_tokens - task.est_output == pytest.approx(415 / 4 * 1.3, abs=2)


async def test_a_task_reserves_what_such_tasks_used_within_its_own_bound(api: Scene) -> None:
    teach(api, await model_id(api), 5_000, prompt_tokens=80, completion_tokens=50)

    free = await recorded(api, input=CHAT)
    bound = await recorded(api, input=CHAT | {"max_completion_tokens": 20})
    loose = await recorded(api, input=CHAT | {"max_tokens": 4_000})
    twofold = await recorded(api, input=CHAT | {"n": 2})

    assert [task.est_output for task in (free, bound, loose, twofold)] == [51, 20, 51, 101]
    assert free.est_tokens - free.est_output == pytest.approx(415 / 4 * 0.8, abs=2)


async def test_a_template_has_a_prediction_of_its_own(api: Scene) -> None:
    teach(api, await model_id(api), 500, "label", prompt_tokens=100, completion_tokens=2)
    teach(api, await model_id(api), 500, prompt_tokens=100, completion_tokens=900)

    task = await recorded(api, input=CHAT, template="label")

    assert task.est_output < 10
    assert task.options.template == "label"
    assert (await api.http.get(f"/api/v1/tasks/{task.id}")).json()["template"] == "label"
    assert (await recorded(api, input=CHAT)).est_output > 800


async def test_the_same_key_with_another_template_is_a_conflict(api: Scene) -> None:
    body = {"model": "m", "input": "Hi", "idempotency_key": "k"}

    answers = [await api.http.post("/api/v1/tasks", json=body | more) for more in ({}, {}, {"template": "t"})]

    assert [answer.status_code for answer in answers] == [201, 200, 409]


@pytest.mark.parametrize("template", ["", "two words", "x" * 65, 7])
async def test_a_bad_template_is_refused(api: Scene, template: Any) -> None:
    answer = await api.http.post("/api/v1/tasks", json={"model": "m", "input": "Hi", "template": template})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "template"]


async def test_an_edited_input_is_estimated_anew(api: Scene) -> None:
    teach(api, await model_id(api), 5_000, prompt_tokens=100, completion_tokens=50)
    before = await recorded(api, input=CHAT)
    await api.http.post(f"/api/v1/tasks/{before.id}/cancel")

    edited = {"messages": [{"role": "user", "content": "x" * 4_000}], "max_tokens": 7}
    await api.http.post(f"/api/v1/tasks/{before.id}/retry", json={"input": edited})

    after = await api.parts.store.task(before.id)
    assert after is not None
    assert after.est_output == 7
    assert after.est_tokens == pytest.approx(1_000, rel=0.05)
