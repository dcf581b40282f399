"""How many tokens a request can use at most: what a budget reserves before the call.

A true bound, not an estimate. Byte-level BPE begins with one token for each byte of UTF-8 and only ever merges, so
a text never has more tokens than bytes; the JSON around each message is longer than the marks that a chat template
puts there. What is not text in the body has a constant each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, cast

from llm_scheduler.domain.budget import Tariff
from llm_scheduler.domain.money import (
    CHEAPER_TIERS,
    DEFAULT_TIER,
    Price,
    dearest,
    most_microusd,
    plain_tier,
    tier_price,
)

DEFAULT_MAX_OUTPUT_TOKENS: Final = 4096
ROUND_TOKENS: Final = 64
"""What a provider adds to every prompt by itself."""
TOOL_TOKENS: Final = 1_024
"""What a provider says to a model that is given tools (Anthropic: up to 530)."""
IMAGE_TOKENS: Final = 65_536
"""One picture at its dearest: gpt-4o-mini counts 2 833 and 5 667 for each of eight tiles, 48 169 in all."""
FILE_TOKENS: Final = 1_048_576
"""A document, a video, a page found by a search: it may fill the largest context that there is."""

_IMAGES: Final = frozenset({"image_url", "image", "input_image"})
_FILES: Final = frozenset({"file", "document", "input_file", "video_url", "video", "search_result"})
_OWN_TOOLS: Final = frozenset({"function", "custom", None})
_OUTPUT_FIELDS: Final = ("max_completion_tokens", "max_tokens")
_NO_OUTPUT: Final = frozenset({"embedding"})
_NEVER_DEARER: Final = frozenset({"default", "standard_only", *CHEAPER_TIERS})
"""Asked for by name; with `auto`, or without a name, the provider may choose a dearer tier."""


class Most(NamedTuple):
    """Upper bounds of one call."""

    prompt_tokens: int
    output_tokens: int


def most_tokens(task_type: str, body: Mapping[str, object], body_bytes: int, max_output_tokens: int) -> Most:
    """Bounds of a request.

    Args:
        task_type: an embedding has no output.
        body: all that is sent, defaults included.
        body_bytes: its length in UTF-8, or more.
        max_output_tokens: of one answer, if the body does not say.
    """
    prompt = body_bytes + ROUND_TOKENS + _hidden(body)
    if task_type in _NO_OUTPUT:
        return Most(prompt, 0)
    bound = named_bound(body)
    return Most(prompt, (max_output_tokens if bound is None else bound) * _answers(body))


def named_bound(body: Mapping[str, object]) -> int | None:
    """How long the request lets one answer be; None if it does not say. Of two fields the larger one counts."""
    given = [body[name] for name in _OUTPUT_FIELDS if body.get(name) is not None]
    bounds = [bound for value in given if (bound := _positive(value)) is not None]
    # One that is no length (llama.cpp takes -1 for "no end") bounds nothing.
    return max(bounds) if bounds and len(bounds) == len(given) else None


def bounded(body: Mapping[str, object], tariff: Tariff, task_type: str) -> Mapping[str, object]:
    """The body as it is sent under a budget: with a bound on the answer, if neither it nor the defaults name one."""
    if task_type in _NO_OUTPUT or named_bound({**tariff.extra, **body}) is not None:
        return body
    others = {name: value for name, value in body.items() if name not in _OUTPUT_FIELDS}
    return {**others, tariff.output_field: tariff.max_output_tokens}


def most_cost(tariff: Tariff, task_type: str, body: Mapping[str, object], body_bytes: int) -> int | None:
    """What the call costs at most, in micro-USD; None if its tier has no known price."""
    price = _bounding_price(tariff.tiers, {**tariff.extra, **body})
    if price is None:
        return None
    if price.is_free:
        return 0
    size = body_bytes + tariff.extra_bytes
    most = most_tokens(task_type, {**tariff.extra, **body}, size, tariff.max_output_tokens)
    return most_microusd(price, most.prompt_tokens, most.output_tokens)


def _bounding_price(tiers: Mapping[str, Price], body: Mapping[str, object]) -> Price | None:
    """The dearest that the answer may be of: any that is known, unless the request forbids dearer ones."""
    if DEFAULT_TIER not in tiers:
        return None
    asked = body.get("service_tier")
    name = plain_tier(asked if isinstance(asked, str) else None)
    if asked in _NEVER_DEARER:
        return dearest([tiers[DEFAULT_TIER], tiers.get(name, tiers[DEFAULT_TIER])])
    if tier_price(tiers, name) is None:
        return None
    return dearest(list(tiers.values()))


def _hidden(body: Mapping[str, object]) -> int:
    """Tokens that do not stand in the body as text."""
    total = TOOL_TOKENS if body.get("tools") or body.get("functions") else 0
    if body.get("web_search_options"):
        total += FILE_TOKENS
    tools = body.get("tools")
    if isinstance(tools, list):
        of_provider = [tool for tool in cast("list[object]", tools) if not _is_own(tool)]
        total += FILE_TOKENS * len(of_provider)
    return total + _parts(body.get("messages")) + _parts(body.get("system"))


def _is_own(tool: object) -> bool:
    """Whether the caller runs it: what it says comes in the next request."""
    return isinstance(tool, Mapping) and cast("Mapping[str, object]", tool).get("type") in _OWN_TOOLS


def _parts(value: object) -> int:
    """Pictures and files in messages, however deep: results of tools hold some, too."""
    total = 0
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            part = cast("Mapping[str, object]", one)
            kind = part.get("type")
            if isinstance(kind, str):
                total += IMAGE_TOKENS if kind in _IMAGES else FILE_TOKENS if kind in _FILES else 0
            waiting += part.values()
        elif isinstance(one, Sequence) and not isinstance(one, str | bytes):
            waiting += cast("Sequence[object]", one)
    return total


def _answers(body: Mapping[str, object]) -> int:
    return max(_positive(body.get("n")) or 1, _positive(body.get("best_of")) or 1)


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
