"""Talking to a model: a result with usage, deltas on the way, or an error that says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable

from llm_scheduler.domain.task import Usage
from llm_scheduler.ports.broker import Unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.domain.ids import TaskId
    from llm_scheduler.domain.outbound import Outbound


class Quota(NamedTuple):
    """What a provider says of one of its limits, when it let a call in or refused it.

    `limit` per minute (of some providers: per day), `remaining` of it now, `reset_s` seconds until all of it (or the
    next part) is back. None = not said.
    """

    limit: int | None
    remaining: int
    reset_s: float | None = None


Allowance = Mapping[Unit, Quota]
"""What is left in each unit that an answer's headers spoke of."""
NO_ALLOWANCE: Final[Allowance] = MappingProxyType({})


class Fault(StrEnum):
    """Whose doing an error is."""

    CALLER = "caller"
    """The request can never succeed as it stands."""
    PROVIDER = "provider"
    """The provider failed; another try may succeed."""
    LIMIT = "limit"
    """A rate limit: costs no retry, the whole lane pauses."""
    SETUP = "setup"
    """Key, address or model name is wrong: an operator must mend it."""
    QUOTA = "quota"
    """Nothing is left to spend there until someone pays: costs no retry, that way to the model pauses for long."""


class ProviderError(Exception):
    """A call failed.

    Args:
        code: stable snake_case: `rate_limited`, `timeout`, `connection_failed`, `stream_cut`, `bad_response`,
            `server_error`, `overloaded`, `invalid_request`, `authentication_failed`, `not_found`,
            `permission_denied`, `insufficient_quota`, `too_large`, `content_filtered`, `context_length_exceeded`;
            `task_type_failed` and `bad_answer` are a plugin's.
        message: for people; holds no secret.
        is_retryable: whether the same request may succeed later.
        fault: whose doing it is.
        http_status: of the answer, if there was one.
        retry_after_s: what the provider asked for.
        usage: tokens spent all the same, as far as known.
        allowance: what is left of the provider's limits, as far as the answer said so.
        was_sent: whether the request may have reached the provider.
    """

    def __init__(  # noqa: PLR0913 - the facts of an error
        self,
        code: str,
        message: str,
        *,
        is_retryable: bool,
        fault: Fault,
        http_status: int | None = None,
        retry_after_s: float | None = None,
        usage: Usage | None = None,
        allowance: Allowance = NO_ALLOWANCE,
        was_sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.is_retryable, self.fault = code, message, is_retryable, fault
        self.http_status, self.retry_after_s = http_status, retry_after_s
        self.usage, self.allowance, self.was_sent = usage or Usage(), allowance, was_sent


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `body` is the task's input (an object in the provider's own words)."""

    task_id: TaskId
    attempt: int
    type: str
    body: Mapping[str, object]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `raw` is the whole answer as the provider would give it without streaming."""

    text: str
    raw: Mapping[str, object]
    usage: Usage = field(default_factory=Usage)
    finish_reason: str | None = None
    ttft_ms: int | None = None
    """Milliseconds from the request to the first byte of the answer's text."""
    allowance: Allowance = field(default_factory=lambda: NO_ALLOWANCE)
    """What was left of the provider's limits when it let this call in."""


class Provider(Protocol):
    """One opened model: keeps its connections between calls. Cancelling `call` aborts the request at once."""

    async def call(self, call: Call, on_delta: Callable[[str], None] | None = None) -> Answer:
        """Run to the end.

        Streams inside whenever the format can, so that time to first token is known; `on_delta` gets
        each piece of text.

        Raises:
            ProviderError: with what to do about it; `timeout` when `call.timeout_s` has passed.
        """
        ...

    async def close(self) -> None:
        """Close connections, free memory."""
        ...


class ProviderKind(Protocol):
    """A type of model (`openai`, `local`, …): checks a config and opens it."""

    name: str
    task_types: frozenset[str]
    secret_fields: frozenset[str]
    """Keys of the config that are sealed at rest and masked in answers."""

    def check(self, config: Mapping[str, object]) -> dict[str, object]:
        """The config with defaults filled in; secrets are plain here.

        Raises:
            InvalidInputError: with `loc` ("config", field) for an unknown field, a wrong type or range.
        """
        ...

    def open(self, model: str, config: Mapping[str, object]) -> Provider:
        """Make ready for calls; `config` went through `check`. Connects only when first called."""
        ...


@runtime_checkable
class ServerKind(Protocol):
    """A kind whose models may reach into the server itself; those are for the installation's own tenant only."""

    def needs_server(self, config: Mapping[str, object]) -> bool:
        """Whether a model with this config runs inside the server, or names files on it."""
        ...


@runtime_checkable
class BoundedKind(Protocol):
    """A kind whose providers open connections to addresses that users choose, and only where they may."""

    def open_within(self, model: str, config: Mapping[str, object], outbound: Outbound | None) -> Provider:
        """As `ProviderKind.open`; every connection is checked against `outbound` when it is opened."""
        ...


class Refusal(NamedTuple):
    """A field of a chat completion that a kind of model cannot serve. `why` goes on from the model's name."""

    field: str
    why: str


@runtime_checkable
class SelectiveKind(Protocol):
    """A kind that serves less than OpenAI's chat completions, and says so before anything is queued."""

    name: str

    def cannot(self, body: Mapping[str, object]) -> Refusal | None:
        """The first thing in a chat completion that its models cannot do."""
        ...
