"""Cookies of a sign-in, and the proof that a page of ours sent them.

The refresh token is in a cookie that no script sees and that goes to the sign-in's own paths only. A second cookie
holds a text that is bound to the sign-in: a page of ours reads it and sends it as a header, which no other site can.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from llm_scheduler.api.errors import Problem
from llm_scheduler.api.parts import caller_of
from llm_scheduler.domain.refresh import parsed

if TYPE_CHECKING:
    from starlette.requests import Request

REFRESH_COOKIE: Final = "llms_refresh"
CSRF_COOKIE: Final = "llms_csrf"
CSRF_HEADER: Final = "X-CSRF-Token"
AUTH_PATH: Final = "/api/v1/auth"
_DETAIL: Final = (
    f"A cookie came, but no proof that a page of ours sent it: send the cookie {CSRF_COOKIE} as {CSRF_HEADER}."
)

Header = tuple[bytes, bytes]


def is_secure(request: Request, public_url: str | None) -> bool:
    """Whether the browser came by https, as far as is known."""
    return caller_of(request).origin.scheme == "https" or (public_url or "").startswith("https://")


def cookie(  # noqa: PLR0913 - a cookie's attributes
    name: str, value: str, path: str, max_age_s: int, *, secure: bool, hidden: bool, lax: bool = False
) -> Header:
    """A Set-Cookie header. `hidden`: from scripts. `lax`: also when another site's link leads here."""
    parts = [f"{name}={value}", f"Path={path}", f"Max-Age={max_age_s}", f"SameSite={'Lax' if lax else 'Strict'}"]
    parts += ["HttpOnly"] if hidden else []
    parts += ["Secure"] if secure else []
    return b"set-cookie", "; ".join(parts).encode("latin-1")


def sign_in_cookies(refresh: str, csrf: str, max_age_s: int, root: str, *, secure: bool) -> tuple[Header, Header]:
    """Both cookies of a sign-in. `root` is the prefix under which the browser sees this server."""
    return (
        cookie(REFRESH_COOKIE, refresh, root + AUTH_PATH, max_age_s, secure=secure, hidden=True),
        cookie(CSRF_COOKIE, csrf, root or "/", max_age_s, secure=secure, hidden=False),
    )


def dropped_cookies(root: str, *, secure: bool) -> tuple[Header, Header]:
    """What makes a browser forget them."""
    return sign_in_cookies("", "", 0, root, secure=secure)


def check_origin(request: Request, public_url: str | None) -> bool:
    """Whether the browser says that a page of ours sent this; False if it says nothing.

    Raises:
        Problem: 403, it says that another one did.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return False
    if origin == _origin_of(public_url) or _host_of(origin) == request.headers.get("host", "?"):
        return True
    raise Problem(403, "csrf_failed", "Another site's page sent this; sign in from a page of this server.")


def proven_cookie(request: Request, public_url: str | None) -> str | None:
    """The refresh token in the cookie, None without one.

    Raises:
        Problem: 403, nothing shows that a page of ours sent it.
    """
    text = request.cookies.get(REFRESH_COOKIE)
    if not text:
        return None
    if check_origin(request, public_url):
        return text
    token = parsed(text)
    given = request.headers.get(CSRF_HEADER, "")
    if token is None or not hmac.compare_digest(given.encode(), token.csrf.encode()):
        raise Problem(403, "csrf_failed", _DETAIL)
    return text


def _host_of(origin: str) -> str | None:
    """None for what is no address."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def _origin_of(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
