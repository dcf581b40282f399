"""The connections of one provider to its server: sending, reading, and what may go wrong on the way."""

from __future__ import annotations

import asyncio
import socket
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import aiohttp

from llm_scheduler.providers.allowance import allowance_of
from llm_scheduler.providers.faults import error_of, error_of_answer
from llm_scheduler.providers.masking import masked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.abc import AbstractResolver

    from llm_scheduler.domain.outbound import Outbound
    from llm_scheduler.ports.provider import Allowance, ProviderError

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_ERROR_BYTES: Final = 64 * 1024
CONNECT_TIMEOUT_S: Final = 15.0
KEEPALIVE_S: Final = 30.0
DNS_CACHE_S: Final = 60
TAIL_WAIT_S: Final = 1.0
"""How long the end of a body may take after the answer's last word."""


class _Attempt:
    """What a request did to get a connection."""

    __slots__ = ("has_opened", "is_refused")

    def __init__(self) -> None:
        self.has_opened = False
        """It opened one of its own."""
        self.is_refused = False
        """It must not connect to (one of) the addresses that the host has now."""


_attempt: ContextVar[_Attempt | None] = ContextVar("attempt", default=None)
"""Of the request of this context."""


class Sink(Protocol):
    """Takes an answer as it arrives."""

    def begin(self, content_type: str, allowance: Allowance) -> None:
        """The head has come, with status 200, and says what is left of the server's limits."""
        ...

    def feed(self, data: bytes) -> bool:
        """Some bytes; gives True when the answer's last word was among them.

        Raises:
            ProviderError: the answer holds an error, or makes no sense.
        """
        ...


class Upstream:
    """One server's connections: opened with the first request, kept between requests.

    Args:
        headers: sent with each request.
        secrets: texts that must not stand in an error.
        outbound: which addresses may be connected to; None = any.
        resolver: asked for names; None = the system.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        secrets: tuple[str, ...] = (),
        outbound: Outbound | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        own = {"user-agent": "llm-scheduler", "content-type": "application/json"}
        self._headers = own | {name.lower(): value for name, value in headers.items()}
        self.secrets = secrets
        self._outbound, self._resolver = outbound, resolver
        self._pooled: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def post(self, url: str, body: bytes, sink: Sink) -> bool:
        """Send `body` and read the answer into `sink`; False if the answer was cut.

        Cancelling closes the connection at once, so that the server may stop.

        Raises:
            ProviderError: no connection, an error status, an answer that is too large, or what `sink` raised.
        """
        response = await self._send(url, body)
        try:
            if response.status == 200:
                sink.begin(response.headers.get("Content-Type", ""), allowance_of(response.headers))
                return await _read(response, sink)
            error = await self._error(response)
        except BaseException:
            response.close()
            raise
        raise error

    async def close(self) -> None:
        """Close all connections; calls that still run fail."""
        self._is_closed = True
        for session in (self._pooled, self._fresh):
            if session is not None:
                await session.close()
        self._pooled = self._fresh = None

    async def _send(self, url: str, body: bytes) -> aiohttp.ClientResponse:
        attempt = _Attempt()
        _attempt.set(attempt)
        if self._pooled is None:
            self._pooled = self._session(url)
        try:
            return await self._pooled.post(url, data=body, allow_redirects=False)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if attempt.has_opened or isinstance(error, aiohttp.ClientConnectorError) or self._is_closed:
                raise self._connection_failed(url, error) from error
        except aiohttp.ClientError as error:
            raise self._connection_failed(url, error) from error
        # A kept connection was dying when we took it: servers close idle ones when they like.
        # Once more over a new one, which cannot be stale.
        if self._fresh is None:
            self._fresh = self._session(url, keeps=False)
        try:
            return await self._fresh.post(url, data=body, allow_redirects=False)
        except aiohttp.ClientError as error:
            raise self._connection_failed(url, error) from error

    def _session(self, url: str, *, keeps: bool = True) -> aiohttp.ClientSession:
        if self._is_closed:
            raise error_of("connection_failed", "the provider was closed")
        connector = aiohttp.TCPConnector(
            limit=0,
            ttl_dns_cache=DNS_CACHE_S,
            socket_factory=partial(_socket, self._outbound, urlsplit(url).hostname or ""),
            resolver=self._resolver,
            keepalive_timeout=KEEPALIVE_S if keeps else None,
            force_close=not keeps,
        )
        return aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            # The call's own timeout stands around everything: no timer for each read.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
            read_bufsize=1 << 18,
        )

    async def _error(self, response: aiohttp.ClientResponse) -> ProviderError:
        body = b""
        try:
            while len(body) < MAX_ERROR_BYTES and (data := await response.content.readany()):
                body += data
        except (aiohttp.ClientError, OSError):
            pass  # the status says enough
        error = error_of_answer(response.status, response.headers, body, self.secrets)
        if response.content.at_eof():
            response.release()
        return error

    def _connection_failed(self, url: str, error: aiohttp.ClientError) -> ProviderError:
        host = urlsplit(url).netloc
        attempt = _attempt.get()
        if attempt is not None and attempt.is_refused and not attempt.has_opened:
            refused = error_of("permission_denied", f"models must not call {host} here (LLMS_OUTBOUND)")
            refused.was_sent = False
            return refused
        if isinstance(error, aiohttp.ClientResponseError):
            return error_of("bad_response", f"{host} does not answer in HTTP")
        said = masked(str(error) or type(error).__name__, self.secrets)
        failed = error_of("connection_failed", f"no connection to {host}: {said}")
        failed.was_sent = not isinstance(error, aiohttp.ClientConnectorError)
        return failed


async def _read(response: aiohttp.ClientResponse, sink: Sink) -> bool:
    content = response.content
    size = 0
    try:
        while data := await content.readany():
            size += len(data)
            if size > MAX_ANSWER_BYTES:
                raise error_of("bad_response", f"the answer has more than {MAX_ANSWER_BYTES} bytes", http_status=200)
            if sink.feed(data):
                break
        else:
            return True
    except (aiohttp.ClientError, OSError):
        response.close()
        return False
    await _finish(response)
    return True


async def _finish(response: aiohttp.ClientResponse) -> None:
    """Read what stands behind the last word, so that the connection can be kept; else close it."""
    content = response.content
    if content.at_eof():
        return
    try:
        async with asyncio.timeout(TAIL_WAIT_S):
            while await content.readany():
                pass
    except (TimeoutError, aiohttp.ClientError, OSError):
        response.close()


def _socket(outbound: Outbound | None, host: str, info: aiohttp.AddrInfoType) -> socket.socket:
    """Make aiohttp's socket, noting that there is a new one.

    This is the last moment before it connects, and to exactly this address, wherever that was looked up: whatever a
    name means by now, no connection is opened to an address that is not allowed.
    """
    attempt = _attempt.get()
    family, kind, protocol, _, address = info
    if outbound is not None and outbound.refuses(host, str(address[0])):
        if attempt is not None:
            attempt.is_refused = True
        raise PermissionError("this address is not allowed")
    if attempt is not None:
        attempt.has_opened = True
    return socket.socket(family, kind, protocol)
