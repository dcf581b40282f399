"""Where models may call: decided when a model is saved, and again by the address that a connection is opened to."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from llm_scheduler.domain.addresses import address_of
from llm_scheduler.domain.errors import InvalidInputError
from llm_scheduler.domain.ids import DEFAULT_TENANT, ModelId, TenantId
from llm_scheduler.domain.model import Endpoint, Model
from llm_scheduler.domain.outbound import Outbound, Reach, check_entry, is_public
from llm_scheduler.ports.provider import BoundedKind, Call, Fault, ProviderError
from llm_scheduler.providers.kinds import KINDS
from llm_scheduler.providers.upstream import Upstream
from llm_scheduler.security.outbound import SystemResolver
from llm_scheduler.services.outbound import OutboundRules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TENANT = TenantId(7)
PUBLIC = "93.184.216.34"
INNER = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe",
    "2001:db8::1",
    "not an address",
    "",
]
NEVER = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fe80::1", "::ffff:169.254.169.254"]


class Names:
    """A resolver that knows names by a table."""

    def __init__(self, known: Mapping[str, Sequence[str]] | None = None) -> None:
        self.known = dict(known or {})
        self.asked: list[str] = []

    async def addresses(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.known.get(host, [host] if address_of(host) else [])


def model(url: str, tenant_id: TenantId = TENANT, endpoints: tuple[str, ...] = ()) -> Model:
    ways = tuple(Endpoint(f"e{number}", {"base_url": one}) for number, one in enumerate(endpoints))
    return Model(ModelId(1), tenant_id, "m", "openai", config={"base_url": url} if url else {}, endpoints=ways)


@pytest.mark.parametrize("address", INNER)
def test_what_is_not_of_the_internet_is_not_public(address: str) -> None:
    assert Outbound(Reach.PUBLIC).refuses("x.example.com", address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "172.32.0.1", "2606:2800:220:1::1", "64:ff9b::808:808"])
def test_the_internet_is_public(address: str) -> None:
    assert not Outbound(Reach.PUBLIC).refuses("x.example.com", address)


@given(number=st.integers(0, 2**32 - 1))
def test_however_an_ipv4_address_is_wrapped_it_is_judged_alike(number: int) -> None:
    plain = socket.inet_ntoa(number.to_bytes(4, "big"))
    found = address_of(plain)
    assert found is not None
    wrapped = [f"::ffff:{plain}", f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}"]

    for each in wrapped:
        other = address_of(each)
        assert other is not None
        assert is_public(other) == is_public(found)


@pytest.mark.parametrize("address", NEVER)
def test_metadata_is_closed_also_where_all_else_is_open(address: str) -> None:
    assert Outbound(Reach.OPEN).refuses("x", address)
    assert Outbound(Reach.OPEN, ("x",)).refuses("x", address)
    assert not Outbound(Reach.OPEN, (f"{address_of(address)}",)).refuses("x", address)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", PUBLIC])
def test_open_is_open_for_servers_of_ones_own(address: str) -> None:
    assert not Outbound(Reach.OPEN).refuses("ollama", address)


def test_a_list_opens_networks_hosts_and_domains() -> None:
    rule = Outbound(Reach.ALLOWLIST, ("10.1.0.0/16", "llm.corp", "*.example.com", "fd12::/16"))

    assert not rule.refuses("any", "10.1.2.3")
    assert not rule.refuses("any", "::ffff:10.1.2.3")
    assert not rule.refuses("LLM.corp.", "192.168.7.7")
    assert not rule.refuses("api.example.com", PUBLIC)
    assert not rule.refuses("any", "fd12::1")
    assert rule.refuses("example.com", PUBLIC)
    assert rule.refuses("evilexample.com", PUBLIC)
    assert rule.refuses("llm.corp.evil.com", PUBLIC)
    assert rule.refuses("any", PUBLIC)


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "http://x", "x y", "*", "*.*.com", "", "x/y", "x:80"])
def test_what_cannot_be_listed_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="no network"):
        check_entry(entry)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:11434/v1",
        "http://2130706433/v1",
        "http://0x7f.0.0.1/v1",
        "http://0177.0.0.1/v1",
        "http://127.1/v1",
        "http://localhost:6379",
        "http://[::1]/v1",
        "http://[::ffff:127.0.0.1]/v1",
        "http://[::ffff:a9fe:a9fe]/latest/meta-data",
        "http://169.254.169.254/latest/meta-data",
    ],
)
async def test_however_an_inner_address_is_written_a_tenants_model_cannot_be_saved_with_it(url: str) -> None:
    rules = OutboundRules(SystemResolver())

    with pytest.raises(InvalidInputError) as caught:
        await rules.check(model(url))

    assert caught.value.loc == ("config", "base_url")


async def test_the_installations_own_models_may_be_on_this_machine() -> None:
    rules = OutboundRules(SystemResolver())

    await rules.check(model("http://localhost:11434/v1", DEFAULT_TENANT))
    with pytest.raises(InvalidInputError, match="metadata"):
        await rules.check(model("http://169.254.169.254/v1", DEFAULT_TENANT))


async def test_every_address_of_a_name_is_looked_at_and_none_is_told() -> None:
    rules = OutboundRules(Names({"two.example.com": [PUBLIC, "10.11.12.13"]}))

    with pytest.raises(InvalidInputError) as caught:
        await rules.check(model("https://two.example.com/v1"))

    assert "10.11.12.13" not in str(caught.value)


async def test_endpoints_are_looked_at_and_an_error_says_which() -> None:
    rules = OutboundRules(Names({"a.example.com": [PUBLIC]}))

    with pytest.raises(InvalidInputError) as caught:
        await rules.check(model("", endpoints=("https://a.example.com", "http://10.0.0.1")))

    assert caught.value.loc == ("endpoints", 1, "config", "base_url")


async def test_what_is_known_already_is_not_looked_up_again() -> None:
    names = Names({"a.example.com": [PUBLIC]})
    before = model("https://a.example.com")

    await OutboundRules(names).check(model("https://a.example.com", endpoints=("https://a.example.com",)), before)

    assert names.asked == []


async def test_a_name_that_means_nothing_yet_may_be_saved_unless_only_the_list_counts() -> None:
    await OutboundRules(Names()).check(model("https://soon.example.com"))
    with pytest.raises(InvalidInputError):
        await OutboundRules(Names(), Reach.ALLOWLIST).check(model("https://soon.example.com", DEFAULT_TENANT))
    await OutboundRules(Names(), Reach.ALLOWLIST, ("*.example.com",)).check(model("https://soon.example.com"))


class Rebinding(AbstractResolver):
    """Answers once with a public address, and from then on with this machine's: as who rebinds a name does."""

    def __init__(self, port: int, *answers: str) -> None:
        self._port, self._answers, self.asked = port, list(answers), 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        address = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        found = ResolveResult(
            hostname=host, host=address, port=self._port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
        )
        return [found]

    async def close(self) -> None:
        """Nothing to close."""


class Target:
    """A server on this machine that must not be reached; counts who comes."""

    def __init__(self) -> None:
        self.visits = 0

    async def serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()


class Sink:
    def begin(self, content_type: str, allowance: object) -> None:
        """Nothing to begin."""

    def feed(self, data: bytes) -> bool:
        return True


async def reached(outbound: Outbound | None, url: str, *answers: str) -> tuple[int, ProviderError | None]:
    """How often a server on this machine was reached by a call, and the call's error."""
    target = Target()
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    resolver = Rebinding(port, *answers) if answers else None
    upstream = Upstream({}, (), outbound, resolver)
    error = None
    try:
        await upstream.post(url.replace("PORT", str(port)), b"{}", Sink())
    except ProviderError as failed:
        error = failed
    finally:
        await upstream.close()
        server.close()
        await server.wait_closed()
    return target.visits, error


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:PORT/v1",
        "http://localhost:PORT/v1",
        "http://0x7f000001:PORT/v1",
        "http://[::ffff:127.0.0.1]:PORT/v1",
    ],
)
async def test_no_connection_is_opened_to_an_address_that_is_not_allowed(url: str) -> None:
    visits, error = await reached(Outbound(Reach.PUBLIC), url)

    assert visits == 0
    assert error is not None
    assert (error.code, error.fault, error.is_retryable) == ("permission_denied", Fault.SETUP, False)
    assert not error.was_sent


@pytest.mark.parametrize("url", ["http://2130706433:PORT/v1", "http://127.1:PORT/v1", "http://0177.0.0.1:PORT/v1"])
async def test_odd_forms_of_an_address_lead_nowhere(url: str) -> None:
    """Most of them are refused by the HTTP client itself, whatever they mean."""
    visits, error = await reached(Outbound(Reach.PUBLIC), url)

    assert visits == 0
    assert error is not None


async def test_where_it_is_allowed_the_call_goes_through() -> None:
    assert (await reached(Outbound(Reach.OPEN), "http://127.0.0.1:PORT/v1"))[0] == 1
    assert (await reached(None, "http://127.0.0.1:PORT/v1"))[0] == 1
    assert (await reached(Outbound(Reach.PUBLIC, ("127.0.0.1",)), "http://127.0.0.1:PORT/v1"))[0] == 1


async def test_a_name_that_changes_its_meaning_leads_nowhere() -> None:
    """Public when the model is saved, this machine when it is called: the connection's own address counts."""
    names = Names({"rebind.example.com": [PUBLIC]})
    await OutboundRules(names).check(model("http://rebind.example.com/v1"))

    visits, error = await reached(Outbound(Reach.PUBLIC), "http://rebind.example.com:PORT/v1", "127.0.0.1")

    assert visits == 0
    assert error is not None
    assert error.code == "permission_denied"


async def test_the_resolver_of_the_test_would_lead_there() -> None:
    """Else the test above could not fail."""
    assert (await reached(None, "http://rebind.example.com:PORT/v1", "127.0.0.1"))[0] == 1


async def test_a_redirect_is_not_followed() -> None:
    target = Target()
    inner = await asyncio.start_server(target.serve, "127.0.0.1", 0)

    async def redirect(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        where = f"http://127.0.0.1:{inner.sockets[0].getsockname()[1]}/"
        writer.write(f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    outer = await asyncio.start_server(redirect, "127.0.0.1", 0)
    upstream = Upstream({})
    with pytest.raises(ProviderError):
        await upstream.post(f"http://127.0.0.1:{outer.sockets[0].getsockname()[1]}/v1", b"{}", Sink())
    await upstream.close()
    for server in (inner, outer):
        server.close()
        await server.wait_closed()

    assert target.visits == 0


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_kinds_that_call_servers_keep_to_the_rule(kind: str) -> None:
    target = Target()
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    known: Any = KINDS[kind]
    assert isinstance(known, BoundedKind)
    config = known.check({"base_url": f"http://127.0.0.1:{port}/v1", "api_key": "k"})  # type: ignore[attr-defined]

    provider = known.open_within("m", config, Outbound(Reach.PUBLIC))
    with pytest.raises(ProviderError) as caught:
        await provider.call(Call(1, 1, "chat", {"messages": []}, 5.0))  # type: ignore[arg-type]
    await provider.close()
    server.close()
    await server.wait_closed()

    assert caught.value.code == "permission_denied"
    assert target.visits == 0
