"""Endpoints and options of models over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.ports.broker import GateState, Hold, Release
from llm_scheduler.providers.openai import OpenAIKind
from llm_scheduler.services.endpoints import EndpointStatus, health_of

if TYPE_CHECKING:
    from tests.unit.api.scene import Scene

SECRET, OTHER = "sk-abcdefghijklmnop1234", "sk-zyxwvutsrqponmlk9876"
EU, US = "http://127.0.0.1:9/eu", "http://127.0.0.1:9/us"


async def with_endpoints(api: Scene, name: str = "o") -> dict[str, Any]:
    api.parts.catalogue.kinds["openai"] = OpenAIKind()  # type: ignore[index]
    endpoints = [
        {"name": "eu", "config": {"base_url": EU, "api_key": SECRET}, "rpm": 60},
        {"name": "us", "config": {"base_url": US, "api_key": OTHER}, "weight": 2.0},
    ]
    body = {"name": name, "type": "openai", "config": {"model": "x"}, "endpoints": endpoints}
    answer = await api.http.post("/api/v1/models", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def plain(api: Scene, endpoint: str, name: str = "o") -> dict[str, object]:
    return api.parts.models.plain_config(api.parts.models.get(name, DEFAULT_TENANT), endpoint)


async def test_a_models_endpoints_are_shown_with_masked_keys_and_opened_over_its_config(api: Scene) -> None:
    made = await with_endpoints(api)

    assert [one["config"] for one in made["endpoints"]] == [
        {"base_url": EU, "api_key": "sk-…1234"},
        {"base_url": US, "api_key": "sk-…9876"},
    ]
    assert (made["endpoints"][0]["rpm"], made["endpoints"][1]["weight"]) == (60, 2.0)
    assert (plain(api, "us")["api_key"], plain(api, "us")["model"]) == (OTHER, "x")
    stored = (await api.parts.store.models())[0]
    assert OTHER not in str(stored)


async def test_options_are_flat_fields_that_merge_one_by_one(api: Scene) -> None:
    await api.add_model("spare")
    made = await api.add_model(
        "o", input_tpm=1000, fallback_models=["spare"], strategy="shortest", strategy_options={"beta": 2.0}
    )
    changed = await api.http.patch("/api/v1/models/o", json={"pacing": "configured", "retry_share": None})
    shown = changed.json()

    assert (made["pacing"], made["retry_share"], made["unknown_price"]) == ("headers", 0.1, "deny")
    assert (shown["pacing"], shown["retry_share"]) == ("configured", None)
    assert (shown["input_tpm"], shown["fallback_models"], shown["strategy_options"]) == (1000, ["spare"], {"beta": 2})
    assert (await api.http.get("/api/v1/models/o")).json() == shown


@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        ({"fallback_models": ["nobody"]}, ["body", "fallback_models", 0]),
        ({"fallback_models": ["m", "m"]}, ["body", "fallback_models", 1]),
        ({"fallback_models": ["o"]}, ["body", "fallback_models", 0]),
        ({"unknown_price": "assume"}, ["body", "assume_price_of"]),
        ({"endpoints": [{"name": "a"}, {"name": "a"}]}, ["body", "endpoints", 1, "name"]),
        ({"endpoints": [{"name": "a", "config": {"nonsense": 1}}]}, ["body", "endpoints", 0, "config", "nonsense"]),
        ({"endpoints": [{"name": "a b"}]}, ["body", "endpoints", 0, "name"]),
        ({"name": "o/endpoints/x"}, ["body"]),
        ({"pacing": "fast"}, ["body", "pacing"]),
    ],
)
async def test_a_wrong_field_is_refused_with_its_place(api: Scene, fields: dict[str, Any], loc: list[Any]) -> None:
    answer = await api.http.post("/api/v1/models", json={"name": "o", "type": "scripted", **fields})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == loc


async def test_endpoints_in_a_patch_replace_all_and_a_masked_key_stays(api: Scene) -> None:
    made = await with_endpoints(api)
    kept = made["endpoints"][1] | {"weight": 5.0}

    shown = (await api.http.patch("/api/v1/models/o", json={"endpoints": [kept]})).json()

    assert [(one["name"], one["weight"]) for one in shown["endpoints"]] == [("us", 5.0)]
    assert plain(api, "us")["api_key"] == OTHER


async def test_an_endpoint_is_added_changed_drained_resumed_and_removed(api: Scene) -> None:
    await with_endpoints(api)
    path = "/api/v1/models/o/endpoints"

    added = await api.http.post(path, json={"name": "asia", "config": {"api_key": SECRET}})
    twice = await api.http.post(path, json={"name": "asia"})
    changed = await api.http.patch(path + "/asia", json={"config": {"api_key": None, "timeout_s": 9}, "tpm": 5})
    drained = await api.http.post(path + "/eu/drain")
    listed = (await api.http.get(path)).json()["items"]
    resumed = await api.http.post(path + "/eu/resume")
    removed = await api.http.delete(path + "/asia")

    assert (added.status_code, added.json()["status"], added.json()["running"]) == (201, "ok", 0)
    assert added.headers["location"] == path + "/asia"
    assert (twice.status_code, twice.json()["code"]) == (409, "endpoint_taken")
    assert (changed.json()["config"], changed.json()["tpm"]) == ({"timeout_s": 9}, 5)
    assert (drained.json()["status"], drained.json()["is_drained"]) == ("drained", True)
    assert [(one["name"], one["status"]) for one in listed] == [("eu", "drained"), ("us", "ok"), ("asia", "ok")]
    assert resumed.json()["status"] == "ok"
    assert removed.status_code == 204
    assert SECRET not in added.text + changed.text


async def test_an_unknown_endpoint_is_not_found_and_the_answer_names_those_there_are(api: Scene) -> None:
    await with_endpoints(api)
    path = "/api/v1/models/o/endpoints/nowhere"

    answers = [
        await api.http.patch(path, json={"weight": 1.0}),
        await api.http.delete(path),
        *[await api.http.post(f"{path}/{verb}") for verb in ("drain", "resume", "test")],
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["code"] for answer in answers} == {"endpoint_not_found"}
    assert "eu, us" in answers[0].json()["detail"]


async def test_a_bad_config_of_one_endpoint_says_where_in_its_own_body(api: Scene) -> None:
    await with_endpoints(api)

    answer = await api.http.patch("/api/v1/models/o/endpoints/us", json={"config": {"base_url": "nowhere"}})

    assert answer.json()["errors"][0]["loc"] == ["body", "config", "base_url"]
    assert plain(api, "us")["base_url"] == US


async def test_a_trial_goes_through_the_endpoint_that_is_named(api: Scene) -> None:
    await api.add_model(
        "two",
        endpoints=[{"name": "good"}, {"name": "bad", "config": {"errors": [{"http_status": 401, "every": 1}]}}],
    )

    good = await api.http.post("/api/v1/models/two/endpoints/good/test")
    bad = await api.http.post("/api/v1/models/two/endpoints/bad/test")
    any_ = await api.http.post("/api/v1/models/two/test")

    assert (good.json()["ok"], bad.json()["ok"], any_.json()["ok"]) == (True, False, True)


async def test_an_endpoint_that_fails_is_shown_open(api: Scene) -> None:
    await api.add_model("two", endpoints=[{"name": "a"}, {"name": "b", "is_drained": True}], max_workers=64)
    model = api.parts.models.get("two", DEFAULT_TENANT)
    session = await api.parts.store.open_session("here", 1, "1")
    for _ in range(12):
        await api.submit(model="two")
    claims = (await api.broker.claim(session, [model.id], 10)).claims
    await api.broker.release([Release(claim, is_failure=True) for claim in claims])

    a, b = (await api.http.get("/api/v1/models/two/endpoints")).json()["items"]

    assert (a["status"], a["calls"], a["failures"], a["running"]) == ("open", 10, 10, 0)
    assert 0 < a["wait_ms"] <= 15_000
    assert b["status"] == "drained"


@pytest.mark.parametrize(
    ("holds", "running", "status", "wait_ms"),
    [
        ((), 3, EndpointStatus.OK, None),
        ((Hold("requests", 50),), 0, EndpointStatus.BUSY, 50),
        ((Hold("concurrency"), Hold("tokens", 50)), 4, EndpointStatus.BUSY, None),
        ((Hold("throttled", 900), Hold("requests", 50)), 0, EndpointStatus.THROTTLED, 900),
        ((Hold("circuit", 14_000),), 2, EndpointStatus.OPEN, 14_000),
        ((Hold("circuit", 9_000),), 1, EndpointStatus.HALF_OPEN, 9_000),
        ((Hold("drained"), Hold("circuit", 9_000)), 1, EndpointStatus.DRAINED, None),
    ],
)
def test_what_holds_a_gate_makes_its_status(
    holds: tuple[Hold, ...], running: int, status: EndpointStatus, wait_ms: int | None
) -> None:
    found = health_of(GateState("a", running, 10, 5, holds))

    assert (found.status, found.wait_ms) == (status, wait_ms)


async def test_a_model_that_is_out_of_order_is_unhealthy_and_a_paused_one_only_paused(api: Scene) -> None:
    unhealthy = await api.http.post("/api/v1/models/m/pause", json={"is_unhealthy": True})
    resumed = await api.http.post("/api/v1/models/m/resume")
    paused = await api.http.post("/api/v1/models/m/pause")

    assert [one.json()["status"] for one in (unhealthy, resumed, paused)] == ["unhealthy", "active", "paused"]
