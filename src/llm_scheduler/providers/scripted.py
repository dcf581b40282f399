"""A model that plays a script: for trying things out, for tests and for measuring all the rest."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.provider import Answer
from llm_scheduler.providers import config as fields
from llm_scheduler.providers.config import Field, checked
from llm_scheduler.providers.faults import error_of
from llm_scheduler.providers.script import SCRIPT_FIELDS, Script, draw, script_of_task
from llm_scheduler.providers.tokens import estimated_prompt_tokens, estimated_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.ports.provider import Call

_TASK_TYPES: Final = frozenset({"chat", "completion", "embedding"})
_DIMENSIONS: Final = 8


class ScriptedKind:
    """Models that play a script.

    Config: the fields of `Script`, and `ledger`, a file that gets a line `task_id attempt epoch_ms`
    when a call starts. A task's input may hold `script`, whose fields go before the config's.
    """

    name = "scripted"
    task_types: frozenset[str] = _TASK_TYPES
    secret_fields: frozenset[str] = frozenset()

    def needs_server(self, config: Mapping[str, object]) -> bool:
        """Its ledger is a file there, which it writes."""
        return config.get("ledger") is not None

    def check(self, config: Mapping[str, object]) -> dict[str, object]:
        """The config as it was given: a script's defaults stand in `Script`.

        Raises:
            InvalidInputError: a field is unknown or unacceptable.
        """
        ours = (Field("ledger", fields.text), Field("timeout_s", fields.number(0.001, fields.MAX_TIMEOUT_S)))
        kept = checked(config, (*SCRIPT_FIELDS, *ours), "config")
        return {name: config[name] for name in kept}

    def open(self, model: str, config: Mapping[str, object]) -> ScriptedProvider:
        """A provider that plays `config`."""
        ledger = config.get("ledger")
        script = {name: value for name, value in config.items() if name not in ("ledger", "timeout_s")}
        return ScriptedProvider(model, script, ledger if isinstance(ledger, str) else None)


class ScriptedProvider:
    """Plays a script; deterministic for a task and attempt, but for `every`, which counts calls.

    Args:
        model: named in answers.
        script: fields of `Script` as JSON.
        ledger: file for call starts.
    """

    def __init__(self, model: str, script: Mapping[str, object], ledger: str | None = None) -> None:
        self._model = model
        self._values = dict(script)
        self._script = Script.of(script, "config")
        self._ledger = ledger
        self._ledger_fd: int | None = None
        self._count = 0

    async def call(self, call: Call, on_delta: Callable[[str], None] | None = None) -> Answer:
        """Play to the end; see `ports.provider.Provider`."""
        if call.type not in _TASK_TYPES:
            raise error_of("invalid_request", f"no task type '{call.type}'")
        if self._ledger is not None:
            self._note(call)
        self._count += 1
        given = call.body.get("script")
        script = self._script if given is None else self._script_of(given)
        error = script.failure(call, self._count) if script.errors or script.fail_attempts else None
        if script.is_instant:
            if error is not None:
                raise error
            return self._say(script, call, on_delta)
        try:
            async with asyncio.timeout(call.timeout_s):
                started_s = time.perf_counter()
                await asyncio.sleep(script.wait_s(call))
                if error is not None:
                    raise error
                ttft_ms = round((time.perf_counter() - started_s) * 1000)
                return await self._speak(script, call, on_delta, ttft_ms)
        except TimeoutError:
            raise error_of("timeout", f"no answer within {call.timeout_s:g} s") from None

    async def close(self) -> None:
        """Close the ledger."""
        if self._ledger_fd is not None:
            os.close(self._ledger_fd)
            self._ledger_fd = None

    def _script_of(self, given: object) -> Script:
        try:
            return script_of_task(self._values, given)
        except InvalidInputError as error:
            raise error_of("invalid_request", str(error)) from error

    def _say(self, script: Script, call: Call, on_delta: Callable[[str], None] | None) -> Answer:
        """All at once, without a turn of the event loop."""
        said = "" if call.type == "embedding" else _filled(script.text, call)
        if on_delta is not None and said:
            for piece in script.pieces(said):
                on_delta(piece)
        return self._answer(script, call, said, 0)

    async def _speak(self, script: Script, call: Call, on_delta: Callable[[str], None] | None, ttft_ms: int) -> Answer:
        said = "" if call.type == "embedding" else _filled(script.text, call)
        answer = self._answer(script, call, said, ttft_ms)
        pieces = script.pieces(said)
        pause_s = answer.usage.completion_tokens / script.tokens_per_s / len(pieces) if script.tokens_per_s else 0.0
        for piece in pieces:
            if on_delta is not None and piece:
                on_delta(piece)
            if pause_s:
                await asyncio.sleep(pause_s)
        return answer

    def _answer(self, script: Script, call: Call, said: str, ttft_ms: int) -> Answer:
        prompt, completion = script.prompt_tokens, script.completion_tokens
        usage = Usage(
            estimated_prompt_tokens(call.body) if prompt is None else prompt,
            estimated_tokens(said) if completion is None else completion,
        )
        return Answer(said, self._raw(call, said, usage), usage, "stop" if said else None, ttft_ms)

    def _raw(self, call: Call, said: str, usage: Usage) -> dict[str, Any]:
        counted = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        }
        if call.type == "embedding":
            vector = [draw(at, call.task_id, 0) * 2 - 1 for at in range(_DIMENSIONS)]
            data = [{"object": "embedding", "index": 0, "embedding": vector}]
            return {"object": "list", "data": data, "model": self._model, "usage": counted}
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
        if call.type == "chat":
            choice["message"] = {"role": "assistant", "content": said}
        else:
            choice["text"] = said
        return {
            "id": f"scripted-{call.task_id}-{call.attempt}",
            "object": "chat.completion" if call.type == "chat" else "text_completion",
            "created": 0,
            "model": self._model,
            "choices": [choice],
            "usage": counted,
        }

    def _note(self, call: Call) -> None:
        """One write of one line: lines of several processes do not mix, and a crash loses none."""
        if self._ledger_fd is None:
            try:
                self._ledger_fd = os.open(str(self._ledger), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            except OSError as error:
                raise error_of("not_found", f"the ledger cannot be opened: {error.strerror}") from error
        os.write(self._ledger_fd, b"%d %d %d\n" % (call.task_id, call.attempt, time.time_ns() // 1_000_000))


def _filled(text: str, call: Call) -> str:
    if "{" not in text:
        return text
    text = text.replace("{task_id}", str(call.task_id)).replace("{attempt}", str(call.attempt))
    return text.replace("{prompt}", _prompt(call.body)) if "{prompt}" in text else text


def _prompt(body: Mapping[str, object]) -> str:
    messages = body.get("messages")
    if isinstance(messages, list) and messages:
        last = messages[-1]
        content = last.get("content") if isinstance(last, Mapping) else None
        return content if isinstance(content, str) else ""
    prompt = body.get("prompt")
    return prompt if isinstance(prompt, str) else ""
