"""Figures over time, errors by cause, and exports."""

from __future__ import annotations

import csv
import io
import json

import pytest
from tests.unit.api.scene import OTHER_KEY, Scene
from tests.unit.api.test_history import ran

from llm_scheduler.api.routes.task_export import COLUMNS, PAGE
from llm_scheduler.api.spreadsheet import safe_cell
from llm_scheduler.services.series import MOST_POINTS, step_for


async def test_a_series_says_what_ended_when(api: Scene) -> None:
    await ran(api, 3)

    found = (await api.http.get("/api/v1/stats/series")).json()

    assert found["step_s"] == 30
    assert sum(point["completed"] for point in found["items"]) == 3
    assert found["items"][0]["usage"]["total_tokens"] >= 18
    async with api.client(OTHER_KEY) as other:
        assert (await other.get("/api/v1/stats/series")).json()["items"] == []


@pytest.mark.parametrize("query", ["from=2030-01-02T00:00:00Z&to=2030-01-01T00:00:00Z", "from=2020-01-01T00:00:00Z"])
async def test_a_span_must_be_one(api: Scene, query: str) -> None:
    assert (await api.http.get(f"/api/v1/stats/series?{query}")).status_code == 422


async def test_an_unknown_model_is_said_so(api: Scene) -> None:
    assert (await api.http.get("/api/v1/stats/errors?model=none")).json()["code"] == "model_not_found"


def test_steps_are_fine_and_few() -> None:
    hour = 3_600_000
    for span in (1, hour, 24 * hour, 31 * 24 * hour, 92 * 24 * hour):
        assert span / step_for(span) <= MOST_POINTS
    assert step_for(hour) == 30_000


async def test_an_export_is_every_task_that_matches(api: Scene) -> None:
    for number in range(3):
        await api.submit(metadata={"run": f"={number}"})
    await api.submit(priority="high")

    answer = await api.http.get("/api/v1/tasks/export?priority=medium")
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "tasks.csv" in answer.headers["content-disposition"]
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 3
    assert json.loads(rows[0]["metadata"]) == {"run": "=2"}


async def test_lines_of_json_end_with_their_number(api: Scene) -> None:
    body = "\n".join(json.dumps({"model": "m", "input": str(n)}) for n in range(PAGE + 7))
    await api.http.post("/api/v1/tasks/bulk", content=body, headers={"Content-Type": "application/x-ndjson"})

    *tasks, last = (await api.http.get("/api/v1/tasks/export?format=ndjson")).text.splitlines()

    assert json.loads(last) == {"rows": PAGE + 7}
    assert len({json.loads(line)["id"] for line in tasks}) == PAGE + 7


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


def test_other_cells_stay_as_they_are() -> None:
    assert [safe_cell(value) for value in ("a=b", 7, None, "")] == ["a=b", 7, None, ""]


async def test_another_tenants_tasks_are_in_no_export(api: Scene) -> None:
    await api.submit()
    async with api.client(OTHER_KEY) as other:
        assert (await other.get("/api/v1/tasks/export?format=ndjson")).text == '{"rows":0}\n'
