"""What a call tells the controller of concurrency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.inside import inside

from llm_scheduler.domain.model import AutoWorkers, ModelOptions
from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.provider import Answer
from llm_scheduler.workers.sampling import Timed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("ttft_ms", "is_streamed"), [(0, True), (10_000, False)])
async def test_an_answer_that_came_in_one_burst_says_nothing_of_its_first_token(
    tmp_path: Path, ttft_ms: int, is_streamed: bool
) -> None:
    """A proxy that holds a stream back makes the whole call look like waiting, and the limit would stick at one."""
    async with inside(tmp_path) as it:
        model = await it.add_model(options=ModelOptions(auto_workers=AutoWorkers(1, 8)))
        tools = it.installation.worker._tools
        timed = Timed(tools, model)

        timed._began_s -= 10
        timed.answered(Answer("", {}, Usage(5, 50), ttft_ms=ttft_ms))
        lane = it.installation.concurrency._lanes[model.id]

        assert (lane.samples[-1].ttft_ms is not None) is is_streamed
