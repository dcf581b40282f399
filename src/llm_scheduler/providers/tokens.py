"""Counting tokens when the provider did not: four bytes of UTF-8 make one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def estimated_tokens(text: str) -> int:
    """`ceil(utf8_bytes / 4)`: within a third of the truth for prose, code and Chinese alike."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return (size + 3) // 4


def estimated_prompt_tokens(body: Mapping[str, object]) -> int:
    """Tokens of the texts in a request body; pictures and sounds given as data URLs count nothing."""
    size = 0
    for key in ("system", "messages", "prompt", "input"):
        if key in body:
            size += _size(body[key])
    return (size + 3) // 4


def _size(value: object) -> int:
    if isinstance(value, str):
        if value.startswith("data:"):
            return 0
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, Mapping):
        return _total(list(value.values()))
    if isinstance(value, list | tuple):
        return _total(value)
    # A number in a prompt is a token already.
    return 4 if isinstance(value, int) and not isinstance(value, bool) else 0


def _total(values: Sequence[object]) -> int:
    return sum(map(_size, values))
