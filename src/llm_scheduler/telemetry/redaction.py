"""Masks secrets in whatever is written down or told: those that this process knows, and what looks like one.

A line of 200 characters costs some 80 µs, however many secrets are known; no line is written on the way of a task.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST: Final = 8
"""Characters of a secret that is looked for; a shorter one would be found in many an innocent text."""
SHORTEST_HINTED: Final = 20
MASK: Final = "********"
MOST_KNOWN: Final = 20_000
"""Beyond it the oldest are forgotten; patterns still find most of them."""


def hint(secret: str) -> str:
    """`sk-…1234` of a long key, else only that there was one."""
    if len(secret) < SHORTEST_HINTED:
        return MASK
    head = next((head for head in ("sk-", "llms_") if secret.startswith(head)), "")
    return f"{head}…{secret[-4:]}"


class _Pattern(NamedTuple):
    """What secrets look like. Tried only where one of the `signs` (in lower case) is in the text."""

    signs: tuple[str, ...]
    regex: re.Pattern[str]
    masked: str | Callable[[re.Match[str]], str]


def _hinted(match: re.Match[str]) -> str:
    return hint(match[0])


_NAMES: Final = (
    r"(?:x[-_])?api[-_]?key|(?:proxy-)?authorization|(?:set-)?cookie|(?:access|refresh|id|auth|session|csrf)[-_]?token|"
    r"token|password|passwd|pwd|(?:client|secret|aws_secret)[-_]?(?:access[-_]?)?(?:key|secret)|secret|signature"
)
"""Names whose values are nobody's business."""
_NAME_SIGNS: Final = ("key", "auth", "cookie", "token", "pass", "pwd", "secret", "signature")
_REST: Final = r"""[^\s"'&,;}\\]"""
"""What a value goes on with."""
_NO_VALUE: Final = r"(?!\*|…|Bearer\b|Basic\b)"
"""Masked already, or the word before it."""
PATTERNS: Final[tuple[_Pattern, ...]] = (
    _Pattern(
        ("-----begin",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        MASK,
    ),
    _Pattern(("eyj",), re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), MASK),
    _Pattern(
        ("sk-", "sk_", "pk_", "rk_", "gsk_", "xai-", "hf_", "ghp_", "gho_", "llms_"),
        re.compile(r"\b(?:(?:sk[-_]|[pr]k_|gsk_|xai-|hf_|gh[po]_)[\w-]{8,}|llms_[\w-]{16,})"),
        _hinted,
    ),
    _Pattern(
        ("bearer", "basic"),
        re.compile(r"\b(Bearer|Basic)(\s+)(?!\*)[\w.~+/=-]{8,}", re.IGNORECASE),
        rf"\1\2{MASK}",
    ),
    _Pattern(("://",), re.compile(r"(://[^\s/@:]*:)(?!\*)[^\s/@]+@"), rf"\1{MASK}@"),
    _Pattern(
        _NAME_SIGNS,
        # In URLs, JSON and Python's repr: a name, a sign, perhaps quotes, the value.
        re.compile(
            rf"""(?<![A-Za-z])({_NAMES})(\\?["']?(?:\s?=\s?|%3D)b?\\?["']?|\\?["']\s*:\s*b?\\?["'])"""
            rf"""((?:(?:Bearer|Basic)\s+)?){_NO_VALUE}{_REST}{{4,}}""",
            re.IGNORECASE,
        ),
        rf"\1\2\3{MASK}",
    ),
    _Pattern(
        _NAME_SIGNS,
        # As a header. Words of a sentence may stand there, too: a value has a digit in it.
        re.compile(rf"(?<![A-Za-z])({_NAMES})(:\s*){_NO_VALUE}(?={_REST}*\d){_REST}{{8,}}", re.IGNORECASE),
        rf"\1\2{MASK}",
    ),
    _Pattern(("?key=", "&key="), re.compile(r"([?&]key=)(?!\*)[^\s&\"']+", re.IGNORECASE), rf"\1{MASK}"),
    _Pattern(("akia", "asia"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    _Pattern(("aiza", "ya29."), re.compile(r"\b(?:AIza[\w-]{30,}|ya29\.[\w-]{20,})"), MASK),
)
"""Tried from first to last."""


class Redactor:
    """A `ports.redactor.Redactor`. Secrets are found by their first eight characters, however many there are."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._by_start: dict[str, list[str]] = {}

    def know(self, secret: str) -> None:
        """From now on this text is masked, also as JSON and URLs write it."""
        if secret in self._known or len(secret) < SHORTEST:
            return
        for form in {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), repr(secret)[1:-1]}:
            self._known[form] = hint(secret)
            starting = self._by_start.setdefault(form[:SHORTEST], [])
            starting.append(form)
            # Of two secrets that begin alike the longer one is looked for first.
            starting.sort(key=len, reverse=True)
        while len(self._known) > MOST_KNOWN:
            self._forget(next(iter(self._known)))

    def _forget(self, form: str) -> None:
        del self._known[form]
        starting = self._by_start[form[:SHORTEST]]
        starting.remove(form)
        if not starting:
            del self._by_start[form[:SHORTEST]]

    def __call__(self, text: str) -> str:
        """The text with every secret in it masked."""
        text = self._without_known(text)
        low = text.lower()
        for signs, regex, masked in PATTERNS:
            if any(sign in low for sign in signs):
                text = regex.sub(masked, text)
        return text

    def _without_known(self, text: str) -> str:
        by_start = self._by_start
        if not by_start or len(text) < SHORTEST:
            return text
        starts = by_start.keys() & {text[at : at + SHORTEST] for at in range(len(text) - SHORTEST + 1)}
        for start in sorted(starts, key=lambda start: -len(by_start[start][0])):
            for form in by_start[start]:
                text = text.replace(form, self._known[form])
        return text
