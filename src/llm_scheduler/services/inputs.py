"""What a caller gives as input, and the request body that it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.ports.task_type import TaskType

_PLAIN_FIELD: Final[Mapping[str, str]] = {"completion": "prompt", "embedding": "input"}
_NEEDED: Final[Mapping[str, str]] = {"chat": "messages", "completion": "prompt", "embedding": "input"}


def checked_body(plugin: TaskType | None, task_type: str, value: str | dict[str, object]) -> dict[str, object]:
    """The request body of a task, as it is recorded.

    Args:
        plugin: whose type it is; None = a built-in one.
        task_type: by name.
        value: a prompt, or a body.

    Raises:
        InvalidInputError: the part that the type needs is missing, or its plugin refuses.
    """
    if plugin is not None:
        return plugin.check(value)
    if isinstance(value, str):
        if not value.strip():
            raise InvalidInputError("The input is empty; give a prompt.", "input")
        if task_type == "chat":
            return {"messages": [{"role": "user", "content": value}]}
        return {_PLAIN_FIELD.get(task_type, "input"): value}
    needed = _NEEDED.get(task_type)
    if needed is not None:
        part = value.get(needed)
        if not part:
            raise InvalidInputError(f"A {task_type} input needs '{needed}'.", "input", needed)
        if needed == "messages":
            _check_messages(part)
    return value


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list):
        raise InvalidInputError("'messages' must be a list of {role, content}.", "input", "messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise InvalidInputError(
                "Each message is an object with a 'role' (system, user, assistant, tool).", "input", "messages", index
            )
