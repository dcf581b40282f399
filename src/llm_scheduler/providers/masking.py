"""Keeping keys out of messages."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"
_KEYS: Final = re.compile(
    r"""\b(?:sk|pk|rk|gsk|xai|hf|key)[-_][A-Za-z0-9_*.\-]{6,}"""
    r"""|(?<=Bearer\s)[^\s"',]{4,}"""
    r"""|(?<=api[-_]key=)[^\s&"']+"""
    r"""|(?<=[?&]key=)[^\s&"']+""",
    re.IGNORECASE,
)


def masked(said: str, secrets: tuple[str, ...] = ()) -> str:
    """`said` without `secrets` and without anything that looks like a key.

    Servers like to repeat the key that they refuse.
    """
    for secret in secrets:
        if len(secret) >= 4:
            said = said.replace(secret, MASK)
    return _KEYS.sub(MASK, said)
