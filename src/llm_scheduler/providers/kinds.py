"""The table of provider kinds: a model's `type` names one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_scheduler.providers.anthropic import AnthropicKind
from llm_scheduler.providers.local import LocalKind
from llm_scheduler.providers.openai import OpenAIKind
from llm_scheduler.providers.scripted import ScriptedKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_scheduler.ports.provider import ProviderKind

KINDS: Final[Mapping[str, ProviderKind]] = {
    kind.name: kind
    for kind in (
        OpenAIKind(),
        AnthropicKind(),
        LocalKind(),
        ScriptedKind(),
    )
}
