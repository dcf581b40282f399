"""Anthropic's Messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_scheduler.ports.provider import Refusal
from llm_scheduler.providers import config as fields
from llm_scheduler.providers.anthropic_answer import MessageAssembly
from llm_scheduler.providers.config import Field, checked, endpoint_url
from llm_scheduler.providers.faults import error_of
from llm_scheduler.providers.reading import AnswerReader, ask
from llm_scheduler.providers.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.domain.outbound import Outbound
    from llm_scheduler.ports.provider import Answer, Call

BASE_URL: Final = "https://api.anthropic.com"
VERSION: Final = "2023-06-01"
TIMEOUT_S: Final = 120.0
MAX_TOKENS: Final = 1024
FIELDS: Final = (
    Field("base_url", fields.base_url, BASE_URL),
    Field("api_key", fields.api_key),
    Field("model", fields.text),
    Field("max_tokens", fields.integer(1, 10_000_000), MAX_TOKENS),
    Field("timeout_s", fields.number(0.1, fields.MAX_TIMEOUT_S), TIMEOUT_S),
    Field("headers", fields.headers),
    Field("extra_body", fields.json_object),
)
_INSTEAD: Final[Mapping[str, str]] = {
    "frequency_penalty": "",
    "function_call": "`tool_choice` in Anthropic's words",
    "functions": "`tools` in Anthropic's words",
    "logit_bias": "",
    "logprobs": "",
    "max_completion_tokens": "`max_tokens`",
    "modalities": "",
    "presence_penalty": "",
    "reasoning_effort": "`thinking`",
    "response_format": "`output_config`",
    "seed": "",
    "stop": "`stop_sequences`",
    "top_logprobs": "",
}
"""Fields of OpenAI's that Messages has not, and what it has instead."""


class AnthropicKind:
    """Models behind Anthropic's HTTP interface.

    Config: `base_url`; `api_key`; `model` (the server's name for it, by default ours); `max_tokens`
    for tasks that set none; `timeout_s` likewise; `headers` to add (an `anthropic-version` goes before
    ours); `extra_body`, fields of the request where a task has none.
    """

    name = "anthropic"
    task_types: frozenset[str] = frozenset({"chat"})
    secret_fields: frozenset[str] = frozenset({"api_key"})

    def check(self, config: Mapping[str, object]) -> dict[str, object]:
        """The config with defaults.

        Raises:
            InvalidInputError: a field is unknown or unacceptable.
        """
        return checked(config, FIELDS, "config")

    def cannot(self, body: Mapping[str, object]) -> Refusal | None:
        """The first field of OpenAI's chat completions that its models do not take."""
        for name, instead in _INSTEAD.items():
            if body.get(name) is not None:
                return Refusal(name, f"does not take '{name}'; {f'use {instead}' if instead else 'leave it out'}.")
        if body.get("n") not in (None, 1):
            return Refusal("n", "gives one answer; leave 'n' out.")
        tools = body.get("tools")
        if isinstance(tools, list) and any(isinstance(tool, Mapping) and "function" in tool for tool in tools):
            return Refusal("tools", "takes tools in Anthropic's words: `name`, `description`, `input_schema`.")
        return None

    def open(self, model: str, config: Mapping[str, object]) -> AnthropicProvider:
        """A provider for one model; connects when first called."""
        return self.open_within(model, config, None)

    def open_within(self, model: str, config: Mapping[str, object], outbound: Outbound | None) -> AnthropicProvider:
        """The same, which connects only where it may."""
        values: Mapping[str, Any] = config
        key = values.get("api_key", "")
        headers = {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}
        headers.update({name.lower(): value for name, value in (values.get("headers") or {}).items()})
        body = {**(values.get("extra_body") or {}), "model": values.get("model") or model}
        return AnthropicProvider(
            _messages_url(values["base_url"]),
            Upstream(headers, (key,) if key else (), outbound),
            {"max_tokens": values["max_tokens"], **body},
        )


class AnthropicProvider:
    """One model.

    Args:
        url: of the messages.
        upstream: the server.
        defaults: fields of each request; only `model` goes before the task's.
    """

    def __init__(self, url: str, upstream: Upstream, defaults: Mapping[str, object]) -> None:
        self._url = url
        self._upstream = upstream
        self._defaults = defaults

    async def call(self, call: Call, on_delta: Callable[[str], None] | None = None) -> Answer:
        """Run to the end; see `ports.provider.Provider`."""
        if call.type != "chat":
            raise error_of("invalid_request", f"no task type '{call.type}'; use chat")
        body = {**self._defaults, **with_system_lifted(call.body), "model": self._defaults["model"], "stream": True}
        body.pop("stream_options", None)
        try:
            data = orjson.dumps(body)
        except TypeError as error:
            raise error_of("invalid_request", f"the input is no JSON: {error}") from error
        reader = AnswerReader(MessageAssembly(call.body), on_delta, self._upstream.secrets)
        return await ask(self._upstream, self._url, data, reader, call.timeout_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()


def with_system_lifted(body: Mapping[str, object]) -> Mapping[str, object]:
    """`body` with OpenAI's system and developer messages as Anthropic's `system`.

    A body without any is given back as it is. A `system` of its own comes first.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not any(_is_system(message) for message in messages):
        return body
    parts = _blocks(body.get("system"))
    for message in messages:
        if _is_system(message):
            parts += _blocks(message.get("content"))
    system: object = parts
    if all(set(part) == {"type", "text"} for part in parts):
        system = "\n\n".join(part["text"] for part in parts)
    rest = [message for message in messages if not _is_system(message)]
    return {**body, "messages": rest, "system": system}


def _is_system(message: object) -> bool:
    return isinstance(message, Mapping) and message.get("role") in ("system", "developer")


def _blocks(content: object) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _messages_url(base: str) -> str:
    """With or without the `/v1` that other servers' addresses end in."""
    return endpoint_url(base, "/messages" if base.partition("?")[0].endswith("/v1") else "/v1/messages")
