"""What API keys look like, which networks hold an address, and what scopes give."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.access import PERMISSIONS, Permission, Role
from llm_scheduler.domain.access_errors import ForbiddenError
from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.key_text import ALPHABET, KEY_PATTERN, is_sound, key_text, shown_prefix
from llm_scheduler.domain.networks import checked_network, contains, is_within
from llm_scheduler.domain.scopes import BUNDLES, SCOPES, expanded
from llm_scheduler.security.drawing import drawn


def text_of(size: int) -> st.SearchStrategy[str]:
    return st.text(ALPHABET, min_size=size, max_size=size)


KEYS = st.builds(key_text, text_of(8), text_of(43))


@given(text=KEYS)
def test_a_key_is_found_whole_by_the_pattern_in_any_text(text: str) -> None:
    """As a scanner of secrets meets it; what is shown of it holds nothing secret."""
    assert re.findall(KEY_PATTERN, f'API_KEY="{text}";') == [text]
    assert is_sound(text)
    assert shown_prefix(text) == text[:13]


@given(text=KEYS, place=st.integers(5, 63), put=st.sampled_from(ALPHABET))
def test_one_wrong_character_is_told(text: str, place: int, put: str) -> None:
    """A CRC tells every single change."""
    if text[place] in (put, "_"):
        return
    assert not is_sound(text[:place] + put + text[place + 1 :])


@given(text=KEYS, length=st.integers(0, 63))
def test_a_key_that_was_cut_off_is_told(text: str, length: int) -> None:
    assert not is_sound(text[:length])


def test_drawn_characters_are_of_the_alphabet_and_never_the_same() -> None:
    many = {drawn(43) for _ in range(200)}

    assert len(many) == 200
    assert set("".join(many)) == set(ALPHABET)


@pytest.mark.parametrize(
    ("networks", "address", "is_in"),
    [
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:11.1.2.3", False),
        (["10.0.0.0/8"], "::ffff:a01:203", True),
        (["::ffff:10.0.0.0/104"], "10.1.2.3", True),
        (["::ffff:10.0.0.0/104"], "11.1.2.3", False),
        (["::ffff:10.0.0.0/104"], "::ffff:10.1.2.3", True),
        (["::/0"], "10.1.2.3", False),
        (["0.0.0.0/0"], "::1", False),
        (["0.0.0.0/0"], "::ffff:8.8.8.8", True),
        (["2001:db8::/32"], "2001:db8::5", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["192.0.2.7"], "192.0.2.7", True),
        (["192.0.2.7", "192.0.2.9"], "192.0.2.8", False),
        ([], "10.0.0.1", False),
        (["10.0.0.0/8"], "", False),
        (["10.0.0.0/8"], "10.0.0.1.evil.example", False),
        (["10.0.0.0/8"], "010.0.0.1", False),
        (["10.0.0.0/8"], "10.0.0.1, 1.2.3.4", False),
    ],
)
def test_an_address_lies_in_a_network_whatever_clothes_it_wears(networks: list[str], address: str, is_in: bool) -> None:
    assert contains([checked_network(one) for one in networks], address) is is_in


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "example.org", "", "10.0.0.0/8/8", "1", "::1/129"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_network(text)


@pytest.mark.parametrize(
    ("inner", "outer", "is_in"),
    [
        ("10.1.0.0/16", ["10.0.0.0/8"], True),
        ("10.0.0.0/8", ["10.1.0.0/16"], False),
        ("0.0.0.0/0", ["10.0.0.0/8"], False),
        ("::/0", ["0.0.0.0/0"], False),
        ("2001:db8:1::/48", ["10.0.0.0/8", "2001:db8::/32"], True),
    ],
)
def test_a_network_lies_within_another(inner: str, outer: list[str], is_in: bool) -> None:
    assert is_within(inner, outer) is is_in


@given(
    names=st.lists(st.sampled_from(SCOPES), min_size=1, max_size=6),
    held=st.frozensets(st.sampled_from(list(Permission))),
)
def test_no_scopes_give_more_than_is_held(names: list[str], held: frozenset[Permission]) -> None:
    """Whatever is asked for by whomever: a subset, or a refusal."""
    try:
        found = expanded(names, held)
    except ForbiddenError:
        return
    assert found <= held
    assert Permission.SELF not in found


def test_a_bundle_gives_what_is_held_of_it_and_needs_its_core() -> None:
    viewer, owner = PERMISSIONS[Role.VIEWER], PERMISSIONS[Role.OWNER]

    assert Permission.PAYLOADS_READ not in expanded(["read"], viewer)
    assert Permission.PAYLOADS_READ in expanded(["read"], owner)
    with pytest.raises(ForbiddenError):
        expanded(["submit"], viewer)
    # None of the bundles but `all` makes keys: a key that leaks begets none.
    given = frozenset[Permission]().union(*(expanded([name], owner) for name in BUNDLES))
    assert not given & {Permission.KEYS_OWN, Permission.KEYS_MANAGE, Permission.MEMBERS_MANAGE}


def test_an_unknown_scope_is_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match="'everything' is no scope"):
        expanded(["everything"], PERMISSIONS[Role.ADMIN])
