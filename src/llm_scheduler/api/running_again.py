"""Running tasks again spends as submitting does: only of models that the caller may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.api.errors import Problem

if TYPE_CHECKING:
    from llm_scheduler.api.parts import Caller
    from llm_scheduler.domain.ids import ModelId

AGAIN: Final = frozenset({"retry", "requeue"})
"""Actions that run tasks again."""


def may_run(caller: Caller, model_id: ModelId) -> bool:
    """Whether the caller's key and tenant allow that model."""
    allowed = caller.principal.allowed_models
    return allowed is None or caller.parts.catalogue.name_of(model_id) in allowed


def check_runs(caller: Caller, model_id: ModelId) -> None:
    """Let pass who may use that model.

    Raises:
        Problem: 403, the key or the tenant may not.
    """
    if not may_run(caller, model_id):
        name = caller.parts.catalogue.name_of(model_id)
        raise Problem(403, "forbidden", f"You may not use the model '{name}' here, nor run its tasks again.")


def check_many(caller: Caller, action: str, model_id: ModelId | None) -> None:
    """Let pass a key that is bound to models only with a filter that names one of them.

    Raises:
        Problem: 403, it names another one, or none.
    """
    key_id = caller.principal.key_id
    key = None if key_id is None else caller.parts.access.directory.key(key_id)
    if action not in AGAIN or key is None or key.limits.allowed_models is None:
        return
    if model_id is None:
        detail = f"The API key '{key.name}' is bound to some models: name one of them in the filter."
        raise Problem(403, "forbidden", detail)
    check_runs(caller, model_id)
