"""A model that is paced by what its provider's answers say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from tests.inside import Inside, inside, until
from tests.stubs.servers import StubServer, running

from llm_scheduler.domain.ids import DEFAULT_TENANT, TaskId
from llm_scheduler.domain.model import Endpoint, ModelOptions, Pacing

if TYPE_CHECKING:
    from pathlib import Path

RPM = 1_200
"""What the provider allows: 20 a second, a bucket of three seconds deep."""
STRICT = ("--rpm", str(RPM), "--counting", "bucket", "--span-s", "3", "--headers", "openai")


async def started(it: Inside, stub: StubServer, rpm: int, tasks: int = 1_500, **fields: Any) -> list[int]:
    model = await it.add_model(kind="openai", max_workers=32, rpm=rpm, config={"base_url": stub.base_url}, **fields)
    return await it.submit(model, tasks, max_retries=0)


async def test_a_limit_that_is_configured_too_low_is_only_a_start(tmp_path: Path) -> None:
    """Half of the true limit is configured: within seconds the provider's own is used."""
    async with running("tests.stubs.openai_stub", *STRICT) as stub, inside(tmp_path / "data") as it:
        await started(it, stub, RPM // 2)
        stats = await stub.wait_until(lambda stats: stats["calls"] >= 200, 30)

        took_s = stats["times"][-1] - stats["times"][0]
        assert 200 / took_s > RPM / 60 * 0.75
        assert stats["over_limit"] <= 4


async def test_a_limit_that_is_configured_too_high_brings_no_storm_of_429s(tmp_path: Path) -> None:
    """Twice the true limit is configured: refusals stay single, none burns a retry, the limit is used."""
    async with running("tests.stubs.openai_stub", *STRICT) as stub, inside(tmp_path / "data") as it:
        ids = await started(it, stub, RPM * 2)
        stats = await stub.wait_until(lambda stats: stats["calls"] >= 300, 40)

        took_s = stats["times"][-1] - stats["times"][0]
        assert 300 / took_s > RPM / 60 * 0.75
        assert stats["over_limit"] <= 9  # 3 %
        assert (await it.wait_for(ids[0], "completed")).failures == 0


async def test_a_model_may_hold_to_its_configured_limits(tmp_path: Path) -> None:
    """A quarter of what the provider allows is used, not all of it; how exactly is measured on a still clock."""
    async with running("tests.stubs.openai_stub", *STRICT) as stub, inside(tmp_path / "data") as it:
        await started(it, stub, RPM // 4, options=ModelOptions(pacing=Pacing.CONFIGURED))
        stats = await stub.wait_until(lambda stats: stats["calls"] >= 40, 30)

        took_s = stats["times"][-1] - stats["times"][0]
        assert 39 / took_s <= RPM / 4 / 60 * 2


async def test_an_empty_account_pauses_the_model_and_keeps_every_task(tmp_path: Path) -> None:
    """No task fails and none burns a retry: they wait in their places, and the log of each that tried says why."""
    async with running("tests.stubs.openai_stub") as stub, inside(tmp_path / "data") as it:
        await stub.post("behaviour", behaviour="error:insufficient_quota")
        with capture_logs() as logs:
            model = await it.add_model(kind="openai", max_workers=2, config={"base_url": stub.base_url})
            ids = await it.submit(model, 20, max_retries=0)
            await stub.wait_until(lambda stats: stats["calls"] >= 1)
            await until(lambda: it.broker.waiting() == 20, "all wait again")

        assert (await stub.stats())["calls"] <= 2
        task = await it.task(ids[0])
        assert (task.status, task.failures, task.retry_count) == ("queued", 0, 0)
        said = [line.message for line in (await it.store.logs(task.id))]
        assert any("account is used up" in line for line in said), said
        assert [line for line in logs if line["event"] == "quota_exhausted"]


async def pauses(it: Inside, task_id: int) -> list[str]:
    task = await it.installation.tasks.get(TaskId(task_id), DEFAULT_TENANT)
    return [one.detail for one in (await it.installation.explaining.explain(task)).reasons if one.code == "throttled"]


@pytest.mark.parametrize("endpoints", [(), ("east",)])
async def test_a_person_ends_the_pause_of_a_used_up_account(tmp_path: Path, endpoints: tuple[str, ...]) -> None:
    """It went on for a quarter of an hour after the account was topped up, whatever one did."""
    async with running("tests.stubs.openai_stub") as stub, inside(tmp_path / "data") as it:
        await stub.post("behaviour", behaviour="error:insufficient_quota")
        model = await it.add_model(
            kind="openai", max_workers=2, config={"base_url": stub.base_url},
            endpoints=tuple(Endpoint(name) for name in endpoints),
        )  # fmt: skip
        ids = await it.submit(model, 20, max_retries=0)
        await stub.wait_until(lambda stats: stats["calls"] >= 1)
        await until(lambda: it.broker.waiting() == 20, "all wait again")
        [said] = await pauses(it, ids[0])
        await stub.post("behaviour", behaviour="")

        for name in endpoints:
            assert f"llms models endpoints resume m {name}" in said
            await it.installation.endpoints.resume("m", DEFAULT_TENANT, name)
        if not endpoints:
            assert "llms models resume m" in said
            await it.installation.models.resume("m", DEFAULT_TENANT)

        assert (await it.wait_for(ids[-1], "completed")).failures == 0
        await until(lambda: it.broker.waiting() == 0, "all have started")


@pytest.mark.parametrize("style", ["anthropic", "azure"])
async def test_other_dialects_are_understood(tmp_path: Path, style: str) -> None:
    options = ("--rpm", str(RPM), "--counting", "bucket", "--span-s", "3", "--headers", style)
    async with running("tests.stubs.openai_stub", *options) as stub, inside(tmp_path / "data") as it:
        await started(it, stub, RPM // 2, tasks=300)
        stats = await stub.wait_until(lambda stats: stats["calls"] >= 120, 30)

        assert 119 / (stats["times"][-1] - stats["times"][0]) > RPM / 60 * 0.7
