"""The database's URL."""

import pytest

from llm_scheduler.domain.errors import StoreUnusableError
from llm_scheduler.stores.mysql.address import Address, parse


def test_user_password_and_name_are_decoded() -> None:
    address = parse("mysql://us%40er:p%40ss%2Fw%3Ard%20%F0%9F%A6%8A@db.example:3307/my%2Ddb?connect_timeout=1.5")

    assert address == Address("db.example", 3307, "us@er", "p@ss/w:rd 🦊", "my-db", connect_timeout_s=1.5)


def test_the_rest_has_defaults() -> None:
    assert parse("mariadb://root@localhost/llms") == Address("localhost", 3306, "root", "", "llms")
    assert parse("mysql://root@[::1]/llms").host == "::1"


@pytest.mark.parametrize(
    ("options", "is_encrypted"), [("", False), ("?ssl=true", True), ("?ssl_ca=/ca.pem", True), ("?ssl=false", False)]
)
def test_encryption_is_asked_for(options: str, is_encrypted: bool) -> None:
    assert parse("mysql://u:p@h/d" + options).is_encrypted is is_encrypted


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgres://u:secret@h/d", "begins with none of"),
        ("mysql://u:secret@/d", "user or host is missing"),
        ("mysql://h/d", "user or host is missing"),
        ("mysql://u:secret@h", "name of the database is missing"),
        ("mysql://u:secret@h/a/b", "name of the database is missing"),
        ("mysql://u:secret@h:port/d", "cannot be read"),
        ("mysql://u:secret@[h/d", "cannot be read"),
        ("mysql://u:secret@h/d?colour=red", "unknown option colour"),
        ("mysql://u:secret@h/d?ssl=perhaps", "neither true nor false"),
        ("mysql://u:secret@h/d?connect_timeout=0", "not a number of seconds"),
        ("mysql://u:secret@h/d?connect_timeout=soon", "not a number of seconds"),
    ],
)
def test_a_wrong_url_is_explained_without_its_password(url: str, why: str) -> None:
    with pytest.raises(StoreUnusableError, match=why) as caught:
        parse(url)

    assert "secret" not in str(caught.value)


def test_the_password_is_shown_nowhere() -> None:
    address = parse("mysql://u:secret@h/d")

    assert "secret" not in f"{address} {address!r}"


def test_a_file_of_authorities_that_is_missing_is_named() -> None:
    with pytest.raises(StoreUnusableError, match=r"/nowhere/ca\.pem"):
        parse("mysql://u:p@h/d?ssl_ca=/nowhere/ca.pem").ssl_context()
