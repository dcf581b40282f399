"""`max_workers: "auto"`: how it is asked for, shown and ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.api.scene import Scene


async def shown(api: Scene, name: str = "a") -> tuple[int, Any]:
    model = (await api.http.get(f"/api/v1/models/{name}")).json()
    return model["max_workers"], model["auto_workers"]


async def test_auto_begins_with_the_fewest_between_bounds_or_from_1_to_64(api: Scene) -> None:
    plain = await api.add_model("a", max_workers="auto")
    bounded = await api.add_model("b", max_workers="auto", auto_workers={"min": 3, "max": 9})
    implied = await api.add_model("c", auto_workers={"max": 9})
    fixed = await api.add_model("d")

    assert (plain["max_workers"], plain["auto_workers"]) == (1, {"min": 1, "max": 64})
    assert (bounded["max_workers"], bounded["auto_workers"]) == (3, {"min": 3, "max": 9})
    assert (implied["max_workers"], implied["auto_workers"]) == (1, {"min": 1, "max": 9})
    assert (fixed["max_workers"], fixed["auto_workers"]) == (4, None)


async def test_a_number_ends_auto_and_auto_begins_it_again(api: Scene) -> None:
    await api.add_model("a", max_workers="auto", auto_workers={"min": 2, "max": 8})
    path = "/api/v1/models/a"

    await api.http.post(f"{path}/scale", json={"max_workers": 16})
    fixed = await shown(api)
    await api.http.post(f"{path}/scale", json={"max_workers": "auto"})
    again = await shown(api)
    await api.http.patch(path, json={"auto_workers": {"min": 5, "max": 6}})
    bounded = await shown(api)
    await api.http.patch(path, json={"rpm": 60})
    kept = await shown(api)
    await api.http.patch(path, json={"auto_workers": None})
    ended = await shown(api)

    assert fixed == (16, None)
    assert again == (1, {"min": 1, "max": 64})
    assert bounded == kept == (5, {"min": 5, "max": 6})
    assert ended == (5, None)


async def test_answers_show_the_limit_that_was_found_and_a_change_keeps_it(api: Scene) -> None:
    await api.add_model("a", max_workers="auto")
    api.parts.catalogue.limit_of = lambda model: 23 if model.options.auto_workers else model.max_workers

    listed = (await api.http.get("/api/v1/models")).json()["items"]
    await api.http.patch("/api/v1/models/a", json={"auto_workers": None})

    assert {model["name"]: model["max_workers"] for model in listed}["a"] == 23
    assert await shown(api) == (23, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_workers": "many"},
        {"max_workers": 0},
        {"max_workers": 5, "auto_workers": {"min": 1, "max": 9}},
        {"max_workers": "auto", "auto_workers": {"min": 9, "max": 1}},
        {"max_workers": "auto", "auto_workers": {"min": 0}},
        {"max_workers": "auto", "auto_workers": {"most": 5}},
    ],
)
async def test_what_makes_no_sense_is_refused_with_the_next_step(api: Scene, fields: dict[str, Any]) -> None:
    added = await api.http.post("/api/v1/models", json={"name": "x", "type": "scripted", **fields})
    changed = await api.http.patch("/api/v1/models/m", json=fields)

    assert (added.status_code, changed.status_code) == (422, 422)
    assert added.json()["errors"][0]["msg"]
