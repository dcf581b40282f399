"""What an API key looks like: `llms_` + 8 characters to be told by + `_` + 43 secret ones + `_` + 6 to check by.

Letters and digits only, so that a double click marks the whole key. 43 of 62 kinds are 256 bits. The last six are a
CRC-32 of all before them: they tell a key that was cut off or mistyped from one that is not known, and let scanners
for secrets be sure of a find without asking anybody. They keep nobody out; the 43 do.
"""

from __future__ import annotations

import re
from typing import Final
from zlib import crc32

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX_CHARS: Final = 8
SECRET_CHARS: Final = 43
_CHECK_CHARS: Final = 6
KEY_PATTERN: Final = r"\bllms_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}\b"
"""For scanners of secrets."""
_WHOLE: Final = re.compile(r"(llms_[0-9A-Za-z]{8}_[0-9A-Za-z]{43})_([0-9A-Za-z]{6})")


def key_text(prefix: str, secret: str) -> str:
    """The key of 8 and 43 drawn characters."""
    body = f"llms_{prefix}_{secret}"
    return f"{body}_{_check_of(body)}"


def shown_prefix(text: str) -> str:
    """What may be shown of a key: nothing of its secret part."""
    return text[: len("llms_") + PREFIX_CHARS]


def is_sound(text: str) -> bool:
    """Whether it is written as a key of ours is, with check characters that fit; not whether anybody knows it."""
    found = _WHOLE.fullmatch(text)
    return found is not None and _check_of(found[1]) == found[2]


def _check_of(body: str) -> str:
    number = crc32(body.encode())
    digits: list[str] = []
    for _ in range(_CHECK_CHARS):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
