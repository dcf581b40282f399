"""The line to the server: time limits, bounded patience with a busy one, and every failure in plain words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

import click
import httpx2

from llm_scheduler import __version__
from llm_scheduler.cli.faults import CliError, RefusedError, ServerFailedError, UnreachableError
from llm_scheduler.cli.renewing import LoginAuth

if TYPE_CHECKING:
    from llm_scheduler.cli.invocation import Invocation

CONNECT_S: Final = 5.0
READ_S: Final = 60.0
_MAX_WAIT_S: Final = 60.0
_FIRST_WAIT_S: Final = 0.5
_BUSY: Final = frozenset({429, 503})
_GATEWAY: Final = frozenset({502, 504})
_MAX_EVENT_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `is_repeatable`: sending it twice does no harm, as with every GET."""

    method: str
    path: str
    params: Mapping[str, Any] | None = None
    body: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] | None = None
    read_s: float = READ_S
    is_repeatable: bool = False
    is_patient: bool = True
    """False: a busy server (429, 503) is an answer, not a reason to wait."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    error: CliError
    is_worth_repeating: bool
    after_s: float | None = None


class Connection:
    """A client of one server. Raises only `CliError`s."""

    def __init__(self, invocation: Invocation, patience_s: float, *, is_stranger: bool = False) -> None:
        self.url = invocation.server_url
        self.notice = lambda text: click.echo(text, err=True)
        self.pace, self._patience_s = invocation.pace, patience_s
        self._is_acquainted = False
        headers = {"User-Agent": f"llm-scheduler-cli/{__version__}", "Accept": "application/json"}
        login = None if is_stranger else invocation.login()
        key = None if is_stranger or login is not None else invocation.key()[0]
        if key:
            headers["Authorization"] = f"Bearer {key}"
        if invocation.tenant_name and not is_stranger:
            headers["X-Tenant"] = invocation.tenant_name
        try:
            self._client = httpx2.Client(
                base_url=self.url,
                # As bytes: a tenant's name may hold letters that headers know nothing of.
                headers=[(name.encode(), value.encode()) for name, value in headers.items()],
                auth=None if login is None else LoginAuth(self.url, login),
                timeout=httpx2.Timeout(READ_S, connect=CONNECT_S),
                transport=invocation.transport,
                # A proxy cannot reach this machine's own loopback.
                trust_env=not invocation.is_local,
            )
        except (httpx2.InvalidURL, UnicodeEncodeError, ValueError) as error:
            raise CliError(f"The server's address or the key is malformed: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, read_s: float = READ_S) -> Any:
        """The JSON that a GET answers."""
        return self.send(Call("GET", path, params, read_s=read_s, is_repeatable=True))

    def post(self, path: str, body: Any = None, *, is_repeatable: bool = False) -> Any:
        """The JSON that a POST answers."""
        return self.send(Call("POST", path, body=body, is_repeatable=is_repeatable))

    def send(self, call: Call) -> Any:
        """Send, with patience, and give the JSON of the answer (None when it is empty).

        Raises:
            UnreachableError: no server, or it stayed silent.
            RefusedError: the server said no.
        """
        response = self._response(call)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise UnreachableError(f"{self.url} answers, but not as LLM Scheduler does.", "Check LLMS_URL.") from error

    def status(self, path: str) -> tuple[int, Any]:
        """Status and body of one GET without patience; for checks.

        Raises:
            UnreachableError: no server.
        """
        try:
            response = self._client.get(path)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        try:
            return response.status_code, response.json()
        except ValueError:
            return response.status_code, response.text

    @contextmanager
    def events(self, path: str) -> Iterator[Iterator[tuple[str, Any]]]:
        """Server-sent events: (name, data) until the server ends them.

        Raises:
            UnreachableError: no server, or the stream broke.
            RefusedError: the server said no.
        """
        try:
            with self._client.stream("GET", path, headers={"Accept": "text/event-stream"}) as response:
                if response.status_code >= 400:
                    response.read()
                    raise _refused(response)
                source = httpx2.EventSource(response, max_event_size=_MAX_EVENT_BYTES)
                yield ((event.event, json.loads(event.data)) for event in source if event.data)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    @contextmanager
    def lines(self, path: str, params: Mapping[str, Any], *, read_s: float = READ_S) -> Iterator[Iterator[str]]:
        """The lines of a long answer, as they come.

        Raises:
            UnreachableError: no server, or the answer broke off.
            RefusedError: the server said no.
        """
        timeout = httpx2.Timeout(read_s, connect=CONNECT_S)
        try:
            with self._client.stream("GET", path, params=params, timeout=timeout) as response:
                if response.status_code >= 400:
                    response.read()
                    raise _refused(response)
                yield response.iter_lines()
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _response(self, call: Call) -> httpx2.Response:
        waited_s, tries = 0.0, 0
        while True:
            outcome = self._attempt(call)
            if isinstance(outcome, httpx2.Response):
                return outcome
            if not outcome.is_worth_repeating:
                raise outcome.error
            delay_s = min(_MAX_WAIT_S, outcome.after_s or _FIRST_WAIT_S * 2**tries)
            if waited_s + delay_s > self._patience_s:
                raise outcome.error
            self.notice(f"{outcome.error.message} Trying again in {delay_s:g} s.")
            self.pace.sleep_s(delay_s)
            waited_s, tries = waited_s + delay_s, min(tries + 1, 6)

    def _attempt(self, call: Call) -> httpx2.Response | _Trouble:
        try:
            response = self._client.request(
                call.method,
                call.path,
                params=call.params,
                json=call.body,
                content=call.content,
                headers=call.headers,
                timeout=httpx2.Timeout(call.read_s, connect=CONNECT_S),
            )
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            # Nothing was sent. A server that never answered is not there; one that did may be restarting.
            return _Trouble(self._unreachable(error), self._is_acquainted)
        except httpx2.TransportError as error:
            return _Trouble(self._unreachable(error), call.is_repeatable)
        self._is_acquainted = True
        if response.status_code < 400:
            return response
        error = _refused(response)
        return _Trouble(error, _is_passing(call, response.status_code), error.retry_after_s)

    def _unreachable(self, error: httpx2.TransportError) -> UnreachableError:
        if isinstance(error, httpx2.ReadTimeout):
            return UnreachableError(f"{self.url} did not answer in time.", "Is it overloaded? llms doctor")
        if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)) and not self._is_acquainted:
            return UnreachableError(f"No server at {self.url}. Start one: llms serve", "Elsewhere? Set LLMS_URL.")
        reason = str(error) or type(error).__name__
        return UnreachableError(f"The connection to {self.url} broke ({reason}).")


def _is_passing(call: Call, status: int) -> bool:
    """Whether the same request may succeed a little later. A busy server has done nothing with it yet."""
    return (status in _BUSY and call.is_patient) or (status in _GATEWAY and call.is_repeatable)


def _refused(response: httpx2.Response) -> RefusedError:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {"title": response.reason_phrase, "detail": response.text[:200].strip() or None}
    after = response.headers.get("Retry-After", "")
    kind = ServerFailedError if response.status_code >= 500 else RefusedError
    return kind(response.status_code, problem, float(after) if after.isdigit() else None)


def segment(name: str | int) -> str:
    """A name as one part of a path."""
    return quote(str(name), safe="")
