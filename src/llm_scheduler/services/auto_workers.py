"""What `max_workers: "auto"` means for a model's fields."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llm_scheduler.domain.model import AutoWorkers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.model import ModelOptions

AUTO: Final = "auto"


def with_workers(options: ModelOptions, changes: Mapping[str, Any], found: int = 1) -> dict[str, Any]:
    """The fields of a model, where `max_workers` may be "auto" and `auto_workers` its bounds.

    A number ends auto; bounds begin it; so does "auto", between the bounds that the model has, else 1 and 64. It
    begins with the fewest: what a server holds is found from below. Without bounds (None) and without a number,
    auto ends and the number stays what was found.

    Args:
        options: of the model so far.
        changes: fields to set, `options` among them or not.
        found: the limit in force, as far as one was found: it moves into new bounds.
    """
    fields = dict(changes)
    if not {"max_workers", "auto_workers"} & fields.keys():
        return fields
    asked = fields.pop("max_workers", None)
    bounds: AutoWorkers | None = fields.pop("auto_workers", None)
    before = options.auto_workers
    after = None if isinstance(asked, int) else bounds
    if asked == AUTO:
        after = bounds or before or AutoWorkers()
    if isinstance(asked, int):
        fields["max_workers"] = asked
    elif after is not None:
        fields["max_workers"] = after.min if before is None else min(after.max, max(after.min, found))
    fields["options"] = replace(fields.get("options", options), auto_workers=after)
    return fields
