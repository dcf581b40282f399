"""The fields of a provider's config: what each may hold, and messages that say what to do."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from llm_scheduler.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TIMEOUT_S: Final = 86_400.0
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OUR_HEADERS: Final = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})
_KEY_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a config.

    Attributes:
        name: the key.
        read: gives the value as it is kept; raises ValueError with the rest of the sentence "'name' must …".
        default: taken when the key is absent or null; None leaves the key out.
    """

    name: str
    read: Callable[[object], object]
    default: object = None


def checked(values: Mapping[str, object], fields: tuple[Field, ...], *loc: str | int) -> dict[str, object]:
    """The values as `fields` read them, defaults filled in.

    Args:
        values: what was given.
        fields: every key that may stand there.
        loc: where `values` stands, put before the key in errors.

    Raises:
        InvalidInputError: an unknown key, or a value that its field refuses.
    """
    known = {field.name for field in fields}
    for name in values:
        if name not in known:
            raise InvalidInputError(_unknown(name, known), *loc, name)
    kept: dict[str, object] = {}
    for field in fields:
        value = values.get(field.name)
        if value is None:
            value = field.default
            if value is None:
                continue
        try:
            kept[field.name] = field.read(value)
        except ValueError as error:
            raise InvalidInputError(f"'{field.name}' must {error}.", *loc, field.name) from None
        except InvalidInputError as error:  # of fields inside
            raise InvalidInputError(str(error), *loc, *error.loc) from None
    return kept


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"Unknown field '{name[:100]}'.{hint} Known fields: {', '.join(sorted(known))}."


def text(value: object) -> str:
    """Any text with something in it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("be a text that is not empty")
    return value


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError("be true or false")  # noqa: TRY004 - one error for the caller to catch
    return value


def number(low: float, high: float) -> Callable[[object], float]:
    """A number from `low` to `high`."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"be a number from {low:g} to {high:g}")
        if not low <= value <= high:
            raise ValueError(f"be from {low:g} to {high:g}, not {value:g}")
        return value

    return read


def integer(low: int, high: int) -> Callable[[object], int]:
    """A whole number from `low` to `high`."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"be a whole number from {low} to {high}")
        return value

    return read


def json_object(value: object) -> dict[str, object]:
    """An object; its keys are the caller's."""
    if not isinstance(value, Mapping):
        raise ValueError("be an object")  # noqa: TRY004 - one error for the caller to catch
    return {str(key): item for key, item in value.items()}


def api_key(value: object) -> str:
    """A key that can stand in a header. No message repeats it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("be a text that is not empty")
    key = value.strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError("be one word of printable ASCII; was more than the key copied?")
    return key


def header_name(value: object) -> str:
    """A name that may stand before a colon."""
    if not isinstance(value, str) or not _HEADER_NAME.fullmatch(value) or value.lower() in _OUR_HEADERS:
        raise ValueError("be the name of a header, such as Authorization or api-key")
    return value


def headers(value: object) -> dict[str, str]:
    """Extra request headers, name to text. No message repeats a value."""
    if not isinstance(value, Mapping):
        raise ValueError("be an object of header names and texts")  # noqa: TRY004 - as above
    for name, content in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"hold valid header names, not {str(name)[:40]!r}")
        if name.lower() in _OUR_HEADERS:
            raise ValueError(f"not set {name}: it is set for each request")
        if name.lower() in _KEY_HEADERS:
            raise ValueError(f"not hold {name}: only 'api_key' is stored sealed (and 'api_key_header' names it)")
        if not isinstance(content, str) or not content.isprintable():
            raise ValueError(f"give {name} a text of one line")
    return dict(value)


def base_url(value: object) -> str:
    """An http or https address without a trailing slash."""
    if not isinstance(value, str):
        raise ValueError("be an address such as https://api.openai.com/v1")  # noqa: TRY004 - as above
    try:
        parts = urlsplit(value.strip())
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("be a valid address such as https://api.openai.com/v1") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("start with http:// or https:// and name a host, as https://api.openai.com/v1 does")
    if parts.username or parts.password:
        raise ValueError("hold no user or password; put the key into 'api_key'")
    if parts.fragment:
        raise ValueError("have no part after '#'")
    return parts._replace(path=parts.path.rstrip("/")).geturl()


def endpoint_url(base: str, path: str) -> str:
    """`base` with `path` appended; a query of `base` (Azure's api-version) stays behind it."""
    parts = urlsplit(base)
    return parts._replace(path=parts.path + path).geturl()
