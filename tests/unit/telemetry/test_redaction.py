"""Secrets are masked wherever they stand; what is none stays as it is."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.telemetry.redaction import MOST_KNOWN, Redactor, hint

KEY = "sk-proj-0123456789abcdefghij"
SECRETS = {
    "a provider's key": ("the key sk-abcdefgh12345678 was refused", "sk-abcdefgh12345678"),
    "a key of ours": ("key llms_abcdefghijklmnopqrst is unknown", "llms_abcdefghijklmnopqrst"),
    "a bearer token": ("sent Bearer abcdefghijk.lmn to them", "abcdefghijk.lmn"),
    "basic access": ("Authorization: Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
    "a header": ("X-API-Key: 9f8e7d6c5b4a", "9f8e7d6c5b4a"),
    "headers in Python": ("{'Authorization': 'tok-9f8e7d6c'}", "tok-9f8e7d6c"),
    "headers in JSON": ('{"api_key": "plainest words"}', "plainest"),
    "headers in JSON in JSON": (r'{"body": "{\"password\": \"hunter2hunter2\"}"}', "hunter2hunter2"),
    "a JWT": ("got eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyIjoxfQ.c2lnbmF0dXJl back", "eyJ1c2VyIjoxfQ"),
    "a query": ("GET https://host/v1?api_key=abcd1234&x=1", "abcd1234"),
    "Google's query": ("GET https://host/v1?key=abcd1234wxyz", "abcd1234wxyz"),
    "a token in a query": ("GET /v1?x=1&access_token=abcd1234", "abcd1234"),
    "a password in a URL": ("cannot reach mysql://root:hunter2@db:3306/llms", "hunter2"),
    "a password without a user": ("redis://:hunter2@cache:6379/0", "hunter2"),
    "a setting": ("LLMS_SECRET_KEY=0123456789abcdef0123", "0123456789abcdef0123"),
    "a key of AWS": ("AKIAIOSFODNN7EXAMPLE is not valid", "AKIAIOSFODNN7EXAMPLE"),
    "a key of Google": ("AIzaSyA1234567890abcdefghijklmnopqrstuv said", "AIzaSyA1234567890abcdefghijklmnopqrstuv"),
    "a private key": ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "MIIEow"),
}
HARMLESS = (
    "No API key. Send 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.",
    "config.api_key: Input should be a valid string",
    "max_tokens=64 prompt_tokens: 12000000 were used",
    "http://127.0.0.1:8000/v1/chat?to=me@example.org",
    "password: needs at least 12 characters",
    "task-1234567890 on disk-0123456789 waits",
    '{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10}',
    "Unknown setting LLMS_SECRET_KEYS_OLDER. Did you mean LLMS_SECRET_KEYS_OLD?",
)


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS)
def test_what_looks_like_a_secret_is_masked(text: str, secret: str) -> None:
    """By its own shape, or by the name before it; twice masked is as once."""
    redactor = Redactor()
    masked = redactor(text)

    assert secret not in masked
    assert redactor(masked) == masked


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    """Words about secrets are none."""
    assert Redactor()(text) == text


def test_a_long_key_can_be_told_by_its_end() -> None:
    """Enough to find it among others, too little to use it."""
    assert Redactor()(f"refused {KEY}") == "refused sk-…ghij"
    assert hint("short-secret") == "********"


def test_a_known_secret_is_masked_in_every_spelling() -> None:
    """Plain, as JSON, in a URL, in Python's repr."""
    secret = "pa\"ss wörd'\\/§%"
    redactor = Redactor()
    redactor.know(secret)
    spellings = [secret, json.dumps(secret), quote(secret, safe=""), repr(secret)]

    for text in spellings:
        assert redactor(f"<{text}>") not in (f"<{text}>",), text
        assert not [form for form in ("wörd", "w\\u00f6rd", "w%C3%B6rd") if form in redactor(text)]


def test_of_secrets_that_begin_alike_the_longer_is_masked_whole() -> None:
    """No tail of one stays behind the other."""
    redactor = Redactor()
    for secret in ("correct horse", "correct horse battery staple"):
        redactor.know(secret)

    assert redactor("say correct horse battery staple!") == "say …aple!"


def test_a_short_text_is_not_looked_for() -> None:
    """Else every 'admin' would go."""
    redactor = Redactor()
    redactor.know("admin")

    assert redactor("the admin came") == "the admin came"


@given(st.text(min_size=8, max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_whatever_a_known_secret_is_it_does_not_pass(secret: str, before: str, after: str) -> None:
    """Any text, anywhere; a mask of stars could be a secret only by being stars itself."""
    redactor = Redactor()
    redactor.know(secret)
    masked = redactor(before + secret + after)

    assert secret not in masked or secret in hint(secret) * 2 or secret in before + hint(secret) + after


def test_the_oldest_secrets_are_forgotten_beyond_a_bound() -> None:
    """A process that opens secrets for ever does not grow for ever."""
    redactor = Redactor()
    for number in range(MOST_KNOWN + 50):
        redactor.know(f"{number:08d} is a secret")

    assert redactor(f"{MOST_KNOWN + 49:08d} is a secret") != f"{MOST_KNOWN + 49:08d} is a secret"
    assert redactor("00000000 is a secret") == "00000000 is a secret"
    assert len(redactor._known) <= MOST_KNOWN
