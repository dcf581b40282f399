"""From finished calls to what the next tasks reserve, also over a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.inside import Inside, inside, until

from llm_scheduler.api.schemas.tasks import TaskBody
from llm_scheduler.domain.ids import DEFAULT_TENANT

if TYPE_CHECKING:
    from pathlib import Path

    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.task import NewTask

CALLS = 30
PLAIN = 12
"""Bytes of the tasks' input divided by four."""


def checked(it: Inside, template: str | None = None) -> NewTask:
    """A task as the API takes it in."""
    return it.installation.submissions.check(TaskBody(model="m", input="hello", template=template), DEFAULT_TENANT)


async def answered(it: Inside, model: Model) -> None:
    """So many calls have ended, each with 40 tokens in and 7 out."""
    for task_id in await it.submit(model, CALLS):
        await it.wait_for(task_id, "completed")
    await until(lambda: samples(it, model) == CALLS, "all ends are learned")


def samples(it: Inside, model: Model) -> float:
    return it.installation.learning.predict(model.id, DEFAULT_TENANT, "chat", PLAIN).model_samples


async def test_finished_calls_shape_what_the_next_tasks_reserve(tmp_path: Path) -> None:
    """And a process that starts later begins with it: what was learned last is written when the first one ends."""
    async with inside(tmp_path) as it:
        model = await it.add_model(config={"prompt_tokens": 40, "completion_tokens": 7, "delay_ms": 20})
        first = checked(it)
        await answered(it, model)
        later = checked(it)

        assert first.est_output == 256
        assert later.est_output < 15
        assert (later.est_tokens - later.est_output) > 2 * (first.est_tokens - first.est_output)
        service_s = it.installation.learning.service_s(model.id)
        assert service_s is not None
        assert 0.02 <= service_s < 5
        assert 'prediction_error_ratio_count{model="m"}' not in it.installation.meter.render().decode()

    async with inside(tmp_path) as it:
        assert samples(it, model) == CALLS
        again = checked(it)
        assert (again.est_output, again.est_tokens) == (later.est_output, later.est_tokens)


async def test_the_error_of_what_was_expected_is_shown(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        await it.add_model(config={"prompt_tokens": 40, "completion_tokens": 7})
        [done] = await it.installation.submissions.submit([checked(it, "label")])
        task = await it.wait_for(done.task_id, "completed")

        assert (task.est_output, task.options.template) == (256, "label")
        shown = 'prediction_error_ratio_count{model="m"} 1.0'
        await until(lambda: shown in it.installation.meter.render().decode(), "the error is counted")


async def test_a_failed_call_teaches_nothing(tmp_path: Path) -> None:
    async with inside(tmp_path) as it:
        model = await it.add_model(config={"errors": [{"every": 1, "code": "invalid_request", "http_status": 400}]})
        [task_id] = await it.submit(model)
        await it.wait_for(task_id, "failed")
        await until(lambda: not len(it.installation.running), "the attempt is over")

        assert samples(it, model) == 0
