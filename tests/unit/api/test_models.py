from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.api.scene import OTHER_KEY, OTHER_TENANT

from llm_scheduler.domain.ids import DEFAULT_TENANT
from llm_scheduler.domain.tenant import Tenant
from llm_scheduler.providers.local import LocalKind
from llm_scheduler.providers.openai import OpenAIKind

if TYPE_CHECKING:
    from tests.unit.api.scene import Scene

SECRET = "sk-abcdefghijklmnop1234"
AT, ELSEWHERE = "http://127.0.0.1:9/v1", "http://127.0.0.1:10/v1"
ENDPOINTS_KEY = ["endpoints", 0, "config", "api_key"]


async def test_a_model_is_added_listed_changed_and_removed(api: Scene) -> None:
    made = await api.add_model("other", max_workers=2, rpm=60, retry={"max_retries": 1})

    changed = await api.http.patch("/api/v1/models/other", json={"rpm": None, "retry": {"max_delay_s": 5}})
    listed = (await api.http.get("/api/v1/models")).json()["items"]
    removed = await api.http.delete("/api/v1/models/other")

    assert (made["rpm"], made["status"], made["queued"]) == (60, "active", 0)
    assert changed.json()["rpm"] is None
    assert (changed.json()["retry"]["max_retries"], changed.json()["retry"]["max_delay_s"]) == (1, 5)
    assert [model["name"] for model in listed] == ["m", "other"]
    assert removed.status_code == 204
    assert (await api.http.get("/api/v1/models/other")).status_code == 404


async def test_a_model_is_paused_resumed_and_scaled(api: Scene) -> None:
    paused = await api.http.post("/api/v1/models/m/pause")
    resumed = await api.http.post("/api/v1/models/m/resume")
    scaled = await api.http.post("/api/v1/models/m/scale", json={"max_workers": 7})

    assert (paused.json()["status"], resumed.json()["status"], scaled.json()["max_workers"]) == ("paused", "active", 7)


async def test_a_model_counts_what_waits_for_it(api: Scene) -> None:
    await api.submit()

    assert (await api.http.get("/api/v1/models/m")).json()["queued"] == 1


async def test_a_name_is_taken_once_and_a_model_with_work_stays(api: Scene) -> None:
    await api.submit()

    twice = await api.http.post("/api/v1/models", json={"name": "m", "type": "scripted"})
    removed = await api.http.delete("/api/v1/models/m")

    assert (twice.status_code, twice.json()["code"]) == (409, "name_taken")
    assert (removed.status_code, removed.json()["code"]) == (409, "model_in_use")


async def test_the_same_key_adds_a_model_once(api: Scene) -> None:
    body, headers = {"name": "new", "type": "scripted"}, {"Idempotency-Key": "k"}

    first = await api.http.post("/api/v1/models", json=body, headers=headers)
    again = await api.http.post("/api/v1/models", json=body, headers=headers)
    other = await api.http.post("/api/v1/models", json=body | {"name": "newer"}, headers=headers)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


async def test_a_trial_is_timed_and_shows_the_answer(api: Scene) -> None:
    found = (await api.http.post("/api/v1/models/m/test")).json()

    assert found["ok"] is True
    assert found["text"]
    assert found["usage"]["total_tokens"] > 0
    assert found["error"] is None


async def test_a_trial_that_fails_says_why(api: Scene) -> None:
    await api.add_model("broken", config={"errors": [{"http_status": 401}]})

    answer = await api.http.post("/api/v1/models/broken/test")

    assert answer.status_code == 200
    assert answer.json()["ok"] is False
    assert answer.json()["error"]["code"]


async def test_secrets_come_back_masked_and_survive_being_sent_back(api: Scene) -> None:
    api.parts.catalogue.kinds["openai"] = OpenAIKind()  # type: ignore[index]
    config = {"base_url": "http://127.0.0.1:9/v1", "api_key": SECRET, "model": "x"}

    made = await api.http.post("/api/v1/models", json={"name": "o", "type": "openai", "config": config})
    shown = made.json()["config"]
    changed = await api.http.patch("/api/v1/models/o", json={"config": shown | {"timeout_s": 9}})

    assert shown["api_key"] == "sk-…1234"
    assert SECRET not in made.text + changed.text
    model = api.parts.models.get("o", DEFAULT_TENANT)
    assert api.parts.models.plain_config(model)["api_key"] == SECRET


@pytest.mark.parametrize(
    ("kind", "config"),
    [("local", {}), ("local", {"model_path": "/etc/passwd"}), ("scripted", {"ledger": "/srv/ledger"})],
)
async def test_only_the_installations_own_tenant_reaches_into_the_server(
    api: Scene, kind: str, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.parts.catalogue, "kinds", {**api.parts.catalogue.kinds, "local": LocalKind()})
    await api.parts.store.save_tenant(Tenant(OTHER_TENANT, "other"))
    await api.parts.models.load()
    plain = {"name": "plain", "type": "scripted"}
    async with api.client(key=OTHER_KEY) as others:
        made = await others.post("/api/v1/models", json={"name": "n", "type": kind, "config": config})
        assert (await others.post("/api/v1/models", json=plain)).status_code == 201
        if kind == "scripted":
            changed = await others.patch("/api/v1/models/plain", json={"config": config})
            way = {"name": "e", "config": config}
            added = await others.post("/api/v1/models/plain/endpoints", json=way)
            assert [one.json()["code"] for one in (changed, added)] == ["server_model"] * 2
        assert [one["name"] for one in (await others.get("/api/v1/models")).json()["items"] if one["name"] == "n"] == []
    own = await api.http.post("/api/v1/models", json={"name": "n", "type": kind, "config": config})

    assert (made.status_code, made.json()["code"]) == (403, "server_model")
    assert own.json().get("code") != "server_model"


async def with_key(api: Scene) -> None:
    api.parts.catalogue.kinds["openai"] = OpenAIKind()  # type: ignore[index]
    await api.add_model("o", type="openai", config={"base_url": AT, "api_key": SECRET})


@pytest.mark.parametrize(
    ("method", "path", "body", "loc"),
    [
        ("PATCH", "", {"config": {"base_url": ELSEWHERE}}, ["config", "api_key"]),
        ("PATCH", "", {"config": {"base_url": ELSEWHERE, "api_key": "sk-…1234"}}, ["config", "api_key"]),
        ("PATCH", "", {"config": {"base_url": AT.replace("http:", "https:")}}, ["config", "api_key"]),
        ("PATCH", "", {"config": {"base_url": None}}, ["config", "api_key"]),
        ("PATCH", "", {"endpoints": [{"name": "e", "config": {"base_url": ELSEWHERE}}]}, ENDPOINTS_KEY),
        ("POST", "/endpoints", {"name": "e", "config": {"base_url": ELSEWHERE}}, ["config", "api_key"]),
    ],
)  # fmt: skip
async def test_a_stored_key_is_sent_to_no_other_server(
    api: Scene, method: str, path: str, body: dict[str, Any], loc: list[Any]
) -> None:
    """Who may change a model, and does not have its key, got it by pointing the model at a server of their own."""
    await with_key(api)

    refused = await api.http.request(method, f"/api/v1/models/o{path}", json=body)

    assert (refused.status_code, refused.json()["errors"][0]["loc"]) == (422, ["body", *loc])
    assert "send it again" in refused.json()["errors"][0]["msg"]
    assert api.parts.models.plain_config(api.parts.models.get("o", DEFAULT_TENANT))["base_url"] == AT


async def test_a_stored_key_leaves_by_no_way_around(api: Scene) -> None:
    """By an endpoint that hides the model's own address while it is changed, and goes afterwards."""
    await with_key(api)
    await api.http.post("/api/v1/models/o/endpoints", json={"name": "e", "config": {"base_url": AT}})

    hidden = await api.http.patch("/api/v1/models/o", json={"config": {"base_url": ELSEWHERE}})
    moved = await api.http.patch("/api/v1/models/o/endpoints/e", json={"config": {"base_url": ELSEWHERE}})
    elsewhere = {"base_url": ELSEWHERE, "api_key": "sk-of-another-account-42"}
    given = await api.http.post("/api/v1/models/o/endpoints", json={"name": "f", "config": elsewhere})
    swapped = await api.http.patch("/api/v1/models/o/endpoints/f", json={"config": {"api_key": None}})

    assert [answer.status_code for answer in (hidden, moved, given, swapped)] == [422, 422, 201, 422]


async def test_an_address_changes_with_its_key_or_on_the_same_server(api: Scene) -> None:
    await with_key(api)

    other_path = await api.http.patch("/api/v1/models/o", json={"config": {"base_url": "http://127.0.0.1:9/v2"}})
    with_its_key = await api.http.patch("/api/v1/models/o", json={"config": {"base_url": ELSEWHERE, "api_key": SECRET}})
    without_any = await api.http.patch("/api/v1/models/o", json={"config": {"base_url": AT, "api_key": None}})

    assert [answer.status_code for answer in (other_path, with_its_key, without_any)] == [200, 200, 200]
    assert "api_key" not in without_any.json()["config"]


async def test_repeats_that_come_at_once_make_one_thing(api: Scene) -> None:
    headers, body = {"Idempotency-Key": "one"}, {"name": "b", "period": "total", "limit_microusd": 1_000}
    await api.http.post("/api/v1/budgets", json=body)

    raised = [api.http.post("/api/v1/budgets/b/top-up", json={"microusd": 100}, headers=headers) for _ in range(8)]
    answers = await asyncio.gather(*raised)

    assert {answer.status_code for answer in answers} <= {200, 201, 202}
    assert (await api.http.get("/api/v1/budgets/b")).json()["limit_microusd"] == 1_100
