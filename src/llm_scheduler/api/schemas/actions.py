"""Actions on everything that matches a filter, and moves of dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from llm_scheduler.api.answers import stamp
from llm_scheduler.api.fields import Body, Input, Priority, Shown, StrictId
from llm_scheduler.api.filters import MOST_IDS, FilterBody, shown_filter
from llm_scheduler.api.schemas.tasks import ListQuery

if TYPE_CHECKING:
    from llm_scheduler.ports.promises import ActionProgress

ActionName = Literal["cancel", "retry", "delete", "set_priority"]
Reason = Literal["retries_exhausted", "not_retryable", "worker_crashes", "retry_budget"]
Ids = Annotated[list[StrictId], Field(min_length=1, max_length=MOST_IDS)]


class ActionBody(Body):
    """What to do, and with which tasks. An empty filter means all of them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"action": "cancel", "filter": {"model": "gpt-4o-mini", "status": "queued"}}]}
    )

    action: ActionName
    filter: FilterBody
    priority: Priority | None = None
    """For `set_priority`."""

    @model_validator(mode="after")
    def _priority_belongs_to_its_action(self) -> ActionBody:
        if (self.action == "set_priority") != (self.priority is not None):
            raise ValueError("Give 'priority' with the action set_priority, and only with it.")
        return self


class ActionShown(Shown):
    """How far a bulk action is; `completed` or `failed` is its end."""

    id: int
    action: str
    filter: dict[str, Any]
    priority: int | None
    status: Literal["running", "completed", "failed"]
    seen: int
    """Tasks looked at so far."""
    changed: int
    error: str | None
    created_at: str
    updated_at: str


class DeadQuery(ListQuery):
    """Filter and page of dead letters."""

    reason: Reason | None = None
    """Why they died."""


class _IdsOrFilter(Body):
    ids: Ids | None = None
    """At most 500."""
    filter: FilterBody | None = None
    """Instead of ids; an empty one means every dead letter."""

    @model_validator(mode="after")
    def _one_of_the_two(self) -> _IdsOrFilter:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("Give either 'ids' or 'filter'.")
        return self


class DiscardBody(_IdsOrFilter):
    """Which dead letters to delete."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": [4711, 4712]}]})


class RequeueBody(_IdsOrFilter):
    """Which dead letters to queue again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": [4711, 4712]}, {"filter": {"model": "m"}}]})

    input: Input | None = None
    """Takes the place of the input; only with a single id."""

    @model_validator(mode="after")
    def _input_for_one(self) -> RequeueBody:
        if self.input is not None and (self.ids is None or len(self.ids) != 1):
            raise ValueError("'input' goes with exactly one id.")
        return self


class ChangedShown(Shown):
    """How many tasks were changed; ids of other tasks are left out."""

    changed: int


def action_json(progress: ActionProgress) -> dict[str, object]:
    """An action for an answer."""
    return {
        "id": progress.id,
        "action": progress.action,
        "filter": shown_filter(progress.filter)[1],
        "priority": progress.priority,
        "status": progress.status,
        "seen": progress.seen,
        "changed": progress.changed,
        "error": progress.error,
        "created_at": stamp(progress.created_at),
        "updated_at": stamp(progress.updated_at),
    }
