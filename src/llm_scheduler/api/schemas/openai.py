"""Chat completions and models as OpenAI's clients send and read them, with our own options beside."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from llm_scheduler.api.fields import Body, Instant, Metadata, Priority, Shown
from llm_scheduler.api.schemas.tasks import ModelName

LONGEST_WAIT_S: Final = 3600.0
NOT_YET: Final = ("depends_on", "tags", "budget")
"""Options of ours that no chat completion takes; they must not reach a provider either."""
OURS: Final = frozenset({"model", "stream", "stream_options", "priority", "deadline", "max_wait_s"})
"""Fields that no provider gets from the caller: its own name of the model, and whether it streams, it says itself."""

Flag = Annotated[bool, Field(strict=True)]
WaitSeconds = Annotated[float, Field(strict=True, ge=0.1, le=LONGEST_WAIT_S)]

_EXAMPLE = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 64,
    "stream": False,
    "priority": "high",
}


class StreamOptionsBody(Body):
    """How to stream."""

    model_config = ConfigDict(extra="allow")

    include_usage: Flag | None = None
    """One more chunk before the end, without choices and with the usage."""


class ChatBody(Body):
    """A chat completion. What is not listed here goes to the provider as it is."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [_EXAMPLE]})

    model: ModelName
    """Name of a registered model."""
    messages: Annotated[list[dict[str, Any]], Field(min_length=1)]
    """As OpenAI words them: roles, text or parts, tool calls."""
    stream: Flag | None = None
    """Server-sent events, the last one `[DONE]`."""
    stream_options: StreamOptionsBody | None = None
    n: Annotated[int, Field(strict=True, ge=1, le=128)] | None = None
    """Choices; more than one where the model's provider can."""
    metadata: Metadata | None = None
    """The task's, to find it by; the provider gets it only with `store: true`."""
    priority: Priority | None = None
    """Ours: `high`, `medium`, `low`, or 0 (first) to 9 (last). Or the header `X-LLMS-Priority`."""
    deadline: Instant | None = None
    """Ours: a task that waits past it expires."""
    max_wait_s: WaitSeconds | None = None
    """Ours: seconds to wait for its turn at most, kept alive meanwhile. Or the header `X-LLMS-Max-Wait`."""

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_not_there(cls, value: Any) -> Any:
        for name in NOT_YET:
            if isinstance(value, dict) and value.get(name) is not None:
                raise ValueError(f"'{name}' is not taken here; leave it out.")
        return value


class CompletionUsageShown(Shown):
    """Tokens as the provider counted them."""

    model_config = ConfigDict(extra="allow")

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatMessageShown(Shown):
    """What the model said."""

    model_config = ConfigDict(extra="allow")

    role: Literal["assistant"]
    content: str | None


class ChatChoiceShown(Shown):
    """One answer."""

    model_config = ConfigDict(extra="allow")

    index: int
    message: ChatMessageShown
    finish_reason: str | None


class ChatCompletionShown(Shown):
    """OpenAI's `chat.completion`. `id` has the number of the task."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoiceShown]
    usage: CompletionUsageShown


class OpenAIModelShown(Shown):
    """A model that the caller may use."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModelList(Shown):
    """All of them."""

    object: Literal["list"]
    data: list[OpenAIModelShown]


class OpenAIErrorShown(Shown):
    """What went wrong, in OpenAI's words."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIErrorAnswer(Shown):
    """An error under `/v1`."""

    error: OpenAIErrorShown
