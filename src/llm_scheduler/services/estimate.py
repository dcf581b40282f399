"""How many tokens a request may use, before anyone has counted them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_BYTES_PER_TOKEN: Final = 4
_MARGIN: Final = 1.3
DEFAULT_OUTPUT_TOKENS: Final = 256
_MOST: Final = 100_000_000


def estimated_tokens(task_type: str, body: Mapping[str, object], body_bytes: int) -> int:
    """Prompt plus the most that may come out.

    The prompt is `ceil(utf8_bytes / 4 * 1.3)`; the output is the request's own bound
    (`max_completion_tokens`, `max_tokens`), else 256; an embedding has none.

    Source: measured against o200k on English, Chinese, code and JSON; see docs/decisions/0007.
    """
    prompt = math.ceil(body_bytes / _BYTES_PER_TOKEN * _MARGIN)
    if task_type == "embedding":
        return min(prompt, _MOST)
    bound = body.get("max_completion_tokens") or body.get("max_tokens")
    output = bound if isinstance(bound, int) and not isinstance(bound, bool) and bound > 0 else DEFAULT_OUTPUT_TOKENS
    choices = body.get("n")
    if isinstance(choices, int) and not isinstance(choices, bool) and choices > 1:
        output *= choices
    return min(prompt + output, _MOST)
