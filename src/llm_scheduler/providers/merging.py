"""Objects that arrive in pieces: texts and lists grow, objects merge, the rest is replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_REPLACED: Final = frozenset({"role", "id", "type", "name", "index"})
"""Texts that come whole; all others come in pieces."""


class Pieces(list[str]):
    """A text that still grows; joined once, at the end, so that work stays linear."""


def merge(into: dict[str, Any], key: str, value: Any) -> None:
    """Go on with `into[key]`; None changes nothing."""
    have = into.get(key)
    if isinstance(value, str):
        if key in _REPLACED:
            if value or have is None:
                into[key] = value
        elif isinstance(have, Pieces):
            have.append(value)
        else:
            into[key] = Pieces((value,))
    elif isinstance(value, list) and isinstance(have, list):
        have.extend(value)
    elif isinstance(value, Mapping):
        if not isinstance(have, dict):
            have = into[key] = {}
        for name, item in value.items():
            merge(have, name, item)
    elif value is not None or key not in into:
        into[key] = value


def merge_tool_calls(calls: dict[int, dict[str, Any]], parts: list[Any]) -> None:
    """Go on with tool calls by index; servers that give none (Gemini) give a new id for a new call."""
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        index = part.get("index")
        if not isinstance(index, int):
            index = _index_by_id(calls, part.get("id"))
        call = calls.setdefault(index, {"id": "", "type": "function"})
        for key, value in part.items():
            if key != "index":
                merge(call, key, value)


def _index_by_id(calls: dict[int, dict[str, Any]], call_id: object) -> int:
    last = max(calls, default=-1)
    return last + 1 if last < 0 or (call_id and call_id != calls[last]["id"]) else last


def joined(value: Any) -> Any:
    """`value` with every text in one piece."""
    if isinstance(value, Pieces):
        return "".join(value)
    if isinstance(value, dict):
        return {key: joined(item) for key, item in value.items()}
    return value
