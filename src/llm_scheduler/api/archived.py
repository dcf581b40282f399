"""A task as a line of the archive: as the API shows it, with its attempts and its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from llm_scheduler.api.showing import attempt_json, log_json, task_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_scheduler.domain.ids import ModelId
    from llm_scheduler.ports.retention import WholeTask

VERSION: Final = 1


def archive_line(whole: WholeTask, name_of: Callable[[ModelId], str]) -> bytes:
    """One line of JSON, without the newline; begins with version and id, so that it is found without parsing."""
    # Its grace is over long before it is old enough to come here; were it not, it would be kept for ever.
    shown = task_json(whole.task, name_of, is_hidden=whole.task.options.drops_payload)
    del shown["queue_position"], shown["payload_hidden"]
    line = orjson.dumps(
        {
            "v": VERSION,
            "id": shown.pop("id"),
            "tenant_id": whole.task.tenant_id,
            **shown,
            "attempts": [attempt_json(attempt) for attempt in whole.attempts],
            "logs": [log_json(log) for log in whole.logs],
        }
    )
    # Inputs and answers go in as the text they are. Inside JSON a bare line break is only white space.
    return line.replace(b"\r", b" ").replace(b"\n", b" ")
