"""Tasks: what is submitted, and how one looks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from llm_scheduler.api.fields import Body, Input, Instant, Metadata, Priority, Shown
from llm_scheduler.api.filters import FilterBody, StatusName
from llm_scheduler.domain.retry import RetryPolicy
from llm_scheduler.domain.task import LONGEST_TTL_S

Seconds = Annotated[float, Field(strict=True, ge=0.1, le=86_400)]
Retries = Annotated[int, Field(strict=True, ge=0, le=100)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Template = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^\S+$")]
Key = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[ -~]+$")]


class RetryBody(Body):
    """Back-off: drawn from [0, min(max_delay_s, initial_delay_s * backoff_factor ** (failures - 1))]."""

    max_retries: Retries = 3
    """Attempts after the first."""
    initial_delay_s: Annotated[float, Field(strict=True, ge=0, le=86_400)] = 1.0
    max_delay_s: Annotated[float, Field(strict=True, ge=0, le=604_800)] = 60.0
    backoff_factor: Annotated[float, Field(strict=True, ge=1, le=100)] = 2.0

    def policy(self) -> RetryPolicy:
        """The same as a rule."""
        return RetryPolicy(self.max_retries, self.initial_delay_s, self.max_delay_s, self.backoff_factor)


class CacheBody(Body):
    """Use of the response cache: exact, per tenant, over the model's config, the type and the whole input."""

    ttl_s: Annotated[int, Field(strict=True, ge=1, le=LONGEST_TTL_S)]
    """Seconds that the answer is kept for equal tasks: up to 30 days."""


_EXAMPLE = {
    "model": "gpt-4o-mini",
    "type": "chat",
    "input": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 64},
    "priority": "high",
    "max_retries": 3,
    "timeout_s": 120,
    "metadata": {"run": "42"},
}


class TaskBody(Body):
    """A task to submit. It is a `services.submit.TaskDraft`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    model: ModelName
    """Name of a registered model."""
    input: Input
    """The provider's request body, or a text: for chat it becomes one user message."""
    type: Annotated[str, StringConstraints(min_length=1, max_length=64)] = "chat"
    """`chat`, `completion`, `embedding`, or what a plugin adds."""
    priority: Priority | None = None
    """`high` (0), `medium` (5), `low` (9), or a whole number between; medium without."""
    max_retries: Retries | None = None
    """Attempts after the first; the model's own number without."""
    run_at: Instant | None = None
    """Not before."""
    deadline_at: Instant | None = None
    """Not after: a task that waits past it expires."""
    timeout_s: Seconds | None = None
    """For one call to the model."""
    fallback_models: list[ModelName] | None = None
    """Where it goes, in this order, when its model is down or refuses; the model's own list without."""
    metadata: Metadata | None = None
    """Up to 32 pairs of text, to find tasks by."""
    retry: RetryBody | None = None
    """The task's own back-off."""
    cache: CacheBody | None = None
    """Take the stored answer of an equal task, at no cost; wait for an equal one in flight; else store this one's."""
    template: Template | None = None
    """A name for tasks that are alike, so that their length is predicted from one another; the type without."""
    idempotency_key: Key | None = None
    """As the Idempotency-Key header, which may be sent instead."""

    @property
    def policy(self) -> RetryPolicy | None:
        """The task's own back-off, as a rule."""
        return None if self.retry is None else self.retry.policy()

    @property
    def cache_ttl_s(self) -> int | None:
        """Seconds that the answer is kept, None without the cache."""
        return None if self.cache is None else self.cache.ttl_s


class RetryTaskBody(Body):
    """What a task is queued again with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"input": _EXAMPLE["input"]}]})

    input: Input | None = None
    """Takes the place of the task's input."""


class WaitQuery(Body):
    """Whether to wait for the end of a task."""

    wait: Annotated[int, Field(ge=1, le=60)] | None = None
    """Answer when the task is over, or after so many seconds."""


class SubmitQuery(WaitQuery):
    """How to submit."""

    dry_run: bool = False
    """Record nothing; say what the task would cost and when it would be done."""


class ListQuery(FilterBody):
    """Filter and page."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    """Tasks on one page."""
    cursor: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """`next_cursor` of the page before."""
    order: Literal["asc", "desc"] = "desc"
    """Oldest first or newest first."""
    payload: Literal["full", "none"] = "full"
    """`none` leaves inputs and outputs out: a list that is drawn needs none, and they may be large."""


DeadReasonName = Literal["retries_exhausted", "not_retryable", "worker_crashes", "retry_budget"]


class UsageShown(Shown):
    """Tokens as the provider counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ErrorShown(Shown):
    """What went wrong."""

    code: str
    message: str
    retryable: bool
    http_status: int | None


class OutputShown(Shown):
    """What came back. `raw` is the provider's whole answer; null in lists."""

    text: str | None
    raw: dict[str, Any] | None


class FallbackShown(Shown):
    """That the task has moved to another model."""

    model_config = ConfigDict(populate_by_name=True)

    from_: str = Field(alias="from")
    """The model that was asked for."""
    reason: str | None
    """Why it moved last: `circuit_open`, `unhealthy`, `retries_exhausted`, or the code of the error."""


class CacheShown(Shown):
    """What became of the wish for a stored answer."""

    ttl_s: int
    hit: bool
    """The answer is a copy: no call was made for it, it used no tokens and cost nothing."""
    task_id: int | None
    """The task whose answer this is, or that it waits for; null for one that runs itself."""


_SHOWN = {
    "id": 4711,
    "model": "gpt-4o-mini",
    "type": "chat",
    "status": "completed",
    "priority": 0,
    "input": _EXAMPLE["input"],
    "output": {"text": "Hello!", "raw": {"choices": [{"message": {"role": "assistant", "content": "Hello!"}}]}},
    "payload_hidden": False,
    "payload_gone": False,
    "error": None,
    "dead_reason": None,
    "attempt": 1,
    "failures": 0,
    "max_retries": 3,
    "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10},
    "cost_microusd": 2,
    "cache": None,
    "template": None,
    "fallback": None,
    "queue_position": None,
    "metadata": {"run": "42"},
    "timeout_s": 120.0,
    "run_at": None,
    "deadline_at": None,
    "created_at": "2030-01-31T09:00:00.000Z",
    "queued_at": "2030-01-31T09:00:00.000Z",
    "started_at": "2030-01-31T09:00:00.012Z",
    "completed_at": "2030-01-31T09:00:00.870Z",
    "updated_at": "2030-01-31T09:00:00.870Z",
}


class TaskShown(Shown):
    """A task."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SHOWN]})

    id: int
    model: str
    type: str
    status: StatusName
    priority: int
    input: dict[str, Any] | None
    """Null when `payload_hidden` or `payload_gone`."""
    output: OutputShown | None
    payload_hidden: bool
    """The caller lacks `payloads:read`: input, output and the words of errors are left out."""
    payload_gone: bool
    """They are not kept any more, see `store_payloads`."""
    error: ErrorShown | None
    dead_reason: DeadReasonName | None
    attempt: int
    """Starts so far."""
    failures: int
    max_retries: int
    usage: UsageShown
    cost_microusd: int
    cache: CacheShown | None
    """Null for a task that does not ask for the cache."""
    template: str | None
    fallback: FallbackShown | None
    """Null while it is at the model that was asked for."""
    queue_position: int | None
    """Tasks that come before it among those of its priority; null when it does not wait or is far back."""
    metadata: dict[str, str]
    timeout_s: float | None
    run_at: str | None
    deadline_at: str | None
    created_at: str
    queued_at: str | None
    started_at: str | None
    completed_at: str | None
    updated_at: str


class TaskPage(Shown):
    """A page of tasks."""

    items: list[TaskShown]
    next_cursor: str | None


class CountsShown(Shown):
    """Tasks by status."""

    counts: dict[StatusName, int]
    total: int


class AttemptShown(Shown):
    """One start of a task; `ended_at` and `outcome` are null while it runs."""

    attempt: int
    session_id: int
    outcome: Literal["completed", "failed", "rate_limited", "cancelled", "crashed", "returned"] | None
    error: ErrorShown | None
    endpoint: str | None
    """Which of the model's endpoints was called; null where it has one way only."""
    usage: UsageShown
    cost_microusd: int
    ttft_ms: int | None
    started_at: str
    ended_at: str | None


class AttemptList(Shown):
    """Every start, oldest first."""

    items: list[AttemptShown]


class LogShown(Shown):
    """One step of a task."""

    level: Literal["debug", "info", "warning", "error"]
    message: str
    data: dict[str, Any] | None
    created_at: str


class LogList(Shown):
    """Steps, oldest first."""

    items: list[LogShown]
