"""Submitting: from what a caller sent to a task on disk and in the index."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

import orjson

from llm_scheduler.domain.errors import InputTooLargeError, InvalidInputError, QueueFullError
from llm_scheduler.domain.ids import Millis
from llm_scheduler.domain.status import Status
from llm_scheduler.domain.task import MEDIUM, CacheUse, CacheWish, NewTask, Task, TaskOptions, WaitingTask
from llm_scheduler.ports.feed import TaskChanged
from llm_scheduler.services.equality import cache_key
from llm_scheduler.services.estimate import sized
from llm_scheduler.services.fallback import check_names
from llm_scheduler.services.inputs import checked_body
from llm_scheduler.services.tenant_queues import TenantQueues

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llm_scheduler.domain.ids import TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.retry import RetryPolicy
    from llm_scheduler.ports.broker import Broker
    from llm_scheduler.ports.clock import Clock
    from llm_scheduler.ports.feed import Feed
    from llm_scheduler.ports.meter import Meter
    from llm_scheduler.ports.store import Store, Submitted
    from llm_scheduler.ports.task_type import TaskType
    from llm_scheduler.services.arrivals import Arrivals
    from llm_scheduler.services.catalogue import Catalogue
    from llm_scheduler.services.learning import Learning
    from llm_scheduler.services.patience import Patience

_CACHE_OUTCOMES: Final[Mapping[Status, str]] = {Status.COMPLETED: "hit", Status.BLOCKED: "joined"}
_FULL_RETRY_AFTER_S: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class TaskDraft(Protocol):
    """A task as a caller words it; types and ranges are checked, meanings are not yet."""

    @property
    def model(self) -> str:
        """Name of a model."""
        ...

    @property
    def type(self) -> str:
        """`chat`, `completion`, `embedding` or a plugin's."""
        ...

    @property
    def input(self) -> str | dict[str, object]:
        """A prompt, or the provider's request body."""
        ...

    @property
    def priority(self) -> int | None:
        """0 (first) to 9 (last); None = medium."""
        ...

    @property
    def max_retries(self) -> int | None:
        """None = the model's."""
        ...

    @property
    def run_at(self) -> datetime | None:
        """Not before."""
        ...

    @property
    def deadline_at(self) -> datetime | None:
        """Not after."""
        ...

    @property
    def timeout_s(self) -> float | None:
        """Seconds for one call; None = the model's."""
        ...

    @property
    def metadata(self) -> Mapping[str, str] | None:
        """Text to text."""
        ...

    @property
    def policy(self) -> RetryPolicy | None:
        """The task's own back-off, if it has one."""
        ...

    @property
    def cache_ttl_s(self) -> int | None:
        """Take a stored answer of an equal task, or keep its own for so long; None = neither."""
        ...

    @property
    def template(self) -> str | None:
        """Tasks of one template are alike in length; None = their type says enough."""
        ...

    @property
    def fallback_models(self) -> Sequence[str] | None:
        """Where it goes when its model is down or refuses; None = the model's own list."""
        ...

    @property
    def idempotency_key(self) -> str | None:
        """The same key gives the same task."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what may be submitted. Bytes of one input, tasks in all queues."""

    max_input_bytes: int = 1024 * 1024
    max_queue_length: int = 2_000_000


class Submissions:
    """Accepts tasks. What it answers is on disk."""

    def __init__(  # noqa: PLR0913 - the ports that a submit touches
        self,
        store: Store,
        broker: Broker,
        catalogue: Catalogue,
        clock: Clock,
        feed: Feed,
        meter: Meter,
        limits: Limits,
        learning: Learning,
        note_due: Callable[[Millis], None] = lambda _due_at: None,
    ) -> None:
        self._store, self._broker, self._catalogue = store, broker, catalogue
        self._clock, self._feed, self._meter, self._limits = clock, feed, meter, limits
        self._learning = learning
        self._note_due = note_due
        self.arrivals: Arrivals | None = None
        """Told what comes to wait."""
        self._queues = TenantQueues(store, catalogue, clock)
        self.patience: Patience | None = None
        """Refuses what would wait too long, where models say how long that is."""

    def check(
        self,
        draft: TaskDraft,
        tenant_id: TenantId,
        allowed: frozenset[str] | None = None,
        key_id: int | None = None,
    ) -> NewTask:
        """The draft as a task that can be recorded.

        `allowed`: names of the models that the caller may use, None = every one of the tenant's. `key_id`: the API
        key that it came with.

        Raises:
            ModelNotFoundError: no such model.
            InvalidInputError: with where and what to do.
            InputTooLargeError: the input is over the limit.
        """
        if allowed is not None and draft.model not in allowed:
            raise self._catalogue.not_found(draft.model, tenant_id, allowed)
        model = self._catalogue.named(draft.model, tenant_id)
        plugin = self._catalogue.task_types.get(draft.type)
        body = checked_body(plugin, draft.type, draft.input)
        self._check_type(model, draft.type, plugin, body)
        text = orjson.dumps(body)
        if len(text) > self._limits.max_input_bytes:
            raise InputTooLargeError("The input", len(text), self._limits.max_input_bytes)
        run_at, deadline_at = _millis(draft.run_at), _millis(draft.deadline_at)
        if deadline_at is not None:
            self._check_deadline(deadline_at, run_at)
        policy = draft.policy
        retries = draft.max_retries
        if retries is None:
            retries = policy.max_retries if policy else model.retry.max_retries
        size = sized(plugin, draft.type, body, len(text))
        estimate = self._learning.estimate(model.id, tenant_id, draft.template or draft.type, size)
        return NewTask(
            tenant_id=tenant_id,
            model_id=model.id,
            type=draft.type,
            input=text.decode(),
            priority=MEDIUM if draft.priority is None else draft.priority,
            max_retries=retries,
            est_tokens=estimate.total,
            run_at=run_at,
            deadline_at=deadline_at,
            timeout_s=draft.timeout_s,
            retry=policy,
            metadata=draft.metadata or {},
            idempotency_key=draft.idempotency_key,
            fingerprint=_fingerprint(draft, text) if draft.idempotency_key else None,
            key_id=key_id,
            cache=self._wish(draft, model, tenant_id, body),
            est_output=estimate.output_tokens,
            options=self._options(draft, model, tenant_id, allowed),
        )

    def _options(
        self, draft: TaskDraft, model: Model, tenant_id: TenantId, allowed: frozenset[str] | None
    ) -> TaskOptions:
        fallback = draft.fallback_models
        if fallback is not None:
            check_names(self._catalogue, tenant_id, model.name, fallback, draft.type, allowed)
        elif allowed is not None:
            # The model's own list, as it is now or may be later, would lead where the caller may not go.
            fallback = [name for name in model.options.fallback_models if name in allowed]
        names = None if fallback is None else tuple(fallback)
        return TaskOptions(names, draft.template, drops_payload=self._catalogue.drops_payloads(tenant_id))

    def _check_type(self, model: Model, task_type: str, plugin: TaskType | None, body: Mapping[str, object]) -> None:
        """The model takes the type, or the type that a plugin's turns into."""
        kind = self._catalogue.kinds.get(model.type)
        takes = kind.task_types if kind else frozenset[str]()
        if (task_type if plugin is None else plugin.to_call(body)[0]) in takes:
            return
        known = ", ".join(sorted({*takes, *self._catalogue.task_types} if takes else takes)) or "none"
        raise InvalidInputError(f"Model '{model.name}' ({model.type}) takes tasks of type: {known}.", "type")

    def _wish(
        self, draft: TaskDraft, model: Model, tenant_id: TenantId, body: Mapping[str, object]
    ) -> CacheWish | None:
        # An answer that is not kept is there for nobody else.
        if draft.cache_ttl_s is None or self._catalogue.drops_payloads(tenant_id):
            return None
        return CacheWish(cache_key(tenant_id, self._catalogue.digest(model), draft.type, body), draft.cache_ttl_s)

    def _check_deadline(self, deadline_at: Millis, run_at: Millis | None) -> None:
        if deadline_at <= self._clock.now():
            raise InvalidInputError("deadline_at is in the past.", "deadline_at")
        if run_at is not None and deadline_at <= run_at:
            raise InvalidInputError("deadline_at must be later than run_at.", "deadline_at")

    def room(self, wanted: Sequence[tuple[Model, int]]) -> None:
        """Refuse what the queues cannot hold.

        Raises:
            QueueFullError: in all, or for one model.
        """
        total = sum(count for _, count in wanted)
        limit = self._limits.max_queue_length
        if self._broker.waiting() + total > limit:
            raise QueueFullError("all models", limit, _FULL_RETRY_AFTER_S)
        for model, count in wanted:
            own = model.max_queue_length
            if own is not None and self._broker.waiting(model.id) + count > own:
                raise QueueFullError(f"model '{model.name}'", own, _FULL_RETRY_AFTER_S)

    async def submit(self, tasks: Sequence[NewTask]) -> Sequence[Submitted]:
        """Record and index these tasks, all or nothing, in this order.

        Raises:
            QueueFullError, TenantQueueFullError: there is no room for all of them.
            WaitTooLongError: one of them would wait longer than its class may.
            IdempotencyConflictError: a key was used with another body.
            StoreUnavailableError: nothing was recorded.
        """
        counts = Counter(task.model_id for task in tasks)
        models = [(self._catalogue.by_id(model_id), count) for model_id, count in counts.items()]
        self.room([(model, count) for model, count in models if model is not None])
        if self.patience is not None:
            await self.patience.check(tasks)
        stored = await self._queues.within(tasks, self._store.submit)
        await self._index(tasks, stored)
        for model_id, count in counts.items():
            self._meter.submitted(self._catalogue.name_of(model_id), count)
        outcomes = Counter(
            _CACHE_OUTCOMES.get(done.status, "miss")
            for task, done in zip(tasks, stored, strict=True)
            if task.cache is not None and done.is_new
        )
        for outcome, count in outcomes.items():
            self._meter.response_cache(outcome, count)
        return stored

    async def _index(self, tasks: Sequence[NewTask], stored: Sequence[Submitted]) -> None:
        waiting = [
            WaitingTask(
                done.task_id,
                task.model_id,
                task.tenant_id,
                task.type,
                task.priority,
                0,
                task.est_tokens,
                done.queued_at,
                task.deadline_at,
                task.est_output,
            )
            for task, done in zip(tasks, stored, strict=True)
            if done.is_new and done.status is Status.QUEUED
        ]
        if waiting:
            entries = await self._catalogue.placed(waiting)
            if self.arrivals is not None:
                self.arrivals.note(entries)
            await self._broker.enqueue(entries)
        for task, done in zip(tasks, stored, strict=True):
            if done.status is Status.SCHEDULED:
                self._note_due(done.queued_at)
            if task.deadline_at is not None:
                self._note_due(task.deadline_at)
        if self._feed.is_watched:
            for task, done in zip(tasks, stored, strict=True):
                if done.is_new:
                    self._feed.publish(
                        TaskChanged(done.task_id, task.tenant_id, task.model_id, done.status, 0, self._clock.now())
                    )

    async def submit_one(self, task: NewTask) -> tuple[Task, bool]:
        """Record one task: (the task as it stands, whether it is new)."""
        done = (await self.submit([task]))[0]
        # Of a scheduled task only the record knows when it was made.
        if not done.is_new or done.status is not Status.QUEUED:
            found = await self._store.task(done.task_id, task.tenant_id)
            if found is not None:
                return found, done.is_new
        return fresh_task(task, done, self._clock.now()), done.is_new


def fresh_task(task: NewTask, done: Submitted, now: Millis) -> Task:
    """A task just recorded, as a read would give it."""
    is_queued = done.status is Status.QUEUED
    created_at = done.queued_at if is_queued else now
    return Task(
        id=done.task_id,
        tenant_id=task.tenant_id,
        model_id=task.model_id,
        type=task.type,
        status=done.status,
        priority=task.priority,
        input=task.input,
        attempt=0,
        failures=0,
        crashes=0,
        retry_count=0,
        max_retries=task.max_retries,
        est_tokens=task.est_tokens,
        generation=0,
        is_cancel_requested=False,
        created_at=created_at,
        updated_at=created_at,
        queued_at=done.queued_at if is_queued else None,
        eligible_at=done.queued_at,
        run_at=task.run_at,
        deadline_at=task.deadline_at,
        timeout_s=task.timeout_s,
        retry=task.retry,
        metadata=task.metadata,
        cache=None if task.cache is None else CacheUse(task.cache.ttl_s),
        est_output=task.est_output,
        key_id=task.key_id,
        options=task.options,
    )


def _millis(instant: datetime | None) -> Millis | None:
    # In whole numbers: through a float some instants come out a millisecond early.
    return None if instant is None else Millis((instant - _EPOCH) // _MILLISECOND)


def _fingerprint(draft: TaskDraft, text: bytes) -> str:
    parts: list[object] = [
        draft.model,
        draft.type,
        draft.priority,
        draft.max_retries,
        draft.run_at,
        draft.deadline_at,
        draft.timeout_s,
        dict(draft.metadata or {}),
        draft.policy,
    ]
    # Only if given: keys that an earlier release recorded must go on matching their bodies.
    if draft.cache_ttl_s is not None:
        parts.append({"cache_ttl_s": draft.cache_ttl_s})
    if draft.template is not None:
        parts.append({"template": draft.template})
    if draft.fallback_models is not None:
        parts.append({"fallback_models": list(draft.fallback_models)})
    head = orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(head + text).hexdigest()
