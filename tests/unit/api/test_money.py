"""Budgets, prices and forecasts over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.api.scene import Scene

TEAM = {"name": "team", "limit_microusd": 5_000_000, "period": "month"}


async def test_a_budget_is_added_shown_changed_topped_up_and_removed(api: Scene) -> None:
    """The whole life of one."""
    made = await api.http.post("/api/v1/budgets", json=TEAM)
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/budgets/team")
    assert made.json()["room_microusd"] == 5_000_000

    changed = await api.http.patch("/api/v1/budgets/team", json={"limit_microusd": 6_000_000})
    topped = await api.http.post("/api/v1/budgets/team/top-up", json={"microusd": 1_000_000})
    listed = await api.http.get("/api/v1/budgets")

    assert changed.json()["limit_microusd"] == 6_000_000
    assert topped.json()["limit_microusd"] == 7_000_000
    assert [one["name"] for one in listed.json()["items"]] == ["team"]
    assert (await api.http.delete("/api/v1/budgets/team")).status_code == 204
    gone = await api.http.get("/api/v1/budgets/team")
    assert (gone.status_code, gone.json()["code"]) == (404, "budget_not_found")


async def test_a_repeated_top_up_with_one_key_is_done_once(api: Scene) -> None:
    """A lost answer costs nothing."""
    await api.http.post("/api/v1/budgets", json=TEAM)
    for _ in range(2):
        await api.http.post(
            "/api/v1/budgets/team/top-up", json={"microusd": 1_000_000}, headers={"Idempotency-Key": "once"}
        )

    assert (await api.http.get("/api/v1/budgets/team")).json()["limit_microusd"] == 6_000_000


async def test_a_budget_is_its_tenants_own(api: Scene) -> None:
    await api.http.post("/api/v1/budgets", json=TEAM)
    async with api.client("key-of-another-tenant") as other:
        assert (await other.get("/api/v1/budgets/team")).status_code == 404
        assert (await other.get("/api/v1/budgets")).json()["items"] == []
        assert (await other.post("/api/v1/budgets", json=TEAM)).status_code == 201


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({}, 409, "budget_name_taken"),
        ({"name": "b", "model": "nobody"}, 404, "model_not_found"),
        ({"name": "b", "limit_microusd": -1}, 422, "invalid_request"),
        ({"name": "b", "period": "year"}, 422, "invalid_request"),
        ({"name": "b c"}, 422, "invalid_request"),
    ],
)
async def test_a_bad_budget_is_refused(api: Scene, change: dict[str, Any], status: int, code: str) -> None:
    await api.http.post("/api/v1/budgets", json=TEAM)

    answer = await api.http.post("/api/v1/budgets", json=TEAM | change)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_price_says_where_it_is_from(api: Scene) -> None:
    """An override goes before what a type of model costs by itself; without it that holds again."""
    before = (await api.http.get("/api/v1/prices?model=m")).json()["items"]

    put = await api.http.put("/api/v1/prices", json={"model": "m", "input_nanousd": 150, "output_nanousd": 600})
    after = (await api.http.get("/api/v1/prices")).json()
    removed = await api.http.delete(f"/api/v1/prices/{put.json()['id']}")
    last = (await api.http.get("/api/v1/prices")).json()

    assert [(one["source"], one["input_nanousd"]) for one in before] == [("local", 0)]
    assert [(one["source"], one["override_id"]) for one in after["items"]] == [("override", put.json()["id"])]
    assert len(after["overrides"]) == 1
    assert removed.status_code == 204
    assert [one["source"] for one in last["items"]] == ["local"]
    again = await api.http.delete(f"/api/v1/prices/{put.json()['id']}")
    assert (again.status_code, again.json()["code"]) == (404, "price_not_found")


async def test_only_the_installations_tenant_sets_prices_for_everybody(api: Scene) -> None:
    """Others set their own, and remove no other's."""
    mine = (await api.http.put("/api/v1/prices", json={"model": "m", "input_nanousd": 1})).json()
    async with api.client("key-of-another-tenant") as other:
        assert (await other.put("/api/v1/prices", json={"model": "m", "input_nanousd": 0})).status_code == 422
        own = await other.put("/api/v1/prices", json={"model": "m", "input_nanousd": 2, "scope": "tenant"})
        assert own.json()["scope"] == "tenant"
        assert (await other.delete(f"/api/v1/prices/{mine['id']}")).status_code == 404

    assert len((await api.http.get("/api/v1/prices")).json()["overrides"]) == 1


async def test_csv_is_imported_line_by_line(api: Scene) -> None:
    """Bad lines are named; the good ones are taken."""
    text = (
        "provider,model,tier,input_usd_per_million,output_usd_per_million,valid_from\n"
        "openai,gpt-x,,0.15,0.6,\n"
        "openai,gpt-x,flex,cheap,0.3,\n"
        "openai,gpt-x,priority,0.25,1,2026-13-01\n"
        ",gpt-y,,0.0375,,2026-01-31\n"
    )
    answer = await api.http.post("/api/v1/prices/import", content=text, headers={"Content-Type": "text/csv"})

    assert (answer.status_code, answer.json()["imported"]) == (200, 2)
    assert [(one["line"], one["detail"].split()[0]) for one in answer.json()["rejected"]] == [
        (3, "input_usd_per_million"),
        (4, "valid_from"),
    ]
    rows = (await api.http.get("/api/v1/prices")).json()["overrides"]
    assert [(one["model"], one["input_nanousd"], one["valid_from"][:10]) for one in rows] == [
        ("gpt-x", 150, "1970-01-01"),
        ("gpt-y", 38, "2026-01-31"),
    ]


async def test_litellms_file_is_imported(api: Scene) -> None:
    """Dollars for a token, tiers by their endings; entries without prices are passed over."""
    content = {
        "sample_spec": {"input_cost_per_token": "0.0"},
        "gpt-x": {
            "litellm_provider": "openai",
            "input_cost_per_token": 1.5e-07,
            "output_cost_per_token": 6e-07,
            "cache_read_input_token_cost": 7.5e-08,
            "input_cost_per_token_flex": 7.5e-08,
        },
        "dall-e": {"input_cost_per_pixel": 1e-08},
        "bad": {"input_cost_per_token": "much"},
    }
    answer = await api.http.post("/api/v1/prices/import", json=content)

    assert answer.json()["imported"] == 2
    assert answer.json()["rejected"][0]["line"] == 4
    rows = (await api.http.get("/api/v1/prices")).json()["overrides"]
    assert [(one["tier"], one["input_nanousd"], one["cached_input_nanousd"]) for one in rows] == [
        ("default", 150, 75),
        ("flex", 75, 75),
    ]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [("a,b\n1,2\n", "text/csv", 422), ("", "text/csv", 422), ("[]", "application/json", 422), ("x", "text/x", 415)],
)
async def test_a_file_without_prices_is_refused(api: Scene, content: str, kind: str, status: int) -> None:
    answer = await api.http.post("/api/v1/prices/import", content=content, headers={"Content-Type": kind})

    assert answer.status_code == status


async def test_a_dry_run_records_nothing_and_says_what_it_would_cost(api: Scene) -> None:
    """Single and many; a budget that would not cover it is named."""
    await api.http.patch("/api/v1/models/m", json={"rpm": 60})
    await api.http.put("/api/v1/prices", json={"model": "m", "input_nanousd": 1000, "output_nanousd": 2000})
    await api.http.post("/api/v1/budgets", json={"name": "tiny", "limit_microusd": 1, "period": "total"})
    body = {"model": "m", "input": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 10}}

    one = (await api.http.post("/api/v1/tasks?dry_run=true", json=body)).json()
    lines = "\n".join([json.dumps(body)] * 120 + ["{}"])
    many = await api.http.post(
        "/api/v1/tasks/bulk?dry_run=true", content=lines, headers={"Content-Type": "application/x-ndjson"}
    )

    found = many.json()
    assert (one["tasks"], found["tasks"], found["rejected_total"]) == (1, 120, 1)
    assert found["output_tokens"] == 1200
    assert found["cost_microusd"]["expected"] == 120 * one["cost_microusd"]["expected"] > 0
    assert found["cost_microusd"]["most"] >= found["cost_microusd"]["expected"]
    assert [budget["name"] for budget in found["budgets"]] == ["tiny"]
    assert found["finish_at"]["earliest"] < found["finish_at"]["latest"]
    assert found["unknown_prices"] == []
    assert (await api.http.get("/api/v1/tasks/counts")).json()["total"] == 0
