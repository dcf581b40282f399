"""A client for Redis or Valkey by URL: single, Sentinel or Cluster, with TLS, and nothing that hangs over a second.

    redis://user:password@host:6379/0                              one server
    redis+sentinel://:password@host:26379,host:26379/master-name/0   whoever the sentinels say is the master
    redis+cluster://host:6379,host:6379                            a cluster

`rediss` instead of `redis` means TLS. User and password are percent-decoded. Options after a question mark:
`ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (paths), `ssl_check_hostname` (true, false), `ssl_cert_reqs` (required,
none), `sentinel_username`, `sentinel_password`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from llm_scheduler.brokers.redis.cluster import ClusterClient
from llm_scheduler.brokers.redis.heeding import heeding
from llm_scheduler.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Client(Protocol):
    """What `open_client` gives, of whatever kind. Answers are bytes."""

    async def execute_command(self, *args: Any) -> Any:
        """Send one command and give its answer."""
        ...

    def pubsub(self) -> Any:
        """A subscription with a connection of its own."""
        ...

    def a_server(self) -> Redis:
        """One that hears and tells all messages; of several, another one each time."""
        ...

    async def aclose(self) -> None:
        """Let go of all connections."""
        ...


CONNECT_TIMEOUT_S: Final = 0.4
SOCKET_TIMEOUT_S: Final = 0.6
_SENTINEL_TIMEOUT_S: Final = 0.25
"""They are asked one after the other: with two of three hanging the third is still reached within a second."""
_HEALTH_CHECK_S: Final = 15
_MOST_CONNECTIONS: Final = 512

_SCHEMES: Final = {
    f"redis{tls}{kind}": (bool(tls), kind[1:]) for tls in ("", "s") for kind in ("", "+sentinel", "+cluster")
}
_DEFAULT_PORTS: Final = {"": 6379, "cluster": 6379, "sentinel": 26379}
_TLS_OPTIONS: Final = frozenset(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs"))
_SENTINEL_OPTIONS: Final = frozenset(("sentinel_username", "sentinel_password"))


@dataclass(frozen=True)
class Address:
    """What a URL says."""

    kind: str
    """Empty for one server, or `sentinel`, or `cluster`."""
    is_tls: bool
    hosts: tuple[tuple[str, int], ...]
    username: str | None
    password: str | None
    master: str
    database: int
    options: Mapping[str, str]


def parse(url: str) -> Address:
    """Take a URL apart.

    Raises:
        InvalidInputError: it is none of the shapes above; the message shows no password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _wrong("It cannot be taken apart") from None  # its message would show the password
    if parts.scheme not in _SCHEMES:
        raise _wrong(f"It must begin with one of {', '.join(f'{name}://' for name in _SCHEMES)}")
    is_tls, kind = _SCHEMES[parts.scheme]
    who, _, where = parts.netloc.rpartition("@")
    username, _, password = who.partition(":")
    hosts = tuple(_host(one, _DEFAULT_PORTS[kind]) for one in where.split(","))
    if not kind and len(hosts) > 1:
        raise _wrong("Several hosts need redis+sentinel:// or redis+cluster://")
    master, database = _path(parts.path, kind)
    return Address(
        kind,
        is_tls,
        hosts,
        unquote(username) or None,
        unquote(password) or None,
        master,
        database,
        _options(parts.query, kind, is_tls=is_tls),
    )


def open_client(url: str) -> Client:
    """A client for this URL. Nothing connects yet, and nothing is ever tried twice: whoever calls knows what may be.

    Raises:
        InvalidInputError: the URL is wrong.
    """
    address = parse(url)
    settings = _settings(address)
    if address.kind == "sentinel":
        return _of_sentinels(address, settings)
    if address.is_tls:
        settings["connection_class"] = SSLConnection

    def connect(where: tuple[str, int]) -> Redis:
        pool = ConnectionPool(
            host=where[0], port=where[1], db=address.database, retry=Retry(NoBackoff(), 0), **settings
        )
        return Redis.from_pool(pool)

    if address.kind == "cluster":
        return ClusterClient(address.hosts, connect)
    return _OneServer(connect(address.hosts[0]))


def _of_sentinels(address: Address, settings: dict[str, Any]) -> Client:
    asked = {
        **settings,
        "ssl": address.is_tls,
        "username": address.options.get("sentinel_username"),
        "password": address.options.get("sentinel_password"),
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": _SENTINEL_TIMEOUT_S,
        "socket_connect_timeout": _SENTINEL_TIMEOUT_S,
    }
    sentinel: Any = Sentinel(list(address.hosts), sentinel_kwargs=asked)
    master = sentinel.master_for(
        address.master, Redis, db=address.database, ssl=address.is_tls, retry=Retry(NoBackoff(), 0), **settings
    )
    return _OneServer(master, sentinel.sentinels)


class _OneServer:
    """The client of one server at a time; closes those of the sentinels that name it as well."""

    def __init__(self, server: Redis, sentinels: Sequence[Redis] = ()) -> None:
        self._server = cast("Any", server)
        self._clients = (server, *sentinels)

    async def execute_command(self, *args: Any) -> Any:
        return await heeding(self._server.execute_command(*args))

    def pubsub(self) -> Any:
        return self._server.pubsub()

    def a_server(self) -> Redis:
        return self._clients[0]

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()


def _settings(address: Address) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "username": address.username,
        "password": address.password,
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": _HEALTH_CHECK_S,
        "max_connections": _MOST_CONNECTIONS,
        "protocol": 2,
        "decode_responses": False,
    }
    for name in _TLS_OPTIONS & address.options.keys():
        text = address.options[name]
        settings[name] = text == "true" if name == "ssl_check_hostname" else text
    return settings


def _host(text: str, default_port: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, str(default_port)
    host = host.removeprefix("[").removesuffix("]")
    if not host:
        raise _wrong("A host is missing")
    if not port.isdecimal() or not 0 < int(port) < 65_536:
        raise _wrong(f"The port of {host} must be a number up to 65535")
    return host, int(port)


def _path(path: str, kind: str) -> tuple[str, int]:
    """The master's name and the database."""
    steps = [unquote(step) for step in path.strip("/").split("/")] if path.strip("/") else []
    master = ""
    if kind == "sentinel":
        if not steps:
            raise _wrong("redis+sentinel:// needs the master's name: redis+sentinel://host:26379/NAME")
        master = steps.pop(0)
    if kind == "cluster" and steps not in ([], ["0"]):
        raise _wrong("A cluster has no databases but 0")
    if len(steps) > 1 or (steps and not steps[0].isdecimal()):
        raise _wrong("The database must be a number")
    return master, int(steps[0]) if steps else 0


def _options(query: str, kind: str, *, is_tls: bool) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    none: frozenset[str] = frozenset()
    allowed = (_TLS_OPTIONS if is_tls else none) | (_SENTINEL_OPTIONS if kind == "sentinel" else none)
    unknown = sorted(options.keys() - allowed)
    if unknown:
        raise _wrong(f"Unknown option {unknown[0]!r}; there are {', '.join(sorted(allowed)) or 'none'}")
    return options


def _wrong(why: str) -> InvalidInputError:
    return InvalidInputError(f"The Redis URL is not usable. {why}.", "redis_url")
