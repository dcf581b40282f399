"""OpenAI and every server that speaks its format: DeepSeek, Qwen, vLLM, Ollama, llama.cpp, …."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_scheduler.ports.provider import ProviderError
from llm_scheduler.providers import config as fields
from llm_scheduler.providers.config import Field, checked, endpoint_url
from llm_scheduler.providers.faults import error_of
from llm_scheduler.providers.openai_answer import ChoicesAssembly, EmbeddingAssembly
from llm_scheduler.providers.reading import AnswerReader, Assembly, ask
from llm_scheduler.providers.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_scheduler.domain.outbound import Outbound
    from llm_scheduler.ports.provider import Answer, Call

BASE_URL: Final = "https://api.openai.com/v1"
TIMEOUT_S: Final = 120.0
PATHS: Final[Mapping[str, str]] = {
    "chat": "/chat/completions",
    "completion": "/completions",
    "embedding": "/embeddings",
}
FIELDS: Final = (
    Field("base_url", fields.base_url, BASE_URL),
    Field("api_key", fields.api_key),
    Field("api_key_header", fields.header_name, "Authorization"),
    Field("model", fields.text),
    Field("timeout_s", fields.number(0.1, fields.MAX_TIMEOUT_S), TIMEOUT_S),
    Field("headers", fields.headers),
    Field("extra_body", fields.json_object),
    Field("stream", fields.flag, True),
)


class OpenAIKind:
    """Models behind OpenAI's HTTP interface.

    Config: `base_url`; `api_key`, sent in `api_key_header`; `model` (the server's name for it, by
    default ours); `timeout_s` for tasks that set none; `headers` to add; `extra_body`, fields of the
    request where a task has none; `stream`, false for a server that cannot, or to save its work and
    ours where nobody looks on: then there is no live text and no time to first token.
    """

    name = "openai"
    task_types: frozenset[str] = frozenset(PATHS)
    secret_fields: frozenset[str] = frozenset({"api_key"})

    def check(self, config: Mapping[str, object]) -> dict[str, object]:
        """The config with defaults.

        Raises:
            InvalidInputError: a field is unknown or unacceptable.
        """
        return checked(config, FIELDS, "config")

    def open(self, model: str, config: Mapping[str, object]) -> OpenAIProvider:
        """A provider for one model; connects when first called."""
        return self.open_within(model, config, None)

    def open_within(self, model: str, config: Mapping[str, object], outbound: Outbound | None) -> OpenAIProvider:
        """The same, which connects only where it may."""
        values: Mapping[str, Any] = config
        return OpenAIProvider(
            values["base_url"],
            values.get("model") or model,
            api_key=values.get("api_key", ""),
            headers=_headers(values),
            extra_body=values.get("extra_body"),
            is_streamed=values.get("stream", True),
            outbound=outbound,
        )


class OpenAIProvider:
    """One model of one server.

    Args:
        base_url: up to and including `/v1`.
        model: as the server calls it.
        api_key: must not stand in any message.
        headers: sent with each request, the key among them.
        extra_body: fields of the request body where a task has none.
        is_streamed: whether answers come in pieces.
        outbound: which addresses may be connected to; None = any.
    """

    def __init__(  # noqa: PLR0913 - what a server is asked with
        self,
        base_url: str,
        model: str,
        *,
        api_key: str = "",
        headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, object] | None = None,
        is_streamed: bool = True,
        outbound: Outbound | None = None,
    ) -> None:
        self._upstream = Upstream(headers or {}, (api_key,) if api_key else (), outbound)
        self._urls = {kind: endpoint_url(base_url, path) for kind, path in PATHS.items()}
        self._model = model
        self._extra_body = dict(extra_body or {})
        self._is_streamed = is_streamed
        self._asks_for_usage = True

    async def call(self, call: Call, on_delta: Callable[[str], None] | None = None) -> Answer:
        """Run to the end; see `ports.provider.Provider`."""
        url = self._urls.get(call.type)
        if url is None:
            raise error_of("invalid_request", f"no task type '{call.type}'; use one of {', '.join(PATHS)}")
        asks_for_usage = self._asks_for_usage
        try:
            return await self._ask(url, call, on_delta, asks_for_usage=asks_for_usage)
        except ProviderError as error:
            if not (asks_for_usage and _refuses_stream_options(error)):
                raise
        self._asks_for_usage = False
        return await self._ask(url, call, on_delta, asks_for_usage=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()

    async def _ask(
        self, url: str, call: Call, on_delta: Callable[[str], None] | None, *, asks_for_usage: bool
    ) -> Answer:
        reader = AnswerReader(_assembly(call), on_delta, self._upstream.secrets)
        body = self._request_body(call, asks_for_usage=asks_for_usage)
        return await ask(self._upstream, url, body, reader, call.timeout_s)

    def _request_body(self, call: Call, *, asks_for_usage: bool) -> bytes:
        body: dict[str, Any] = {**self._extra_body, **call.body, "model": self._model}
        if call.type == "embedding" or not self._is_streamed:
            body.pop("stream", None)
            body.pop("stream_options", None)
        else:
            body["stream"] = True
            if asks_for_usage:
                theirs = body.get("stream_options")
                body["stream_options"] = {
                    **(theirs if isinstance(theirs, dict) else {}),
                    "include_usage": True,
                }
            else:
                body.pop("stream_options", None)
        try:
            return orjson.dumps(body)
        except TypeError as error:
            raise error_of("invalid_request", f"the input is no JSON: {error}") from error


def _headers(config: Mapping[str, Any]) -> dict[str, str]:
    headers = dict(config.get("headers") or {})
    name, key = config["api_key_header"], config.get("api_key")
    if key:
        headers[name] = f"Bearer {key}" if name.lower() == "authorization" else key
    return headers


def _refuses_stream_options(error: ProviderError) -> bool:
    return error.http_status in (400, 422) and ("stream_options" in error.message or "include_usage" in error.message)


def _assembly(call: Call) -> Assembly:
    if call.type == "embedding":
        return EmbeddingAssembly(call.body)
    return ChoicesAssembly(call.body, is_chat=call.type == "chat")
