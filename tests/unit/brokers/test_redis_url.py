"""What a Redis URL means, and what is said about one that means nothing."""

from __future__ import annotations

import pytest

from llm_scheduler.brokers.redis.connection import Address, open_client, parse
from llm_scheduler.domain.errors import InvalidInputError


@pytest.mark.parametrize(
    ("url", "meaning"),
    [
        ("redis://host", Address("", False, (("host", 6379),), None, None, "", 0, {})),
        ("redis://host:7000/3", Address("", False, (("host", 7000),), None, None, "", 3, {})),
        ("redis://:p%40ss%2Fw%3Ard@host/0", Address("", False, (("host", 6379),), None, "p@ss/w:rd", "", 0, {})),
        ("redis://us%20er:a:b@[::1]:1", Address("", False, (("::1", 1),), "us er", "a:b", "", 0, {})),
        (
            "rediss://host?ssl_ca_certs=/ca.pem&ssl_check_hostname=false",
            Address(
                "",
                True,
                (("host", 6379),),
                None,
                None,
                "",
                0,
                {"ssl_ca_certs": "/ca.pem", "ssl_check_hostname": "false"},
            ),
        ),
        (
            "redis+sentinel://u:p@a:1,b/main/2?sentinel_password=s",
            Address("sentinel", False, (("a", 1), ("b", 26379)), "u", "p", "main", 2, {"sentinel_password": "s"}),
        ),
        ("rediss+cluster://a:1,b:2", Address("cluster", True, (("a", 1), ("b", 2)), None, None, "", 0, {})),
    ],
)
def test_a_url_is_taken_apart(url: str, meaning: Address) -> None:
    assert parse(url) == meaning


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://:hunter2@host", "must begin with"),
        ("redis+other://:hunter2@host", "must begin with"),
        ("redis://:hunter2@", "host is missing"),
        ("redis://:hunter2@host:port", "port of host"),
        ("redis://:hunter2@host:70000", "port of host"),
        ("redis://:hunter2@a,b", "Several hosts"),
        ("redis://:hunter2@host/name", "must be a number"),
        ("redis://:hunter2@host/0/1", "must be a number"),
        ("redis+sentinel://:hunter2@host:26379", "master's name"),
        ("redis+cluster://:hunter2@host/1", "no databases"),
        ("redis://:hunter2@host?ssl_ca_certs=/x", "Unknown option"),
        ("redis://:hunter2@host?timeout=5", "Unknown option"),
        ("redis://:hunter2@[::1", "not usable"),
    ],
)
def test_a_wrong_url_is_explained_and_shows_no_password(url: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why) as caught:
        open_client(url)

    assert "hunter2" not in str(caught.value)
    assert caught.value.loc == ("redis_url",)
