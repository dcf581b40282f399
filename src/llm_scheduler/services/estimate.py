"""How many tokens a request will use, before anyone has counted them.

What can be told from the request alone (`measured`) is put together with what was learned from earlier ones
(`estimated`). See docs/decisions/0017.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_scheduler.ports.learned import Sums

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.domain.task import Usage
    from llm_scheduler.ports.task_type import TaskType
    from llm_scheduler.scheduling.prediction import Prediction

BYTES_PER_TOKEN: Final = 4
ATTACHMENT_TOKENS: Final = 765
"""Of a picture, a sound or a document inside a request: its bytes are not text.

Source: OpenAI's guide to images, where one of 1024 x 1024 pixels in high detail costs 85 + 4 * 170 tokens; others count
from 85 (low detail) to some 1,600. The learned factor mends it for templates that send other ones.
"""
_DATA_OF: Final[Mapping[str, tuple[str, str]]] = {
    "image_url": ("image_url", "url"),
    "image": ("source", "data"),
    "document": ("source", "data"),
    "input_audio": ("input_audio", "data"),
    "file": ("file", "file_data"),
}
"""Where a part of a message keeps what is not text, in the words of OpenAI and Anthropic, by the part's type."""
_MOST: Final = 100_000_000


class RequestSize(NamedTuple):
    """What a request says itself."""

    plain_tokens: int
    """Bytes of text divided by four, and attachments: the input without any learned factor."""
    output_bound: int | None = None
    """Tokens that may come out at most, all choices together; None: it names no bound."""
    choices: int = 1


class Estimate(NamedTuple):
    """Tokens that a call will probably use; settled by the provider's count."""

    input_tokens: int
    output_tokens: int

    @property
    def total(self) -> int:
        """What it reserves of a limit on tokens."""
        return min(self.input_tokens + self.output_tokens, _MOST)


def measured(task_type: str, body: Mapping[str, object], body_bytes: int) -> RequestSize:
    """The size of a request of which the JSON text has so many bytes."""
    attachments, data_bytes = _attachments(body.get("messages"))
    text_bytes = max(0, body_bytes - data_bytes)
    plain = math.ceil(text_bytes / BYTES_PER_TOKEN) + attachments * ATTACHMENT_TOKENS
    if task_type == "embedding":
        return RequestSize(plain, 0)
    choices = _positive(body.get("n")) or 1
    bound = _positive(body.get("max_completion_tokens")) or _positive(body.get("max_tokens"))
    return RequestSize(plain, None if bound is None else bound * choices, choices)


def sized(plugin: TaskType | None, task_type: str, body: Mapping[str, object], body_bytes: int) -> RequestSize:
    """`measured`, or what the plugin says of a task of its type."""
    return measured(task_type, body, body_bytes) if plugin is None else RequestSize(*plugin.estimate(body))


def estimated(size: RequestSize, expected: Prediction) -> Estimate:
    """Input: the plain estimate times the learned factor. Output: what such calls bring, within the request's bound."""
    output = math.ceil(expected.output_tokens * size.choices)
    if size.output_bound is not None:
        output = min(output, size.output_bound)
    return Estimate(min(math.ceil(size.plain_tokens * expected.input_factor), _MOST), min(output, _MOST))


def sample(size: RequestSize, usage: Usage, service_ms: float) -> Sums:
    """What one finished call teaches, its output counted for a single choice.

    A provider that does not count the input teaches nothing about it.
    """
    plain = size.plain_tokens if usage.prompt_tokens else 0
    return Sums(1.0, usage.completion_tokens / size.choices, service_ms, float(usage.prompt_tokens), float(plain))


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _attachments(messages: object) -> tuple[int, int]:
    """(how many, how many bytes of the request they are)."""
    count = size = 0
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            data = _data_of(part)
            if data is not None:
                count += 1
                size += len(data) if data.isascii() else len(data.encode("utf-8", "surrogatepass"))
    return count, size


def _data_of(part: object) -> str | None:
    """The data (or the address) of a part that is not text."""
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        return None
    where = _DATA_OF.get(part["type"])
    if where is None:
        return None
    holder = part.get(where[0])
    if isinstance(holder, str):
        return holder
    data = holder.get(where[1]) if isinstance(holder, dict) else None
    return data if isinstance(data, str) else ""
