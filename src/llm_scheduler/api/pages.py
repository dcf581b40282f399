"""The dashboard's files, under whatever path prefix a proxy gives the server.

One build serves every prefix: its addresses are relative to `<base href>`, which is written here. Files with a hash in
their name are kept by browsers for ever, the page itself is asked for each time.
"""

from __future__ import annotations

import gzip
import html
import mimetypes
import secrets
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from llm_scheduler.api.answers import Answer

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from starlette.types import ASGIApp, Receive, Scope, Send

INDEX: Final = "index.html"
_OURS: Final = ("/api/", "/v1/", "/docs", "/healthz", "/readyz", "/metrics")
"""What is never a page."""
_BASE: Final = b'<base href="/" />'
_FOR_EVER: Final = b"public, max-age=31536000, immutable"
_ASK: Final = b"no-cache"
_WORTH_PACKING: Final = 1024
_HASHED: Final = "assets/"


def built_dashboard() -> Traversable | None:
    """The folder of the built dashboard; None in a checkout where it was not built."""
    folder = files("llm_scheduler").joinpath("_web")
    return folder if folder.joinpath(INDEX).is_file() else None


class Pages:
    """Answers what browsers ask for, and hands everything else on.

    Args:
        app: the way to the routes.
        folder: of the built dashboard; None: there is none.
        root_path: the prefix under which browsers see this server, without a slash at its end.
    """

    def __init__(self, app: ASGIApp, folder: Traversable | None, root_path: str = "") -> None:
        self._app, self._folder, self._root_path = app, folder, root_path
        self._kept: dict[str, tuple[bytes, bytes | None, bytes]] = {}
        self._names = frozenset[str]() if folder is None else frozenset(_walk(folder, ""))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        name = self.file_for(scope)
        if name is None:
            await self._app(scope, receive, send)
        else:
            await self._answer(name, scope)(scope, receive, send)

    def file_for(self, scope: Scope) -> str | None:
        """The file that answers this request, None where it is not for a page."""
        path: str = scope["path"]
        if self._folder is None or scope["method"] not in ("GET", "HEAD") or path.startswith(_OURS):
            return None
        name = path[1:]
        if name in self._names and name != INDEX:
            return name
        return INDEX if path == "/" or _wants_html(scope) else None

    def _answer(self, name: str, scope: Scope) -> Answer:
        plain, packed, media = self._file(name)
        if name == INDEX:
            nonce = secrets.token_urlsafe(16)
            return Answer(200, plain.replace(b"{{nonce}}", nonce.encode()), _page_headers(nonce), media)
        kept = _FOR_EVER if name.startswith(_HASHED) else _ASK
        headers = [(b"cache-control", kept), (b"vary", b"accept-encoding")]
        if packed is not None and _takes_gzip(scope):
            return Answer(200, packed, (*headers, (b"content-encoding", b"gzip")), media)
        return Answer(200, plain, tuple(headers), media)

    def _file(self, name: str) -> tuple[bytes, bytes | None, bytes]:
        """The file, packed if that is worth it, and its media type."""
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = self._read(name)
        return kept

    def _read(self, name: str) -> tuple[bytes, bytes | None, bytes]:
        plain = b"" if self._folder is None else self._folder.joinpath(*name.split("/")).read_bytes()
        if name == INDEX:
            base = html.escape(self._root_path).encode()
            plain = plain.replace(_BASE, b'<base href="' + base + b'/" />')
            plain = plain.replace(b"<head>", b'<head><meta name="csp-nonce" content="{{nonce}}">', 1)
            return plain, None, b"text/html; charset=utf-8"
        media = (mimetypes.guess_type(name)[0] or "application/octet-stream").encode()
        return plain, gzip.compress(plain, 6, mtime=0) if len(plain) > _WORTH_PACKING else None, media


def _page_headers(nonce: str) -> tuple[tuple[bytes, bytes], ...]:
    """What the page may load and do: only what comes from here. Styles are written by its own scripts, by nonce."""
    policy = (
        "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; "
        f"style-src 'self' 'nonce-{nonce}'; style-src-attr 'unsafe-inline'; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )
    return ((b"cache-control", _ASK), (b"content-security-policy", policy.encode()))


def _wants_html(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _takes_gzip(scope: Scope) -> bool:
    return any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])


def _walk(folder: Traversable, before: str) -> list[str]:
    found: list[str] = []
    for one in folder.iterdir():
        if one.is_dir():
            if not one.name.startswith("."):
                found += _walk(one, f"{before}{one.name}/")
        else:
            found.append(before + one.name)
    return found
