"""Passwords: which are taken, how they are kept, and what a flood of them costs."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from llm_scheduler.domain.sign_in_errors import SignInBusyError, WeakPasswordError
from llm_scheduler.security.passwords import AT_ONCE, MOST_WAITING, ArgonPasswords, Effort, commonest

if TYPE_CHECKING:
    from collections.abc import Iterator

LITTLE = Effort(1, 8, 1)


@pytest.fixture
def passwords() -> Iterator[ArgonPasswords]:
    made = ArgonPasswords(effort=LITTLE)
    yield made
    made.close()


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "ninechars",
        "x" * 257,
        "1234567890",
        "Password123",
        "PASSWORDPASSWORD",
        "aaaaaaaaaaaaaaaa",
        "annabel.smith",
        "Annabel.Smith",
        "qwertyuiop",
        "ｐａｓｓｗｏｒｄ１２３",
    ],
)
def test_what_is_tried_first_is_refused(passwords: ArgonPasswords, password: str) -> None:
    with pytest.raises(WeakPasswordError):
        passwords.check(password, "annabel.smith")


@pytest.mark.parametrize(
    "password", ["ten chars.", "correct horse battery", "x" * 255 + "y", "пароль из слов", "🐎🔋📎 und noch was"]
)
def test_no_rule_says_which_characters(passwords: ArgonPasswords, password: str) -> None:
    passwords.check(password, "ann")


def test_the_list_is_in_the_form_in_which_it_is_asked() -> None:
    assert len(commonest()) > 200
    assert all(one == one.strip().casefold() and len(one) >= 8 for one in commonest())


def test_the_least_length_can_be_set() -> None:
    with pytest.raises(WeakPasswordError, match="at least 16"):
        ArgonPasswords(16).check("fifteen letters", "ann")


async def test_the_right_one_is_told_from_others(passwords: ArgonPasswords) -> None:
    kept = await passwords.hash("some words of mine")

    assert (await passwords.verify("some words of mine", kept)).is_right
    for other in ("some words of mine ", "Some words of mine", "", "some words of mine\0"):
        assert not (await passwords.verify(other, kept)).is_right
    assert not (await passwords.verify("some words of mine", None)).is_right
    assert not (await passwords.verify("some words of mine", "no hash at all")).is_right


async def test_another_keyboard_types_the_same_password(passwords: ArgonPasswords) -> None:
    kept = await passwords.hash("caf\u00e9 au lait s'il")

    assert (await passwords.verify("cafe\u0301 au lait s'il", kept)).is_right


async def test_only_argon2id_of_the_stated_effort_is_kept() -> None:
    kept = await ArgonPasswords().hash("some words of mine")

    assert re.match(r"\$argon2id\$v=19\$m=65536,t=2,p=1\$", kept)
    assert len(kept) <= 255


async def test_no_two_hashes_of_one_password_are_alike(passwords: ArgonPasswords) -> None:
    assert await passwords.hash("some words of mine") != await passwords.hash("some words of mine")


async def test_a_hash_of_less_effort_is_renewed_by_the_right_password_only(passwords: ArgonPasswords) -> None:
    kept = await passwords.hash("some words of mine")
    stronger = ArgonPasswords(effort=Effort(2, 16, 1))

    right = await stronger.verify("some words of mine", kept)
    wrong = await stronger.verify("some other words", kept)

    assert right.renewed is not None
    assert "m=16,t=2" in right.renewed
    assert wrong.renewed is None
    assert (await stronger.verify("some words of mine", right.renewed)).renewed is None


async def test_an_unknown_user_costs_as_many_hashes_as_a_known_one(passwords: ArgonPasswords) -> None:
    kept = await passwords.hash("some words of mine")
    await passwords.warm()
    before = passwords.computed

    await passwords.verify("wrong words here", kept)
    known = passwords.computed - before
    await passwords.verify("wrong words here", None)

    assert passwords.computed - before - known == known == 1


async def test_a_flood_is_bounded_and_over_when_it_is_over(passwords: ArgonPasswords) -> None:
    found = await asyncio.gather(*(passwords.hash(f"words {n}") for n in range(200)), return_exceptions=True)

    refused = [one for one in found if isinstance(one, SignInBusyError)]
    assert len(found) - len(refused) == AT_ONCE + MOST_WAITING
    assert len(await passwords.hash("words after it")) > 50


async def test_hanging_up_makes_no_room() -> None:
    """Else a flood of requests that are cut off would put any number of hashes into the threads' queue."""
    passwords = ArgonPasswords(effort=Effort(8, 65_536, 1))
    jobs = [asyncio.create_task(passwords.hash(f"words {n}")) for n in range(AT_ONCE + MOST_WAITING)]
    await asyncio.sleep(0)

    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)

    # Those that were cancelled before a thread took them are gone; those that run are counted until they end.
    assert 1 <= passwords._under_way <= AT_ONCE
    passwords.close()
