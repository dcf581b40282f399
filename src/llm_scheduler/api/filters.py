"""The one filter grammar of lists, counts and actions: from a query or a JSON object to a `TaskFilter`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import orjson
from pydantic import Field, StringConstraints, ValidationError

from llm_scheduler.api.fields import AnyPriority, Body, Id, Instant, Listed, Metadata, millis
from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import DEFAULT_TENANT, TaskId, TenantId
from llm_scheduler.domain.status import Status
from llm_scheduler.ports.store import TaskFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.services.catalogue import Catalogue

MOST_IDS: Final = 500
_TENANT: Final = "tenant_id"
"""Whose tasks a stored filter means; callers do not write it."""

StatusName = Literal["blocked", "scheduled", "queued", "held", "running", "completed", "failed", "cancelled", "expired"]


class FilterBody(Body):
    """Which tasks are meant; everything given must hold."""

    status: Annotated[list[StatusName], Listed, Field(max_length=20)] | None = None
    """One status or several, separated by commas."""
    model: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """Name of a model."""
    type: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    """Type of task."""
    priority: AnyPriority | None = None
    """`high`, `medium`, `low` or a number from 0 to 9."""
    created_after: Instant | None = None
    """From this moment on."""
    created_before: Instant | None = None
    """Before this moment."""
    metadata: Metadata | None = None
    """Pairs that the task's metadata holds."""
    q: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    """A task's id, or text in its error or input."""
    ids: Annotated[list[Id], Listed, Field(max_length=MOST_IDS)] | None = None
    """Ids, separated by commas; at most 500."""


def task_filter(body: FilterBody, catalogue: Catalogue, tenant_id: TenantId) -> TaskFilter:
    """What the store is asked.

    Raises:
        ModelNotFoundError: the model is not known.
    """
    return TaskFilter(
        tenant_id=tenant_id,
        statuses=tuple(Status(name) for name in dict.fromkeys(body.status or ())),
        model_id=catalogue.named(body.model, tenant_id).id if body.model is not None else None,
        type=body.type,
        priority=body.priority,
        created_after=millis(body.created_after),
        created_before=millis(body.created_before),
        metadata=body.metadata or {},
        q=body.q,
        ids=tuple(TaskId(task_id) for task_id in body.ids or ()),
    )


def stored_filter(raw: object, tenant_id: TenantId) -> str:
    """A checked filter as JSON text for the record, with whose tasks it means."""
    values: dict[str, Any] = raw if isinstance(raw, dict) else {}
    return orjson.dumps({_TENANT: tenant_id, **values}).decode()


def shown_filter(text: str) -> tuple[TenantId, dict[str, object]]:
    """Whose filter a stored one is, and what the caller wrote."""
    values = orjson.loads(text)
    return TenantId(values.pop(_TENANT, DEFAULT_TENANT)), values


def filter_parser(catalogue: Catalogue) -> Callable[[str], TaskFilter]:
    """A reader of stored filters, for `services.actions.Actions` and the routes."""

    def parse(text: str) -> TaskFilter:
        tenant_id, values = shown_filter(text)
        try:
            body = FilterBody.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidInputError(first["msg"], "filter", *first["loc"]) from error
        return task_filter(body, catalogue, tenant_id)

    return parse


def only(where: TaskFilter, *statuses: Status) -> TaskFilter | None:
    """The filter narrowed to these statuses; None when it can match nothing."""
    able = tuple(status for status in statuses if not where.statuses or status in where.statuses)
    return replace(where, statuses=able) if able else None
