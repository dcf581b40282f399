"""Where a task goes when its model is down or refuses: the next model of a list, each at most once.

The list is the task's own, else its first model's, as it was when the task first moved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from llm_scheduler.domain.errors import InvalidInputError, ModelNotFoundError
from llm_scheduler.domain.model import ModelStatus
from llm_scheduler.domain.status import DeadReason, Status
from llm_scheduler.domain.task import AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_scheduler.domain.ids import ModelId, TenantId
    from llm_scheduler.domain.model import Model
    from llm_scheduler.domain.outcome import Ended
    from llm_scheduler.domain.task import TaskOptions
    from llm_scheduler.ports.store import StartedTask
    from llm_scheduler.services.catalogue import Catalogue

QUOTA_USED_UP: Final = "insufficient_quota"
REFUSALS: Final = frozenset(
    {
        "authentication_failed",
        "bad_model_config",
        "content_filtered",
        "context_length_exceeded",
        QUOTA_USED_UP,
        "not_found",
        "permission_denied",
        "too_large",
    }
)
"""Errors that end a call for good at this model, while another one may well take it."""
RETRIES_EXHAUSTED: Final = "retries_exhausted"
CIRCUIT_OPEN: Final = "circuit_open"
UNHEALTHY: Final = "unhealthy"
MOST_FALLBACKS: Final = 8


class Movable(Protocol):
    """A task, as far as its way to another model asks."""

    @property
    def tenant_id(self) -> TenantId:
        """Whose it is."""
        ...

    @property
    def model_id(self) -> ModelId:
        """Where it is now."""
        ...

    @property
    def type(self) -> str:
        """What the next model must take."""
        ...

    @property
    def options(self) -> TaskOptions:
        """Its own list, and where it came from."""
        ...


class Onward(NamedTuple):
    """The next model, and what the task's options are there."""

    model: Model
    options: TaskOptions


def onward(catalogue: Catalogue, task: Movable, reason: str) -> Onward | None:
    """The next model for this task; None if there is none left that takes it.

    Passed over: models that are gone, that do not take tasks of its type, or that an operator called unhealthy.
    `reason` is a stable code: an error's, or one of the above.
    """
    here = catalogue.by_id(task.model_id)
    if here is None:
        return None
    options = task.options
    names = here.options.fallback_models if options.fallback_models is None else options.fallback_models
    first = options.first_model or here.name
    rest = names
    if options.first_model is not None:
        rest = names[names.index(here.name) + 1 :] if here.name in names else ()
    for name in rest:
        other = _able(catalogue, name, task)
        if other is not None and name not in (first, here.name):
            return Onward(other, replace(options, fallback_models=tuple(names), first_model=first, moved_for=reason))
    return None


def moved_on(catalogue: Catalogue, started: StartedTask, ended: Ended) -> Ended:
    """The end, with the next model in it if the task is to go there instead of being a dead letter.

    Also instead of waiting for an account to be topped up, where no other endpoint of the model may take it.
    """
    if ended.error is None:
        return ended
    if ended.status is Status.QUEUED and ended.error.code == QUOTA_USED_UP and _has_one_way(catalogue, started):
        refused = replace(
            ended, status=Status.FAILED, outcome=AttemptOutcome.FAILED, dead_reason=DeadReason.NOT_RETRYABLE
        )
        moved = moved_on(catalogue, started, refused)
        return ended if moved is refused else moved
    if ended.status is not Status.FAILED:
        return ended
    is_worn = ended.dead_reason in (DeadReason.RETRIES_EXHAUSTED, DeadReason.RETRY_BUDGET)
    if not is_worn and ended.error.code not in REFUSALS:
        return ended
    found = onward(catalogue, started, RETRIES_EXHAUSTED if is_worn else ended.error.code)
    if found is None:
        return ended
    note = f"moved from '{catalogue.name_of(started.model_id)}' to '{found.model.name}'"
    return replace(
        ended,
        next_model_id=found.model.id,
        next_options=found.options,
        note=note if ended.note is None else f"{ended.note}; {note}",
    )


def _has_one_way(catalogue: Catalogue, started: StartedTask) -> bool:
    model = catalogue.by_id(started.model_id)
    return model is not None and sum(not one.is_drained for one in model.endpoints) <= 1


def _able(catalogue: Catalogue, name: str, task: Movable) -> Model | None:
    try:
        model = catalogue.named(name, task.tenant_id)
    except ModelNotFoundError:
        return None
    return model if catalogue.takes(model, task.type) and model.status is not ModelStatus.UNHEALTHY else None


def check_names(
    catalogue: Catalogue,
    tenant_id: TenantId,
    own: str,
    names: Sequence[str],
    task_type: str | None = None,
    allowed: frozenset[str] | None = None,
) -> None:
    """Refuse a list of fallback models that cannot be gone through; with a type, also models that do not take it.

    `allowed`: names that the caller may use; others are as if they were not there.

    Raises:
        InvalidInputError: with `loc` ("fallback_models", i).
    """
    if len(names) > MOST_FALLBACKS:
        raise InvalidInputError(f"At most {MOST_FALLBACKS} fallback models; this has {len(names)}.", "fallback_models")
    for number, name in enumerate(names):
        loc = ("fallback_models", number)
        if name == own or name in names[:number]:
            raise InvalidInputError(f"'{name}' stands here twice, or is the model itself; take it out.", *loc)
        try:
            if allowed is not None and name not in allowed:
                raise catalogue.not_found(name, tenant_id, allowed)
            model = catalogue.named(name, tenant_id)
        except ModelNotFoundError as error:
            raise InvalidInputError(f"{error} Register it before it is named as a fallback.", *loc) from error
        if task_type is not None and not catalogue.takes(model, task_type):
            raise InvalidInputError(f"Model '{name}' ({model.type}) takes no tasks of type {task_type}.", *loc)
