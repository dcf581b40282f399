"""Where a database is and how to get in, out of its URL."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from llm_scheduler.domain.errors import StoreUnusableError

SCHEMES: Final = ("mysql", "mariadb")
DEFAULT_PORT: Final = 3306
CONNECT_TIMEOUT_S: Final = 2.0
_OPTIONS: Final = frozenset({"ssl", "ssl_ca", "connect_timeout"})
_YES: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed `mysql://USER:PASSWORD@HOST[:PORT]/NAME[?ssl_ca=FILE&ssl=true&connect_timeout=SECONDS]`."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    is_encrypted: bool = False
    ca_file: str | None = None
    connect_timeout_s: float = CONNECT_TIMEOUT_S

    def __str__(self) -> str:
        """For people: without the password."""
        return f"mysql://{self.user}@{self.host}:{self.port}/{self.database}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Verifies the server's certificate and name, by `ssl_ca` or by what the machine trusts.

        Raises:
            StoreUnusableError: the file cannot be read.
        """
        if not self.is_encrypted:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise StoreUnusableError(f"ssl_ca={self.ca_file} cannot be used: {error}") from error


def parse(url: str) -> Address:
    """An address; user, password and name are percent-decoded.

    Raises:
        StoreUnusableError: something is missing or unknown. Never repeats the password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise _bad("it cannot be read; escape special characters of the password, say %40 for @") from error
    options = dict(given)
    database = unquote(parts.path.removeprefix("/"))
    if parts.scheme not in SCHEMES:
        raise _bad("it begins with none of mysql://, mariadb://")
    if not parts.hostname or not parts.username:
        raise _bad("user or host is missing: mysql://USER:PASSWORD@HOST/NAME")
    if not database or "/" in database:
        raise _bad("the name of the database is missing: mysql://USER:PASSWORD@HOST/NAME")
    if unknown := sorted(options.keys() - _OPTIONS):
        raise _bad(f"unknown option {unknown[0]}; known are {', '.join(sorted(_OPTIONS))}")
    return Address(
        host=parts.hostname,
        port=port,
        user=unquote(parts.username),
        password=unquote(parts.password or ""),
        database=database,
        is_encrypted=_is_yes(options.get("ssl"), default="ssl_ca" in options),
        ca_file=options.get("ssl_ca"),
        connect_timeout_s=_seconds(options.get("connect_timeout")),
    )


def _is_yes(text: str | None, *, default: bool) -> bool:
    if text is None:
        return default
    if text.lower() not in _YES:
        raise _bad("ssl is neither true nor false")
    return _YES[text.lower()]


def _seconds(text: str | None) -> float:
    if text is None:
        return CONNECT_TIMEOUT_S
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 60:
        raise _bad("connect_timeout is not a number of seconds up to 60")
    return value


def _bad(why: str) -> StoreUnusableError:
    return StoreUnusableError(f"The database's URL is wrong: {why}.")
