from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from tests.stubs.canned import CANNED

from llm_scheduler.ports.provider import Fault, ProviderError
from llm_scheduler.providers.faults import (
    GENERAL_WORDS,
    PHRASES,
    SPECIFIC_WORDS,
    STATUSES,
    VERDICTS,
    error_in_stream,
    error_of_answer,
)

C, P, L, S, Q = Fault.CALLER, Fault.PROVIDER, Fault.LIMIT, Fault.SETUP, Fault.QUOTA
EXPECTED: dict[str, tuple[str, bool, Fault, float | None]] = {
    "400": ("invalid_request", False, C, None),
    "401": ("authentication_failed", False, S, None),
    "402": ("insufficient_quota", False, Q, None),
    "403": ("permission_denied", False, S, None),
    "404": ("not_found", False, S, None),
    "404_html": ("not_found", False, S, None),
    "408": ("timeout", True, P, None),
    "409": ("server_error", True, P, None),
    "413": ("too_large", False, C, None),
    "422": ("invalid_request", False, C, None),
    "429": ("rate_limited", True, L, None),
    "429_seconds": ("rate_limited", True, L, 7),
    "429_ms": ("rate_limited", True, L, 0.25),
    "429_date": ("rate_limited", True, L, 9),
    "429_go": ("rate_limited", True, L, 72.5),
    "429_long": ("rate_limited", True, L, 3600),
    "429_anthropic": ("rate_limited", True, L, 30),
    "insufficient_quota": ("insufficient_quota", False, Q, None),
    "500": ("server_error", True, P, None),
    "500_empty": ("server_error", True, P, None),
    "502_html": ("server_error", True, P, None),
    "503": ("overloaded", True, P, 3),
    "504": ("server_error", True, P, None),
    "529": ("overloaded", True, P, None),
    "context": ("context_length_exceeded", False, C, None),
    "context_phrase": ("context_length_exceeded", False, C, None),
    "context_llama": ("context_length_exceeded", False, C, None),
    "content_filter": ("content_filtered", False, C, None),
    "prompt_too_long": ("context_length_exceeded", False, C, None),
    "credit": ("insufficient_quota", False, Q, None),
    "redirect": ("not_found", False, S, None),
}


def said_by(name: str) -> ProviderError:
    canned = CANNED[name]
    return error_of_answer(canned.status, CIMultiDict(canned.headers), canned.body)


@pytest.mark.parametrize("name", sorted(CANNED))
def test_each_canned_answer_says_what_to_do(name: str) -> None:
    error = said_by(name)

    assert (error.code, error.is_retryable, error.fault, error.retry_after_s) == EXPECTED[name]
    assert error.http_status == CANNED[name].status


def test_every_rule_leads_to_a_known_code() -> None:
    codes = {*SPECIFIC_WORDS.values(), *GENERAL_WORDS.values(), *STATUSES.values(), *dict(PHRASES).values()}

    assert codes <= set(VERDICTS)


def test_the_message_names_the_status_and_what_the_server_said() -> None:
    assert said_by("404").message == "HTTP 404: The model `gpt-9` does not exist"
    assert "'502 Bad Gateway'" in said_by("502_html").message
    assert "base_url" in said_by("404_html").message
    assert "redirects" in said_by("redirect").message
    assert "field required" in said_by("422").message


def test_a_key_that_the_server_repeats_is_masked() -> None:
    assert "abc123" not in said_by("401").message
    assert "***" in said_by("401").message

    body = b'{"error": {"message": "bad key hunter2-hunter2"}}'
    assert "hunter2" not in error_of_answer(401, {}, body, ("hunter2-hunter2",)).message


def test_a_novel_as_error_is_shortened() -> None:
    assert len(error_of_answer(500, {}, b"word " * 10_000).message) < 600


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"message": "x", "type": "overloaded_error"}, "overloaded"),
        ({"message": "x", "type": "rate_limit_error"}, "rate_limited"),
        ({"message": "x", "type": "requests", "code": "rate_limit_exceeded"}, "rate_limited"),
        ({"message": "x", "type": "server_error", "code": None}, "server_error"),
        ({"message": "x", "code": 400, "type": "exceed_context_size_error"}, "context_length_exceeded"),
        ({"message": "x", "code": 503}, "overloaded"),
        ({"message": "x", "code": 99}, "server_error"),
        ("just a text", "server_error"),
        ({}, "server_error"),
    ],
)
def test_an_error_inside_a_stream_is_judged_by_its_words(error: object, code: str) -> None:
    assert error_in_stream(error).code == code


@given(status=st.integers(300, 999), body=st.binary(max_size=60) | st.sampled_from([b"[]", b"[[]]", b"null", b"{}"]))
def test_any_status_and_body_give_an_error(status: int, body: bytes) -> None:
    assert error_of_answer(status, {}, body).code in VERDICTS
