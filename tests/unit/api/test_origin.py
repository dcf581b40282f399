"""Whose address counts: what trusted proxies tell, and nothing that a client can write itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.api.origin import FORWARDED, MOST_HOPS, Origin, Origins, hop_address
from llm_scheduler.domain.addresses import address_of, household, network_of
from llm_scheduler.domain.networks import contains

PROXY, INNER, CLIENT = "10.0.0.1", "10.0.0.2", "203.0.113.7"
TRUSTED = Origins(("10.0.0.0/8", "127.0.0.1", "::1"))


def origin(origins: Origins, peer: str, *headers: tuple[str, str], scheme: str = "http") -> Origin:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope: dict[str, Any] = {"client": (peer, 50_000), "scheme": scheme, "headers": raw}
    return origins.of(scope, dict(raw))


def forwarded_for(peer: str, *values: str, origins: Origins = TRUSTED) -> str:
    return origin(origins, peer, *(("x-forwarded-for", value) for value in values)).address


def test_without_trusted_proxies_no_header_is_believed() -> None:
    told = origin(Origins(), PROXY, ("x-forwarded-for", CLIENT), ("x-forwarded-proto", "https"))

    assert (told.address, told.scheme) == (PROXY, "http")


def test_a_peer_that_is_not_trusted_is_the_client_whatever_it_says() -> None:
    assert forwarded_for("198.51.100.9", "127.0.0.1, 10.0.0.1") == "198.51.100.9"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([CLIENT], CLIENT),
        ([f"1.2.3.4, {CLIENT}"], CLIENT),
        ([f"10.9.9.9, 1.2.3.4, {CLIENT}, {INNER}"], CLIENT),
        (["1.2.3.4", f"{CLIENT}, {INNER}"], CLIENT),
        ([f"{CLIENT}:4711"], CLIENT),
        (["2001:db8::7"], "2001:db8::7"),
        (["[2001:db8::7]"], "2001:db8::7"),
        (["[2001:db8::7]:4711"], "2001:db8::7"),
        ([f'"{CLIENT}:80"'], CLIENT),
        ([f"::ffff:{CLIENT}"], CLIENT),
        ([f"evil, {CLIENT}"], CLIENT),
        ([f"{INNER}, 10.0.0.3"], INNER),
        ([""], PROXY),
        ([], PROXY),
    ],
)
def test_the_rightmost_hop_that_is_not_trusted_is_the_client(values: list[str], expected: str) -> None:
    assert forwarded_for(PROXY, *values) == expected


@pytest.mark.parametrize("hop", ["unknown", "_hidden", "evil", "999.1.1.1", "1.2.3.4:port", "[::1", "1.2.3", "a" * 300])
def test_a_client_that_a_proxy_hides_is_in_no_network(hop: str) -> None:
    """Not the proxy itself: that one may stand in the networks of administration."""
    found = forwarded_for(PROXY, f"{CLIENT}, {hop}")

    assert found == "unknown"
    assert not contains(("0.0.0.0/0", "::/0"), found)


def test_only_so_many_hops_are_looked_at() -> None:
    assert forwarded_for(PROXY, ", ".join([CLIENT, *([INNER] * MOST_HOPS * 10)])) == INNER


def test_the_scheme_comes_from_the_nearest_proxy() -> None:
    def scheme(value: str) -> str:
        return origin(TRUSTED, PROXY, ("x-forwarded-for", CLIENT), ("x-forwarded-proto", value)).scheme

    assert [scheme(one) for one in ("https", "HTTPS", "http, https", "https, http", "gopher", "")] == [
        "https",
        "https",
        "https",
        "http",
        "http",
        "http",
    ]


@pytest.mark.parametrize(
    ("value", "address", "scheme"),
    [
        ("for=203.0.113.7;proto=https;by=10.0.0.1", CLIENT, "https"),
        ('For="[2001:db8::7]:4711";Proto=https', "2001:db8::7", "https"),
        ("for=1.2.3.4, for=203.0.113.7, for=10.0.0.2;proto=https", CLIENT, "http"),
        ('for="1.2.3.4, for=203.0.113.7;proto=https', CLIENT, "https"),
        ("for=unknown", "unknown", "http"),
        ("by=10.0.0.1", "unknown", "http"),
    ],
)
def test_forwarded_is_read_where_it_was_chosen(value: str, address: str, scheme: str) -> None:
    found = origin(Origins(("10.0.0.0/8",), FORWARDED), PROXY, ("forwarded", value))

    assert (found.address, found.scheme) == (address, scheme)


def test_the_header_that_was_not_chosen_is_the_clients_and_not_read() -> None:
    """A proxy that writes one of them hands the other on as the client wrote it."""
    headers = (("x-forwarded-for", CLIENT), ("forwarded", "for=127.0.0.1;proto=https"))

    assert origin(TRUSTED, PROXY, *headers)[:2] == (CLIENT, "http")
    assert origin(Origins(("10.0.0.0/8",), FORWARDED), PROXY, *headers)[:2] == ("127.0.0.1", "https")


@pytest.mark.parametrize(
    ("peer", "headers", "is_local"),
    [
        ("127.0.0.1", (), True),
        ("::1", (), True),
        ("::ffff:127.0.0.1", (), True),
        (CLIENT, (), False),
        ("127.0.0.1", (("x-forwarded-for", CLIENT),), False),
        ("127.0.0.1", (("x-forwarded-for", "127.0.0.1"),), True),
        ("127.0.0.1", (("x-forwarded-for", "nobody"),), False),
        ("127.0.0.1", (("via", "1.1 nginx"),), False),
        (PROXY, (("x-forwarded-for", "127.0.0.1"),), False),
    ],
)
def test_local_is_what_is_on_this_machine(peer: str, headers: tuple[tuple[str, str], ...], is_local: bool) -> None:
    assert origin(TRUSTED, peer, *headers).is_local is is_local


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip", "via", "x-forwarded-host"])
def test_behind_a_proxy_that_nobody_trusts_nothing_is_local(header: str) -> None:
    assert not origin(Origins(), "127.0.0.1", (header, "127.0.0.1")).is_local


@given(text=st.text(max_size=200))
def test_whatever_stands_in_a_header_gives_an_address_or_none(text: str) -> None:
    found = hop_address(text)

    assert found is None or address_of(found) is not None


@given(spoofed=st.text(alphabet=st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=300))
def test_what_the_client_wrote_before_changes_nothing(spoofed: str) -> None:
    for origins, header, mine in (
        (TRUSTED, "x-forwarded-for", CLIENT),
        (Origins(("10.0.0.0/8",), FORWARDED), "forwarded", f"for={CLIENT}"),
    ):
        assert origin(origins, PROXY, (header, f"{spoofed}, {mine}")).address == CLIENT


def test_networks_have_addresses_of_either_form() -> None:
    assert contains(("10.0.0.0/8",), "::ffff:10.1.2.3")
    assert contains(("::ffff:10.0.0.0/104",), "10.1.2.3")
    assert contains(("2001:db8::/32",), "2001:db8::1%eth0")
    assert not contains(("10.0.0.0/8", "::/0"), "11.0.0.1")
    assert not contains((), "10.0.0.1")
    assert not contains(("0.0.0.0/0",), "localhost")


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "example.com", "", "10.0.0.0/-1"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        network_of(text)


def test_an_ipv6_customer_counts_as_one() -> None:
    assert household("2001:db8:1:2::1") == household("2001:db8:1:2:ffff::9") != household("2001:db8:1:3::1")
    assert household("::ffff:192.0.2.1") == household("192.0.2.1") == "192.0.2.1"
