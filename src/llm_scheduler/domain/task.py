"""A task: one call to a model, what was asked and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.ids import Millis, ModelId, SessionId, TaskId, TenantId
    from llm_scheduler.domain.retry import RetryPolicy
    from llm_scheduler.domain.status import DeadReason, Status

PRIORITY_NAMES: Final[Mapping[str, int]] = {"high": 0, "medium": 5, "low": 9}
FIRST_PRIORITY: Final = 0
LAST_PRIORITY: Final = 9
MEDIUM: Final = 5


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that one call used, as the provider counted them.

    `cached_tokens` of the prompt were read from the provider's prompt cache, `cache_write_tokens` written into it:
    both are among `prompt_tokens`, and priced apart.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class TaskError:
    """What went wrong, in words a caller can act on."""

    code: str
    message: str
    is_retryable: bool
    http_status: int | None = None


CONFIG_DIGEST_CHARS: Final = 16
"""A cache key begins with the digest of the model's config at submit: see `Ended.config_digest`."""
LONGEST_TTL_S: Final = 30 * 86_400


class CacheWish(NamedTuple):
    """Wants the stored answer of an equal task, else to follow an equal one in flight, else to store its own.

    `key`: 64 characters that equal tasks share. `ttl_s`: how long its own answer is kept, 1 to LONGEST_TTL_S.
    """

    key: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What became of a wish. All None but `ttl_s`: the task runs by itself."""

    ttl_s: int
    leader_id: TaskId | None = None
    """The task whose answer it waits for."""
    source_id: TaskId | None = None
    """The task whose answer it was given."""


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What is asked of a task beyond its columns.

    `fallback_models` None takes the model's. `template`: tasks of one template are alike in length.
    `tier`: the provider's service tier, by which a call is priced.
    """

    fallback_models: tuple[str, ...] | None = None
    template: str | None = None
    tier: str | None = None
    first_model: str | None = None
    """The model that was asked for, if the task has moved to another one."""
    moved_for: str | None = None
    """Why it moved last: a stable code, such as an error's."""
    drops_payload: bool = False
    """Input and output are kept only as long as they are needed: what held for its tenant when it was submitted."""


NO_OPTIONS: Final = TaskOptions()


@dataclass(frozen=True, slots=True)
class NewTask:
    """A checked task on its way to the record.

    `input` is the JSON text of the provider's request body (an object). `est_tokens` is what it reserves of
    a limit: prompt plus what is expected or may come out; `est_output` is that second part. `metadata` maps
    text to text. `key_id` is the API key that it came with.
    """

    tenant_id: TenantId
    model_id: ModelId
    type: str
    input: str
    priority: int
    max_retries: int
    est_tokens: int
    run_at: Millis | None = None
    deadline_at: Millis | None = None
    timeout_s: float | None = None
    retry: RetryPolicy | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    idempotency_key: str | None = None
    fingerprint: str | None = None
    """SHA-256 of the request body: the same idempotency key with another one is a conflict."""
    cache: CacheWish | None = None
    est_output: int = 0
    key_id: int | None = None
    options: TaskOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class Task:
    """One row of the record, with its result when it has one."""

    id: TaskId
    tenant_id: TenantId
    model_id: ModelId
    type: str
    status: Status
    priority: int
    input: str
    attempt: int
    failures: int
    crashes: int
    retry_count: int
    max_retries: int
    est_tokens: int
    generation: int
    is_cancel_requested: bool
    created_at: Millis
    updated_at: Millis
    queued_at: Millis | None
    eligible_at: Millis
    started_at: Millis | None = None
    completed_at: Millis | None = None
    run_at: Millis | None = None
    deadline_at: Millis | None = None
    timeout_s: float | None = None
    retry: RetryPolicy | None = None
    owner: SessionId | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    error: TaskError | None = None
    dead_reason: DeadReason | None = None
    output: str | None = None
    """Text of the answer."""
    raw: str | None = None
    """The provider's whole answer, JSON text."""
    usage: Usage = field(default_factory=Usage)
    cost_microusd: int = 0
    cache: CacheUse | None = None
    est_output: int = 0
    key_id: int | None = None
    options: TaskOptions = NO_OPTIONS


class WaitingTask(NamedTuple):
    """What ordering a task needs to know: the columns that the index is built from."""

    task_id: TaskId
    model_id: ModelId
    tenant_id: TenantId
    type: str
    priority: int
    attempt: int
    est_tokens: int
    queued_at: Millis
    deadline_at: Millis | None
    est_output: int = 0


class AttemptOutcome(StrEnum):
    """How one attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    RATE_LIMITED = "rate_limited"
    CANCELLED = "cancelled"
    CRASHED = "crashed"
    RETURNED = "returned"
    """Put back unfinished: a graceful stop."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of a task. `ended_at` and `outcome` are None while it runs."""

    task_id: TaskId
    attempt: int
    session_id: SessionId
    started_at: Millis
    ended_at: Millis | None = None
    outcome: AttemptOutcome | None = None
    error: TaskError | None = None
    usage: Usage = field(default_factory=Usage)
    cost_microusd: int = 0
    ttft_ms: int | None = None
    endpoint: str | None = None


class LogLevel(StrEnum):
    """Severity of a task log line."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class TaskLog:
    """One step of a task, for people."""

    task_id: TaskId
    level: LogLevel
    message: str
    created_at: Millis
    data: Mapping[str, object] | None = None
