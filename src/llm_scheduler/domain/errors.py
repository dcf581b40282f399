"""Everything that a caller may have to handle: one tree, one class per reaction.

The domain knows no HTTP: `api/errors.py` maps each `code` to a status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    pass


class SchedulerError(Exception):
    """Base of every error that this project raises on purpose."""

    code: ClassVar[str] = "internal_error"


class NotFoundError(SchedulerError):
    """The named thing does not exist, or belongs to someone else."""

    code = "not_found"


class TaskNotFoundError(NotFoundError):
    """No such task."""

    code = "task_not_found"

    def __init__(self, task_id: int) -> None:
        super().__init__(f"There is no task {task_id}.")
        self.task_id = task_id


class ModelNotFoundError(NotFoundError):
    """No such model."""

    code = "model_not_found"

    def __init__(self, name: str, known: tuple[str, ...] = ()) -> None:
        hint = (
            f" Known models: {', '.join(known)}."
            if known
            else " There is none that you may call; add one: llms models add, POST /api/v1/models."
        )
        super().__init__(f"There is no model '{name[:100]}'.{hint}")
        self.name, self.known = name, known


class EndpointNotFoundError(NotFoundError):
    """The model has no such endpoint."""

    code = "endpoint_not_found"

    def __init__(self, model: str, name: str, known: tuple[str, ...] = ()) -> None:
        hint = f"It has: {', '.join(known)}." if known else "It has none: its own config is the one way to it."
        super().__init__(f"Model '{model}' has no endpoint '{name[:64]}'. {hint}")
        self.model, self.name, self.known = model, name, known


class ActionNotFoundError(NotFoundError):
    """No such bulk action."""

    code = "action_not_found"

    def __init__(self, action_id: int) -> None:
        super().__init__(f"There is no action {action_id}.")


class InvalidInputError(SchedulerError):
    """A value is not acceptable; `loc` says where it stands."""

    code = "invalid_request"

    def __init__(self, message: str, *loc: str | int) -> None:
        super().__init__(message)
        self.loc = loc


class InputTooLargeError(SchedulerError):
    """A body or an input is over the limit."""

    code = "too_large"

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(f"{what} has {size} bytes; the limit is {limit}.")
        self.size, self.limit = size, limit


class ConflictError(SchedulerError):
    """The thing is not in a state that allows this."""

    code = "conflict"


class NameTakenError(ConflictError):
    """Another model has that name."""

    code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"A model named '{name}' exists already; PATCH it or choose another name.")


class EndpointTakenError(ConflictError):
    """Another endpoint of the model has that name."""

    code = "endpoint_taken"

    def __init__(self, model: str, name: str) -> None:
        super().__init__(f"Model '{model}' has an endpoint '{name}' already; PATCH it or choose another name.")


class BudgetNotFoundError(NotFoundError):
    """No such budget."""

    code = "budget_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no budget '{name[:100]}'. List them: GET /api/v1/budgets.")


class PriceNotFoundError(NotFoundError):
    """No such price override."""

    code = "price_not_found"

    def __init__(self, price_id: int) -> None:
        super().__init__(f"There is no price override {price_id}. List them: GET /api/v1/prices.")


class BudgetNameTakenError(ConflictError):
    """Another budget has that name."""

    code = "budget_name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"A budget named '{name}' exists already; PATCH it or choose another name.")


class ModelInUseError(ConflictError):
    """A model with unfinished tasks cannot be deleted."""

    code = "model_in_use"

    def __init__(self, name: str, unfinished: int) -> None:
        super().__init__(f"Model '{name}' has {unfinished} unfinished tasks; cancel them first.")


class ModelChangedError(ConflictError):
    """Somebody else changed the model since it was read."""

    code = "model_changed"

    def __init__(self, name: str) -> None:
        super().__init__(f"Model '{name}' was changed by somebody else at the same time; look at it and try again.")


class WrongStatusError(ConflictError):
    """The task's status does not allow the move."""

    code = "wrong_status"

    def __init__(self, task_id: int, status: str, wanted: str) -> None:
        super().__init__(f"Task {task_id} is {status}; it cannot be {wanted}.")
        self.task_id, self.status = task_id, status


class IdempotencyConflictError(ConflictError):
    """The idempotency key was used with another body."""

    code = "idempotency_conflict"

    def __init__(self, key: str) -> None:
        super().__init__(f"Idempotency key '{key[:64]}' was used with another body; use a new key.")


class PayloadGoneError(ConflictError):
    """The task's input is not kept any more, so it cannot run again as it was."""

    code = "payload_gone"

    def __init__(self, task_id: int) -> None:
        super().__init__(
            f"The input of task {task_id} is not kept any more (store_payloads is none); give it another one."
        )


class QueueFullError(SchedulerError):
    """The queue has reached its limit: try again later."""

    code = "queue_full"

    def __init__(self, what: str, limit: int, retry_after_s: int) -> None:
        super().__init__(f"The queue of {what} holds its limit of {limit} tasks; try again in {retry_after_s} s.")
        self.limit, self.retry_after_s = limit, retry_after_s


class TenantQueueFullError(QueueFullError):
    """The tenant has as many unfinished tasks as it may: try again later."""

    code = "tenant_queue_full"

    def __init__(self, known: int, limit: int, wanted: int, retry_after_s: int) -> None:
        SchedulerError.__init__(
            self,
            f"The tenant has {known} tasks that are not over, and may have {limit}; {wanted} more do not fit. "
            f"Try again in {retry_after_s} s.",
        )
        self.known, self.limit, self.retry_after_s = known, limit, retry_after_s


class WaitTooLongError(SchedulerError):
    """The task would wait longer than its class may: try again later, or elsewhere."""

    code = "wait_too_long"

    def __init__(self, model: str, class_name: str, wait_s: float, limit_s: float) -> None:
        super().__init__(
            f"A task of class {class_name} is expected to wait {wait_s:.0f} s for model '{model}', and {limit_s:.0f} s "
            "are allowed (max_wait_s); nothing was recorded. Send it later, with another priority, or to another model."
        )
        self.wait_s, self.limit_s = wait_s, limit_s
        self.retry_after_s = max(1.0, wait_s - limit_s)


class StoreUnavailableError(SchedulerError):
    """The record cannot be written or read now; nothing was acknowledged."""

    code = "store_unavailable"

    def __init__(self, why: str) -> None:
        super().__init__(f"The record is not available: {why}")
        self.retry_after_s = 5


class BrokerUnavailableError(SchedulerError):
    """The index does not answer now; the record goes on without it."""

    code = "broker_unavailable"

    def __init__(self, why: str) -> None:
        super().__init__(f"The index is not available: {why}")
        self.retry_after_s = 1


class ArchiveUnavailableError(SchedulerError):
    """The archive cannot be written or read; what was to go there stays in the record."""

    code = "archive_unavailable"

    def __init__(self, why: str) -> None:
        super().__init__(f"The archive is not available: {why}")


class StoreUnusableError(SchedulerError):
    """The database cannot be used at all: corrupt, newer than this program, or held by another server."""

    code = "store_unusable"


class UnsealError(SchedulerError):
    """A stored secret cannot be opened with the key in force."""

    code = "secret_unreadable"
