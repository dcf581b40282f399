"""Characters that nobody can guess."""

from __future__ import annotations

import secrets

from llm_scheduler.domain.key_text import ALPHABET


def drawn(count: int) -> str:
    """So many letters and digits from the system's source of secrets; 43 are 256 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(count))
