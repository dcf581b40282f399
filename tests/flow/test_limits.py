"""Rate limits against a provider that counts true windows of 60 seconds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest
from tests.inside import inside, until
from tests.stubs.servers import StubServer, running

if TYPE_CHECKING:
    from pathlib import Path

RPM, TPM = 120, 20_000
RUN_S = 95
WINDOW_S = 60


def body(words: int) -> str:
    return orjson.dumps({"messages": [{"role": "user", "content": "word " * words}], "max_tokens": 64}).decode()


@pytest.mark.timeout(200)
async def test_limits_are_used_to_the_brim_and_never_passed(tmp_path: Path) -> None:
    """RPM 120 and TPM 20 000: no call over the limit, at least 97 % of the binding one used in each full window."""
    async with (
        running("tests.stubs.openai_stub", "--rpm", str(RPM), "--tpm", str(TPM)) as by_requests,
        running("tests.stubs.openai_stub", "--rpm", str(RPM), "--tpm", str(TPM)) as by_tokens,
        inside(tmp_path / "data") as it,
    ):
        small = await it.add_model(
            "small", "openai", max_workers=64, rpm=RPM, tpm=TPM, config={"base_url": by_requests.base_url}
        )
        large = await it.add_model(
            "large", "openai", max_workers=64, rpm=RPM, tpm=TPM, config={"base_url": by_tokens.base_url}
        )
        await it.submit(small, 600, input=body(20), est_tokens=150)
        await it.submit(large, 600, input=body(240), est_tokens=480)
        await asyncio.sleep(RUN_S)
        requests, tokens = await by_requests.stats(), await by_tokens.stats()

        assert (requests["over_limit"], tokens["over_limit"]) == (0, 0)
        assert it.broker.waiting(small.id) > 0
        assert it.broker.waiting(large.id) > 0
        assert most_in_window(requests["times"]) <= RPM
        assert calls_per_minute(requests["times"]) >= 0.97 * RPM
        tokens_per_call = tokens["tokens"] / tokens["calls"]
        assert most_in_window(tokens["times"]) * tokens_per_call <= TPM
        assert calls_per_minute(tokens["times"]) * tokens_per_call >= 0.97 * TPM


def most_in_window(times: list[float]) -> int:
    """Calls in the fullest window of 60 s."""
    return max(sum(1 for other in times if start <= other < start + WINDOW_S) for start in times)


def calls_per_minute(times: list[float]) -> float:
    """The rate over the whole run, while tasks waited all the time."""
    return (len(times) - 1) / (times[-1] - times[0]) * 60


@pytest.mark.timeout(120)
async def test_a_429_with_retry_after_pauses_the_whole_queue(tmp_path: Path) -> None:
    """All answers 429 with Retry-After 5: at most 2 probes in those 5 s with 1 000 waiting, no retry burnt."""
    async with running("tests.stubs.openai_stub") as stub, inside(tmp_path / "data") as it:
        await stub.post("behaviour", behaviour="retry_after:5")
        model = await it.add_model(max_workers=1, kind="openai", config={"base_url": stub.base_url})
        ids = await it.submit(model, 1_000, max_retries=0)
        await asyncio.sleep(6)
        times = (await stub.stats())["times"]
        first = times[0]
        probes = [at for at in times if first < at <= first + 5]
        assert len(probes) <= 2

        await stub.post("behaviour", behaviour="")
        await it.models.scale("m", 1, 32)  # type: ignore[arg-type]
        await until(lambda: it.broker.waiting() == 0, "all ran", 40)
        task = await it.wait_for(ids[0], "completed")
        assert task.failures == 0
        assert task.retry_count == 0
        assert task.attempt >= 2


@pytest.mark.timeout(60)
async def test_after_a_pause_one_probe_goes_first(tmp_path: Path) -> None:
    """Many slots, but after a 429 only one call tries until one has succeeded."""
    async with running("tests.stubs.openai_stub") as stub, inside(tmp_path / "data") as it:
        await stub.post("behaviour", behaviour="retry_after:1")
        model = await it.add_model(max_workers=8, kind="openai", config={"base_url": stub.base_url})
        await it.submit(model, 200, max_retries=0)
        await until(lambda: _calls(stub, 8), "first calls")
        await asyncio.sleep(3.5)

        assert 9 <= (await stub.stats())["calls"] <= 8 + 4


async def _calls(stub: StubServer, count: int) -> bool:
    return (await stub.stats())["calls"] >= count
