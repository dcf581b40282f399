"""Refresh tokens: `login.generation.family-turn`. Each is good for one use; what they are kept as tells them apart.

The family's half stays the same as long as the sign-in lives, the turn's half is new with each use. So whoever has any
token of the sign-in can be told from whoever only guessed its number: only the former ends it by using an old one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final, NamedTuple

from llm_scheduler.domain.ids import LoginId

_HALF_CHARS: Final = 32
"""Of 192 random bits in base 64, and of the 128 bits of their hash that are kept."""
_MOST_DIGITS: Final = 16


class RefreshToken(NamedTuple):
    """One of them, taken apart."""

    login_id: LoginId
    generation: int
    family: str
    turn: str

    @property
    def text(self) -> str:
        """What the client keeps."""
        return f"{self.login_id}.{self.generation}.{self.family}{self.turn}"

    @property
    def csrf(self) -> str:
        """What a page of ours sends beside the cookie: bound to the sign-in, and no way back to the token."""
        digest = hmac.digest(self.family.encode(), b"llms csrf", "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    @property
    def kept(self) -> str:
        """What the record keeps, 64 characters."""
        return _digest(self.family) + _digest(self.turn)

    def is_of(self, kept: str) -> bool:
        """Whether it belongs to the sign-in that keeps this, whichever use it is of."""
        return hmac.compare_digest(_digest(self.family), kept[:_HALF_CHARS])

    def next(self) -> RefreshToken:
        """What follows on it."""
        return self._replace(generation=self.generation + 1, turn=_random())


def first_half() -> tuple[str, str]:
    """Family and turn of a new sign-in."""
    return _random(), _random()


def kept_of(family: str, turn: str) -> str:
    """What the record keeps of them."""
    return _digest(family) + _digest(turn)


def parsed(text: str) -> RefreshToken | None:
    """The token in a text; None if it is none."""
    login_id, _, rest = text.partition(".")
    generation, _, secret = rest.partition(".")
    if len(secret) != 2 * _HALF_CHARS or not (_is_number(login_id) and _is_number(generation)):
        return None
    return RefreshToken(LoginId(int(login_id)), int(generation), secret[:_HALF_CHARS], secret[_HALF_CHARS:])


def _random() -> str:
    return secrets.token_urlsafe(_HALF_CHARS * 3 // 4)


def _digest(half: str) -> str:
    return hashlib.sha256(half.encode()).hexdigest()[:_HALF_CHARS]


def _is_number(text: str) -> bool:
    return 0 < len(text) <= _MOST_DIGITS and text.isascii() and text.isdigit()
