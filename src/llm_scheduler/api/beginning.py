"""Beginning a bulk action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from llm_scheduler.api.answers import Answer, json_answer
from llm_scheduler.api.filters import stored_filter
from llm_scheduler.api.permissions import forbidden
from llm_scheduler.api.running_again import check_many
from llm_scheduler.api.schemas.actions import action_json
from llm_scheduler.api.showing import sees_payloads
from llm_scheduler.domain.access import Permission

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller


def noted_filter(body: object) -> dict[str, Any]:
    """The filter of a checked request for the audit log.

    Words that are searched for may be words of payloads, which the log's readers need not be allowed to see.
    """
    asked = cast("dict[str, dict[str, Any]]", body)["filter"]
    return {name: "…" if name == "q" else given for name, given in asked.items()}


async def begin(caller: Caller, action: str, body: object, priority: int | None = None) -> Answer:
    """202 with the action's id. `body` is the checked request; its filter is kept as it was written.

    Raises:
        ModelNotFoundError: the filter names a model that is not there.
        Problem: 403, it searches in payloads that the caller may not see, or runs tasks again of models that the
            caller's key may not use.
    """
    text = stored_filter(cast("dict[str, Any]", body)["filter"], caller.tenant_id)
    # What a restart will read is what is checked: a bad filter fails here, not in the background.
    where = caller.parts.parse_filter(text)
    check_many(caller, action, where.model_id)
    if where.q is not None and not sees_payloads(caller):
        # How many tasks it changes tells what is in them.
        raise forbidden(caller.principal, Permission.PAYLOADS_READ)
    progress = await caller.parts.actions.begin(action, text, priority)
    return json_answer(action_json(progress), 202, f"/api/v1/tasks/actions/{progress.id}")
