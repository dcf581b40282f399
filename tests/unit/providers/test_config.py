from __future__ import annotations

from typing import Any

import pytest

from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.providers import KINDS
from llm_scheduler.providers.config import endpoint_url

SECRET = "sk-do-not-show-me"


@pytest.mark.parametrize(
    ("kind", "config", "loc", "says"),
    [
        ("openai", {"base_url": "ftp://x"}, ("base_url",), "http:// or https://"),
        ("openai", {"base_url": "api.openai.com/v1"}, ("base_url",), "http:// or https://"),
        ("openai", {"base_url": "https://"}, ("base_url",), "name a host"),
        ("openai", {"base_url": "https://u:p@x/v1"}, ("base_url",), "'api_key'"),
        ("openai", {"base_url": "https://x:99999"}, ("base_url",), "valid address"),
        ("openai", {"base_url": 7}, ("base_url",), "address such as"),
        ("openai", {"base_url": "https://x/v1#y"}, ("base_url",), "'#'"),
        ("openai", {"api_key": f"{SECRET}\nx"}, ("api_key",), "one word"),
        ("openai", {"api_key": f"{SECRET} x"}, ("api_key",), "one word"),
        ("openai", {"api_key": 5}, ("api_key",), "text"),
        ("openai", {"model": " "}, ("model",), "not empty"),
        ("openai", {"timeout_s": 0}, ("timeout_s",), "from 0.1"),
        ("openai", {"timeout_s": "5"}, ("timeout_s",), "number"),
        ("openai", {"timeout_s": True}, ("timeout_s",), "number"),
        ("openai", {"timeout_s": float("nan")}, ("timeout_s",), "number"),
        ("openai", {"headers": {"x y": "z"}}, ("headers",), "header names"),
        ("openai", {"headers": {"x": f"{SECRET}\r\n"}}, ("headers",), "one line"),
        ("openai", {"headers": {"Authorization": SECRET}}, ("headers",), "'api_key'"),
        ("openai", {"headers": {"Content-Length": "1"}}, ("headers",), "each request"),
        ("openai", {"headers": {"Host": "elsewhere.example"}}, ("headers",), "each request"),
        ("openai", {"api_key_header": "Host"}, ("api_key_header",), "name of a header"),
        ("openai", {"headers": ["x"]}, ("headers",), "object"),
        ("openai", {"api_key_header": "a b"}, ("api_key_header",), "name of a header"),
        ("openai", {"extra_body": []}, ("extra_body",), "object"),
        ("openai", {"modle": "x"}, ("modle",), "Did you mean 'model'"),
        ("anthropic", {"max_tokens": 0}, ("max_tokens",), "whole number"),
        ("anthropic", {"max_tokens": 1.5}, ("max_tokens",), "whole number"),
        ("anthropic", {"zzz": 1}, ("zzz",), "Known fields: api_key"),
        ("scripted", {"delay_ms": -1}, ("delay_ms",), "from 0"),
        ("scripted", {"delay": 1}, ("delay",), "'delay_ms'"),
        ("scripted", {"errors": {}}, ("errors",), "list of rules"),
        ("scripted", {"errors": [{"code": "oops"}]}, ("errors", 0, "code"), "server_error"),
        ("scripted", {"errors": [{}, {"evry": 2}]}, ("errors", 1, "evry"), "'every'"),
        ("scripted", {"errors": [{"attempts": [0]}]}, ("errors", 0, "attempts"), "attempt numbers"),
        ("scripted", {"errors": [{"probability": 2}]}, ("errors", 0, "probability"), "from 0 to 1"),
        ("local", {"threads": 0}, ("threads",), "whole number"),
        ("local", {"embedding": 1}, ("embedding",), "true or false"),
        ("local", {"model_path": "/no/such.gguf"}, ("model_path",), "no file"),
    ],
)
def test_a_wrong_field_is_named_and_the_message_helps(
    kind: str, config: dict[str, Any], loc: tuple[str | int, ...], says: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        KINDS[kind].check(config)

    assert caught.value.loc == ("config", *loc)
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


def test_defaults_are_filled_in_and_null_means_absent() -> None:
    assert KINDS["openai"].check({"api_key": None, "base_url": "http://x/v1/"}) == {
        "base_url": "http://x/v1",
        "api_key_header": "Authorization",
        "timeout_s": 120.0,
        "stream": True,
    }


def test_a_query_of_the_address_stays_behind_the_path() -> None:
    url = endpoint_url("https://x.example/openai/deployments/d?api-version=1", "/chat/completions")

    assert url == "https://x.example/openai/deployments/d/chat/completions?api-version=1"
